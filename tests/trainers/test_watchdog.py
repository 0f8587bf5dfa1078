"""A process that hangs in a lease is ended at its end, and nothing else is."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import trainers.watchdog
from trainers.watchdog import Watchdog

LIMIT_S = 0.6
N_ATTEMPTS = 5  # a busy machine makes one late; a watchdog that is late is late every time
WORKER = """
import ctypes, os, signal, subprocess, sys, time
from trainers.watchdog import Watchdog

watchdog = Watchdog()
with watchdog.guarding(60.0):
    print(watchdog.pid, flush=True)
{body}
"""


def worker(body: str) -> subprocess.Popen:
    """A small worker whose watchdog runs; its first line is the watchdog's process."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(body=body)], stdout=subprocess.PIPE, text=True
    )
    process.watchdog = int(process.stdout.readline())
    return process


def outcome(process: subprocess.Popen) -> tuple[int, list[str]]:
    with process.stdout:
        out = process.stdout.read()  # communicate() would not see what readline() has read ahead
    return process.wait(120), out.split()


def ends(pid: int, within_s: float = 30.0) -> bool:
    """Whether a process that is not our child ends within some seconds."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return True
        time.sleep(0.02)
    return False


HANGS = {
    "sleeps": "time.sleep(60)",
    "is stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "is in C and keeps the interpreter": "ctypes.PyDLL(None).sleep(60)",
    "shuts out every signal it can": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); time.sleep(60)"
    ),
}


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS.keys())
def test_a_worker_that_hangs_is_ended_when_its_lease_is_over(hang):
    body = f"print(time.monotonic(), flush=True)\nwith watchdog.guarding({LIMIT_S}):\n    {hang}"
    for _ in range(N_ATTEMPTS):
        process = worker(body)
        code, (begun_s,) = outcome(process)
        took_s = time.monotonic() - float(begun_s)
        assert code == -signal.SIGKILL
        assert took_s >= LIMIT_S - 0.05
        assert ends(process.watchdog)
        if took_s < LIMIT_S + 2.0:
            break
    else:
        pytest.fail(f"a lease of {LIMIT_S} s lasted {took_s:.1f} s")


def test_a_lease_that_ends_in_time_costs_its_worker_nothing():
    body = (
        f"for _ in range(3):\n    with watchdog.guarding({LIMIT_S}): pass\n"
        f"time.sleep({2 * LIMIT_S}); print(watchdog.pid)"
    )
    process = worker(body)
    assert outcome(process) == (0, [str(process.watchdog)])
    assert ends(process.watchdog)


def test_a_lease_that_raises_is_over_too():
    body = (
        f"try:\n    with watchdog.guarding({LIMIT_S}): raise KeyError\nexcept KeyError: pass\n"
        f"time.sleep({2 * LIMIT_S})"
    )
    assert outcome(worker(body))[0] == 0


def test_a_watchdog_ends_with_its_worker_even_if_a_child_of_that_keeps_the_pipe():
    process = worker("if os.fork() == 0: time.sleep(40); os._exit(0)\ntime.sleep(60)")
    process.kill()
    process.wait()
    process.stdout.close()
    assert ends(process.watchdog)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_watchdog_that_was_ended_or_stopped_is_replaced_at_the_next_lease(number, monkeypatch):
    monkeypatch.setattr(trainers.watchdog, "_ANSWER_S", 3.0)
    watchdog = Watchdog()
    with watchdog.guarding(60.0):
        first = watchdog.pid
        os.kill(first, number)
    with watchdog.guarding(60.0):
        assert watchdog.pid != first
        assert ends(first)


def test_a_watchdog_replaced_after_a_kill_bites_as_the_first_would():
    body = f"os.kill(watchdog.pid, signal.SIGKILL)\nwith watchdog.guarding({LIMIT_S}): time.sleep(60)"
    assert outcome(worker(body))[0] == -signal.SIGKILL


def test_a_stage_is_not_run_where_no_watchdog_can_be_started(monkeypatch):
    from trainers.errors import WatchdogError

    monkeypatch.setattr(sys, "executable", "/bin/false")
    begun = []
    with pytest.raises(WatchdogError, match="not run without one"), Watchdog().guarding(60.0):
        begun.append(1)
    assert begun == []


def test_a_watchdog_takes_less_than_20_mb():
    watchdog = Watchdog()
    with watchdog.guarding(60.0):
        lines = Path(f"/proc/{watchdog.pid}/status").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    assert kilobytes < 20_000


@pytest.mark.parametrize("name", ["watchdog", "worker", "meter", "loop", "training", "evaluation"])
def test_no_lease_looks_at_a_clock_that_a_date_can_move(name):
    """By construction: of the module ``time`` only the monotonic clock is read, and no date is."""
    tree = ast.parse(Path(trainers.watchdog.__file__).with_name(f"{name}.py").read_text())
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "time"
    }
    imported = {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert read <= {"monotonic"}
    assert not imported & {"datetime", "time", "perf_counter"}
    assert read or name != "watchdog"
