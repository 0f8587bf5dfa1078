"""The port to a journal, and the journal that ends with its process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from budgets.codec import FactCodec
from budgets.ledger import Charged, Closed, Opened, Released, Reserved

LEDGER = (Opened, Closed, Reserved, Charged, Released)


@dataclass(frozen=True, slots=True)
class Line:
    """One entry.

    Attributes:
        seq: 1, 2, 3, … without gaps.
        at: when it was written, UTC.
        fact: what was written.
    """

    seq: int
    at: datetime
    fact: object


class Journal(Protocol):
    """Facts, in order, kept for good. There is no way to change one."""

    def append(self, *facts: object) -> None:
        """Write facts down, all or none; when this returns they are kept.

        Raises:
            JournalError: they could not be written, and none was.
            TypeError: one is not a fact this journal keeps.
        """

    def lines(self) -> Iterator[Line]:
        """Every entry, in order.

        Raises:
            JournalError: an entry cannot be read; names the place and the entry.
        """


def utc_now() -> datetime:
    """Now, for the record only: nothing is computed from it."""
    return datetime.now(UTC)


class FactList:
    """A journal that keeps facts as they are, for a simulated study: nobody will read it elsewhere."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._at = utc_now()

    def append(self, *facts: object) -> None:
        """Write facts down."""
        for fact in facts:
            self._lines.append(Line(len(self._lines) + 1, self._at, fact))

    def lines(self) -> Iterator[Line]:
        """Every entry, in order."""
        yield from tuple(self._lines)


class MemoryJournal:
    """A journal that ends with its process, for tests.

    Facts pass through the same codec as on disk, so what cannot be kept there is refused here.
    """

    def __init__(
        self, fact_types: Iterable[type] = (), *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._codec = FactCodec((*LEDGER, *fact_types))
        self._now = now
        self._rows: list[tuple[datetime, str, str]] = []

    def append(self, *facts: object) -> None:
        """Write facts down, all or none."""
        at = self._now()
        self._rows.extend([(at, *self._codec.write(fact)) for fact in facts])

    def lines(self) -> Iterator[Line]:
        """Every entry, in order."""
        for seq, (at, kind, payload) in enumerate(tuple(self._rows), start=1):
            yield Line(seq, at, self._codec.read(kind, payload))
