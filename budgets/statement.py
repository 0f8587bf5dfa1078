"""The statement of an account: every entry, and every sum beside it checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from budgets import account_tables as tables
from budgets.amount import DeviceTime
from budgets.database import RESTORE
from budgets.errors import CapInUseError, HoldError, InsufficientBudgetError, JournalError
from budgets.ledger import Entry
from budgets.standing import Standing, after


@dataclass(frozen=True, slots=True)
class EnvelopeLine:
    """One entry of an account.

    Attributes:
        seq: 1, 2, 3, … without gaps.
        at: when it was written, UTC.
        study: who booked it, empty for a grant.
        entry: what was booked.
        standing: where the account stands after it.
    """

    seq: int
    at: datetime
    study: str
    entry: Entry
    standing: Standing


def checked(rows: Iterable[Row[Any]], *, account: str, place: str) -> Iterator[EnvelopeLine]:
    """The lines of all rows of an account, in order.

    Raises:
        JournalError: an entry is missing, or is not what must follow those before it.
    """
    standing = Standing()
    left: dict[tuple[str, str], DeviceTime | None] = {}
    for seq, row in enumerate(rows, start=1):
        key = row.study, row.hold
        try:
            at = datetime.fromisoformat(row.recorded_at).astimezone(UTC)
            entry = tables.entry_of(row.kind, row.hold, row.purpose, row.amount_ms)
            standing, left[key] = after(standing, left.get(key), entry, account=account)
            _same(row, seq, standing)
        except (TypeError, ValueError, CapInUseError, HoldError, InsufficientBudgetError) as error:
            raise JournalError(
                f"{place}: entry {row.seq} of account {account!r} ({row.kind} {row.hold!r} by "
                f"{row.study!r}) cannot follow those before it: {error}; {RESTORE}"
            ) from error
        yield EnvelopeLine(seq, at, row.study, entry, standing)


def _same(row: Row[Any], seq: int, standing: Standing) -> None:
    if row.seq != seq:
        raise ValueError(f"entry {seq} is missing")
    found = tables.standing_of(row)
    if found != standing:
        raise ValueError(f"it must leave {standing}, not {found}")
