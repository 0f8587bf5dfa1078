"""``ray job submit`` on a local head node with token authentication on, as the README shows it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_study import environment, status, write_spec

from tests.ports import free_port

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

_ROOT = Path(__file__).parents[2]
_CODE = ("budgets", "trainers", "scheduler", "experiments")


@pytest.fixture
def head(tmp_path):
    """A Ray head node of its own on this machine; yields the address that takes jobs."""
    ray = str(Path(sys.executable).with_name("ray"))
    dashboard = free_port()
    env = {
        **environment(),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
        "RAY_TMPDIR": "/tmp",
    }
    ports = {
        "port": free_port(),
        "dashboard-port": dashboard,
        "ray-client-server-port": free_port(),
        "dashboard-agent-listen-port": free_port(),
        "dashboard-agent-grpc-port": free_port(),
        "metrics-export-port": free_port(),
    }  # all its own: another Ray on this machine keeps the usual ones
    options = [f"--{name}={number}" for name, number in ports.items()]
    with subprocess.Popen(
        [ray, "start", "--head", "--block", "--num-cpus=3", *options],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as head_node:
        _wait_for(dashboard)
        yield ray, f"http://127.0.0.1:{dashboard}", env
        os.killpg(head_node.pid, signal.SIGTERM)  # this head alone; `ray stop` would end every Ray here
        try:
            head_node.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(head_node.pid, signal.SIGKILL)


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + 300
    while time.monotonic() < until_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on port {port} after 300 s")


def _submitted(words, *, env, cwd):
    """The finished submission; a head that has just started may have no agent for jobs yet."""
    for _ in range(30):
        done = subprocess.run(
            words, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=600
        )
        if "No available agent to submit job" not in done.stderr:
            break
        time.sleep(1)
    return done


def test_a_submitted_job_runs_the_study_and_keeps_its_books_in_the_absolute_store(head, tmp_path):
    ray, address, env = head
    code = tmp_path / "code"
    code.mkdir()
    for package in _CODE:
        shutil.copytree(_ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    write_spec(code, trials=1, store="runs")
    store = tmp_path / "kept"

    done = _submitted(
        [
            ray,
            "job",
            "submit",
            "--address",
            address,
            "--working-dir",
            str(code),
            "--",
            sys.executable,
            "-m",
            "experiments",
            "run",
            "small.yaml",
            "--store",
            str(store),
        ],
        env=env,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert status(store / "small")["state"] == "ended"
    assert os.path.getsize(store / "small" / "report.html") > 10_000
