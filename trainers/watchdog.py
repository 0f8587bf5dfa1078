"""The watchdog: a process of its own that ends a worker whose lease is over.

A training loop can only stop itself between two steps. What hangs inside one (a read that never
returns, a kernel, a save to a dead disk) is ended from outside, whether or not the driver is still
there to notice: the watchdog is told when the lease ends and sends SIGKILL to the worker that has
not said by then that it is done. It ends by itself once the worker is gone.

It runs this file as a script, so the file imports the standard library alone. Ends of leases are
moments of the system's monotonic clock, which all processes share and a changed date does not move.

    worker -> watchdog   8 bytes, a double: when to bite, infinity for never
    watchdog -> worker   the same 8 bytes, once it will
"""

from __future__ import annotations

import math
import os
import select
import signal
import struct
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import Popen

_MOMENT = struct.Struct("=d")
_NEVER = math.inf
_LOOK_S = 2.0  # how often to look whether the worker lives: a child of its own may keep the pipe open
_ANSWER_S = 10.0  # for an interpreter to start on a machine that is busy


class Watchdog:
    """The worker's side: starts the process, tells it when a lease ends and that it has ended."""

    def __init__(self) -> None:
        self._process: Popen[bytes] | None = None

    @contextmanager
    def guarding(self, limit_s: float) -> Iterator[None]:
        """End this process if the block is not over within ``limit_s`` seconds.

        Raises:
            WatchdogError: no watchdog could be started, so the block was not begun.
        """
        until = _MOMENT.pack(time.monotonic() + limit_s)
        if not (self._told(until) or self._told(until)):
            from trainers.errors import WatchdogError

            raise WatchdogError(
                f"no watchdog answered within {_ANSWER_S:.0f} s, twice ({sys.executable} {__file__}). A "
                "stage is not run without one: let the worker start processes, then run again."
            )
        try:
            yield
        finally:
            self._call_off()

    @property
    def pid(self) -> int | None:
        """The process that watches; None before the first lease."""
        return None if self._process is None else self._process.pid

    def _told(self, until: bytes) -> bool:
        """Whether a watchdog has answered that it will; one that has not is ended."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(until)
            ready, _, _ = select.select([process.stdout], [], [], _ANSWER_S)
            if ready and process.stdout.read(_MOMENT.size) == until:
                return True
        except BrokenPipeError:
            pass
        _end(process)
        return False

    def _started(self) -> Popen[bytes]:
        import subprocess

        if self._process is not None:
            _end(self._process)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the driver, not for what guards its workers
        )
        weakref.finalize(self, _end, process)
        return process

    def _call_off(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody ended it; the next lease starts another
            self._process.stdin.write(_MOMENT.pack(_NEVER))


def _end(process: Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.kill()  # a stopped one would not see that its pipe is closed
    process.wait()


def watch(worker_pid: int) -> None:
    """Wait for orders on standard input until the worker is gone or its lease is over."""
    until_s = _NEVER
    while os.getppid() == worker_pid:
        wait_s = max(0.0, min(until_s - time.monotonic(), _LOOK_S))
        told, _, _ = select.select([sys.stdin.fileno()], [], [], wait_s)
        if told:
            orders = os.read(sys.stdin.fileno(), 4096)
            if not orders:
                return
            (until_s,) = _MOMENT.unpack(orders[-_MOMENT.size :])
            if until_s < _NEVER:
                os.write(sys.stdout.fileno(), _MOMENT.pack(until_s))
        elif time.monotonic() >= until_s:
            os.kill(worker_pid, signal.SIGKILL)
            return


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the worker ended while it was being answered
        watch(int(sys.argv[1]))
