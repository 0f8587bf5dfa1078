"""A driver's claim on a journal: an operating-system lock that dies with its process.

The lock file lies beside the journal and is never deleted, so two drivers cannot each hold a
different file of one name. It says who holds it; the lock itself is what counts. A killed driver's
lock is gone at once, with no time-out to wait for. A forked child gives its copy up, so that a data
loader which outlives its driver does not hold the study.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from datetime import datetime
from pathlib import Path

from budgets.errors import SecondDriverError


class Claim:
    """The right to write beside ``lock_file``, until closed or killed."""

    def __init__(self, lock_file: Path, *, now: datetime) -> None:
        """Take the claim.

        Raises:
            SecondDriverError: another driver has it; names process, machine and since when.
            OSError: the lock file cannot be written.
        """
        self.pid = os.getpid()
        self.host = socket.gethostname()
        self.since = now.isoformat(timespec="seconds")
        self._descriptor: int | None = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise _second_driver(lock_file) from None
        except OSError:
            self.close()
            raise
        owner = {"pid": self.pid, "host": self.host, "since": self.since}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)
        _close_in_forks(self)

    def close(self) -> None:
        """Give the claim up; twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _close_in_forks(claim: Claim) -> None:
    alive = weakref.ref(claim)

    def close() -> None:
        held = alive()
        if held is not None:
            held.close()

    os.register_at_fork(after_in_child=close)


def _second_driver(lock_file: Path) -> SecondDriverError:
    place = str(lock_file.with_suffix(""))
    try:
        owner = json.loads(lock_file.read_text())
        return SecondDriverError(place, pid=owner["pid"], host=owner["host"], since=owner["since"])
    except (ValueError, KeyError, TypeError):
        return SecondDriverError(place, pid=0, host="", since="")
