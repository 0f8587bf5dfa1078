"""Faults under real Ray: of a worker, of the driver, and of a second raylet that stands for a node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Drivers, Place, suffer
from schedules import AMPLE_MS, Schedule

from tests.ports import free_port

_ROOT = Path(__file__).parents[2]
_RAY = str(Path(sys.executable).with_name("ray"))

_COUNT = """
import ray
ray.init(log_to_driver=False, logging_level="error")
print(sum(node["Alive"] for node in ray.nodes()))
"""

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


class Started:
    """A driver process, seen as ``multiprocessing`` shows one."""

    def __init__(self, process):
        self._process = process
        self.pid = process.pid

    @property
    def exitcode(self):
        return self._process.poll()

    def is_alive(self):
        return self._process.poll() is None

    def join(self, timeout=None):
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    def kill(self):
        self._process.kill()


class Cluster:
    """A head node with one CPU, a second node with another, and drivers on the head.

    Attributes:
        pace: how many times longer a stage takes until all faults have happened.
        at_hand: drivers that find out what happens to an undisturbed study.
    """

    pace = 4

    def __init__(self, at_hand):
        self.at_hand = at_hand
        self._port = free_port()
        self._nodes = []
        path = os.pathsep.join(str(_ROOT / part) for part in (".", "tests", "tests/faults"))
        self._environment = {
            **os.environ,
            "PYTHONPATH": path,
            "RAY_AUTH_MODE": "disabled",
            "RAY_TMPDIR": "/tmp",
            "RAY_health_check_timeout_ms": "60000",  # a busy machine's node is late, not dead
            "RAY_health_check_period_ms": "1000",  # and one that is dead is known to be in seconds
            "RAY_ADDRESS": f"127.0.0.1:{self._port}",
        }
        head = ("--head", f"--port={self._port}", f"--ray-client-server-port={free_port()}")
        self._nodes.append(self._started("head", *head, "--include-dashboard=false"))

    def start(self, folder):
        if len(self._nodes) > 1 and self._nodes[1].poll() is not None:
            self._nodes.pop()  # Ray gives up a node that a busy machine keeps from answering
        if len(self._nodes) == 1:
            self._nodes.append(self._started("second node", f"--address=127.0.0.1:{self._port}"))
        command = [sys.executable, str(_ROOT / "tests" / "faults" / "ray_driver.py"), str(folder)]
        return Started(subprocess.Popen(command, env=self._environment, start_new_session=True))

    def kill_node(self):
        """End the second node's raylet; what it ran ends with it."""
        node = self._nodes.pop()
        os.kill(_raylet_of(node.pid), signal.SIGKILL)
        node.wait(60)

    def stop(self):
        for node in reversed(self._nodes):
            node.terminate()
            node.wait(60)

    def _started(self, name, *words):
        ports = ("--min-worker-port=0", "--max-worker-port=0")
        agent = f"--dashboard-agent-listen-port={free_port()}"
        environment = {**self._environment, "FAULTS_NODE": name}
        del environment["RAY_ADDRESS"]
        node = subprocess.Popen(
            [_RAY, "start", *words, *ports, agent, "--num-cpus=1", "--block"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_for_nodes(len(self._nodes) + 1)
        return node

    def _wait_for_nodes(self, n):
        """Until the head knows ``n`` nodes."""
        until_s = time.monotonic() + 240
        while time.monotonic() < until_s:
            done = subprocess.run(
                [sys.executable, "-c", _COUNT],
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == str(n):
                return
        raise AssertionError(f"no {n} nodes within 240 s: {done.stdout} {done.stderr}")


def _raylet_of(pid):
    """The raylet that a ``ray start --block`` has started."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            program = (entry / "cmdline").read_bytes().split(b"\0")[0]
            if parent == pid and program.endswith(b"/raylet"):
                return int(entry.name)
    raise AssertionError(f"process {pid} has no raylet")


@pytest.fixture(scope="module")
def cluster():
    started = Cluster(Drivers())
    yield started
    started.stop()


_KILL_WORKER = {"at": "train", "do": "kill", "n": 4}
_HANG = {"at": "evaluate", "do": "hang", "n": 10}
_LEAK = {"at": "train", "do": "leak", "n": 3}
_KILL_DRIVER = {"at": "after append", "do": "kill", "n": 40}
_KILL_NODE = {"at": "anything on second node", "do": "node, hang", "n": 1}


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("worker killed, worker hangs", (_KILL_WORKER, _HANG)),
        ("worker leaks", (_LEAK,)),
        ("driver killed", (_KILL_DRIVER,)),
        ("node killed", (_KILL_NODE,)),
    ],
)
def test_the_study_ends_inside_its_cap_on_ray(cluster, results, kind, faults):
    plan = Schedule(1, (f"Ray: {kind}",), faults, 1, "uniform", 2, False, AMPLE_MS, False)

    found = suffer(plan, cluster, Place("SQLite, under Ray"))

    results.append(found)
    assert not found.problems, "\n".join(found.problems)
    assert found.n_burnt == len(faults)
