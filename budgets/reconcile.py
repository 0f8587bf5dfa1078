"""Bringing an envelope in line with a study's journal, after whatever was killed.

A study reserves in the envelope before its journal, and settles there after its journal. A driver
killed in between leaves the envelope with a hold that the journal does not know, or without charges
that it does. The journal is the truth: what it lacks is released, what it has is settled. Done
twice, nothing happens the second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.envelope import Share
from budgets.errors import JournalError
from budgets.ledger import Charged, Closed, Entry, Opened, Released, Reserved


@dataclass(slots=True)
class _Tally:
    """What became of one name of a hold, all its reservations together."""

    left: DeviceTime | None = None
    charged_ms: Counter[Purpose] = field(default_factory=Counter)


def reconcile(share: Share, journal: Iterable[Entry]) -> tuple[Entry, ...]:
    """Book in the envelope what the journal has and it lacks; what was booked.

    Raises:
        JournalError: the envelope was charged for something the journal does not know.
        InsufficientBudgetError: a hold of the journal is not in the envelope, nor free there.
        StaleDriverError: a newer driver of this study has taken over.
    """
    ours, theirs = _tallies(journal), _tallies(share.entries())
    booked: list[Entry] = []
    for hold in {**ours, **theirs}:
        missing = tuple(_missing(share, hold, ours.get(hold, _Tally()), theirs.get(hold, _Tally())))
        share.book(*missing)
        booked.extend(missing)
    return tuple(booked)


def _tallies(entries: Iterable[Entry]) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for entry in entries:
        if isinstance(entry, Opened | Closed):
            continue
        tally = tallies.setdefault(entry.hold, _Tally())
        match entry:
            case Reserved(_, amount):
                tally.left = amount
            case Charged(_, purpose, amount):
                tally.left = (tally.left or ZERO).less(amount)
                tally.charged_ms[purpose] += amount.ms
            case Released():
                tally.left = None
    return tallies


def _missing(share: Share, hold: str, ours: _Tally, theirs: _Tally) -> Iterator[Entry]:
    """What to book so that the envelope says of ``hold`` what the journal says."""
    owed_ms = {
        purpose: ours.charged_ms[purpose] - theirs.charged_ms[purpose]
        for purpose in Purpose
        if ours.charged_ms[purpose] != theirs.charged_ms[purpose]
    }
    for purpose, ms in owed_ms.items():
        if ms < 0:
            raise JournalError(
                f"account {share.envelope.name!r} was charged {DeviceTime(-ms)} ({purpose}) for hold "
                f"{hold!r} of study {share.study!r} that its journal does not know: the journal was "
                "restored from an older copy, or deleted. Put the newest copy back, or give the new "
                "run another 'name' in the spec."
            )
    left = theirs.left
    if left is None and owed_ms:
        left = ZERO
        yield Reserved(hold, left)
    for purpose, ms in owed_ms.items():
        yield Charged(hold, purpose, DeviceTime(ms))
        left = (left or ZERO).less(DeviceTime(ms))
    if left is not None and left != ours.left:
        yield Released(hold)
        left = None
    if left is None and ours.left is not None:
        yield Reserved(hold, ours.left)
