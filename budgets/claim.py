"""A driver's claim on a journal file: an operating-system lock that dies with its process.

The lock file lies beside the journal and is never deleted, so two drivers cannot each hold a
different file of one name. It says who holds it; the lock itself is what counts. A killed driver's
lock is gone at once, with no time-out to wait for. A forked child gives its copy up, so that a data
loader which outlives its driver does not hold the study.

The file also says which entry was acknowledged last. A database file cut short may still be a sound
database with fewer entries; with this witness the loss is seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from budgets.errors import SecondDriverError

Thing = TypeVar("Thing")

_RECORD_BYTES = 512  # written at once, always of one length: never half new, half old


@dataclass(frozen=True, slots=True)
class Owner:
    """Who drives a journal.

    Attributes:
        pid: the process.
        host: its machine.
        since: when it began, ISO 8601 in UTC.
    """

    pid: int
    host: str
    since: str

    @classmethod
    def here(cls, now: datetime) -> Self:
        """This process."""
        return cls(os.getpid(), socket.gethostname(), now.isoformat(timespec="seconds"))


class Claim:
    """The right to write beside ``lock_file``, until closed or killed.

    Attributes:
        last_acknowledged: the last entry an earlier driver noted, 0 when none did.
    """

    def __init__(self, lock_file: Path, owner: Owner) -> None:
        """Take the claim.

        Raises:
            SecondDriverError: another driver has it; names process, machine and since when.
            OSError: the lock file cannot be written.
        """
        self._owner = owner
        self._descriptor: int | None = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise _second_driver(lock_file) from None
        except OSError:
            self.close()
            raise
        self.last_acknowledged = last_acknowledged(lock_file)
        self.note(self.last_acknowledged)
        at_fork(self, Claim.close)

    def note(self, last_seq: int) -> None:
        """Say which entry was acknowledged last."""
        if self._descriptor is not None:
            record = json.dumps({**asdict(self._owner), "last": last_seq})
            os.pwrite(self._descriptor, record.encode().ljust(_RECORD_BYTES), 0)

    def close(self) -> None:
        """Give the claim up; twice is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def last_acknowledged(lock_file: Path) -> int:
    """The last entry a driver noted in its lock file, 0 when none did."""
    try:
        last = json.loads(lock_file.read_bytes()).get("last", 0)
    except (OSError, ValueError, AttributeError):
        return 0
    return last if isinstance(last, int) else 0


def at_fork(thing: Thing, give_up: Callable[[Thing], None]) -> None:
    """Have every forked child give its copy of ``thing`` up."""
    alive = weakref.ref(thing)

    def close() -> None:
        held = alive()
        if held is not None:
            give_up(held)

    os.register_at_fork(after_in_child=close)


def _second_driver(lock_file: Path) -> SecondDriverError:
    place = str(lock_file.with_suffix(""))
    try:
        owner = json.loads(lock_file.read_text())
        return SecondDriverError(place, pid=owner["pid"], host=owner["host"], since=owner["since"])
    except (ValueError, KeyError, TypeError):
        return SecondDriverError(place, pid=0, host="", since="")
