"""An envelope: an account that several studies draw on, from several processes at once.

Each entry is booked in one transaction that is alone with the tables: it reads where the account
stands, refuses what is not free, and writes the entry with the new standing beside it. So two
drivers cannot both take the last hour, and whoever walks the entries can check every sum.

A driver draws through a :class:`Share`, which knows its study and its turn: a driver that was taken
over can no longer book here, as it can no longer write its journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Row, func, insert, select

from budgets import account_tables as tables
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.claim import Owner
from budgets.database import Use, connect, transaction
from budgets.errors import JournalError, StaleDriverError, UnknownAccountError
from budgets.ledger import Charged, Entry, Opened, Released, Reserved
from budgets.lines import utc_now
from budgets.standing import Standing, after
from budgets.statement import EnvelopeLine, checked

_SCHEMA = "interlude_accounts"
_PAGE = 1000


class Envelope:
    """An account of one name."""

    def __init__(
        self,
        url: str | Path,
        name: str,
        *,
        writer: bool = True,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the books of accounts; a writer creates them.

        Args:
            url: an SQLite file, as a path or as ``sqlite:///…``, or ``postgresql+psycopg://…``.
            name: the account.
            writer: whether anything will be booked.
            now: tells when an entry is written, in UTC.

        Raises:
            JournalError: the books are missing, damaged, of a newer format, or something else.
        """
        self.name = name
        self._now = now
        use = Use.SHARE if writer else Use.READ
        self._database = connect(url, _SCHEMA, use, Owner.here(now()))
        try:
            with transaction(self._database) as connection:
                found = tables.found_format(connection)
                if writer and found == 0:
                    tables.create(connection)
                    found = tables.FORMAT
                self._check_format(found)
        except BaseException:
            self.close()
            raise

    def open(self, amount: DeviceTime) -> None:
        """Grant ``amount``; a second grant raises the account."""
        self._book("", (Opened(amount),))

    def reserve(self, study: str, hold: str, amount: DeviceTime) -> None:
        """Set ``amount`` aside for a study.

        Raises:
            InsufficientBudgetError: it is not free; names the account.
            HoldError: the study has a hold of this name open.
            UnknownAccountError: no account of this name was opened.
        """
        self._book(study, (Reserved(hold, amount),))

    def settle(
        self, study: str, hold: str, charges: Mapping[Purpose, DeviceTime], *, release: bool
    ) -> None:
        """Book what a hold spent, and free the rest if it ``release``s; never refused for money.

        Raises:
            HoldError: the study has no hold of this name open.
        """
        spent = [Charged(hold, purpose, amount) for purpose, amount in charges.items() if amount]
        self._book(study, (*spent, Released(hold)) if release else tuple(spent))

    def share(self, study: str, journal: str = "") -> Share:
        """The part of one study, for its driver; an earlier driver of the study books no more.

        Args:
            study: its name.
            journal: the own name of its journal, ``SqlJournal.identity``.

        Raises:
            JournalError: another journal has drawn under this study's name.
            UnknownAccountError: no account of this name was opened.
        """
        columns = tables.account_drivers.c
        query = select(columns.journal).where(columns.account == self.name, columns.study == study)
        with transaction(self._database) as connection:
            self._last(connection)
            known = connection.scalar(query.order_by(columns.epoch.desc()).limit(1))
            if known and known != journal:
                raise JournalError(
                    f"{self._database.place}: another run named {study!r} draws on account "
                    f"{self.name!r}, with a journal of its own. Go on with that run's journal, or "
                    "choose another 'name' in the spec."
                )
            epoch = self._newest(connection, study) + 1
            row = {"account": self.name, "study": study, "epoch": epoch, "journal": journal}
            since = self._now().isoformat(timespec="seconds")
            connection.execute(insert(tables.account_drivers).values(since=since, **row))
        return Share(self, study, epoch)

    @property
    def standing(self) -> Standing:
        """Where the account stands now.

        Raises:
            UnknownAccountError: no account of this name was opened.
        """
        with transaction(self._database) as connection:
            return self._last(connection)[1]

    def lines(self) -> Iterator[EnvelopeLine]:
        """Every entry in order; each sum is checked on the way.

        Raises:
            JournalError: an entry is missing, or cannot follow those before it.
        """
        return checked(self._rows(), account=self.name, place=self._database.place)

    def close(self) -> None:
        """Let go of the books; twice is harmless."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _book(self, study: str, entries: Sequence[Entry], epoch: int | None = None) -> None:
        """Write entries down, all or none, if ``epoch`` is still the study's newest."""
        at = self._now().isoformat()
        rows: list[dict[str, object]] = []
        left: dict[str, DeviceTime | None] = {}
        with transaction(self._database) as connection:
            seq, standing = self._last(connection, grant=not study)
            newest = self._newest(connection, study) if epoch is not None else None
            if epoch is not None and newest != epoch:
                place = f"{self._database.place}, account {self.name!r}, study {study!r}"
                raise StaleDriverError(place, epoch=epoch, newest=newest or 0)
            for number, entry in enumerate(entries, seq + 1):
                booked = tables.columns_of(entry)
                hold = str(booked["hold"])
                if hold not in left:
                    left[hold] = tables.left_of(connection, self.name, study, hold)
                standing, left[hold] = after(standing, left[hold], entry, account=self.name)
                row = {"account": self.name, "seq": number, "recorded_at": at, "study": study}
                rows.append({**row, **booked, **tables.standing_columns(standing, left[hold])})
            if rows:
                connection.execute(insert(tables.account_entries), rows)

    def _last(self, connection: Connection, *, grant: bool = False) -> tuple[int, Standing]:
        seq, standing = tables.last(connection, self.name)
        if not seq and not grant:
            known = tables.accounts(connection)
            raise UnknownAccountError(self._database.place, self.name, known)
        return seq, standing

    def _newest(self, connection: Connection, study: str) -> int:
        columns = tables.account_drivers.c
        query = select(func.max(columns.epoch))
        ours = (columns.account == self.name) & (columns.study == study)
        return int(connection.scalar(query.where(ours)) or 0)

    def _rows(self) -> Iterator[Row[Any]]:
        columns = tables.account_entries.c
        query = select(tables.account_entries).where(columns.account == self.name)
        seen = 0
        while True:
            with transaction(self._database) as connection:
                later = query.where(columns.seq > seen).order_by(columns.seq).limit(_PAGE)
                page = connection.execute(later).all()
            if not page:
                return
            yield from page
            seen = page[-1].seq

    def _check_format(self, found: int | None) -> None:
        if not found:
            raise JournalError(
                f"{self._database.place}: holds no accounts. Open one with "
                f"`interlude account open {self.name} --gpu-hours N`, or name the place that has it."
            )
        if found > tables.FORMAT:
            raise JournalError(
                f"{self._database.place}: accounts in format {found}; this version reads up to "
                f"{tables.FORMAT}. Install the interlude-scheduler that wrote them, or a newer one."
            )


@dataclass(frozen=True, slots=True)
class Share:
    """One study's part of an envelope, in the hands of its newest driver.

    Attributes:
        envelope: the account.
        study: who draws.
        epoch: the driver's turn.
    """

    envelope: Envelope
    study: str
    epoch: int

    def book(self, *entries: Entry) -> None:
        """Write entries down, all or none.

        Raises:
            InsufficientBudgetError: a reservation asks for more than is free in the account.
            HoldError: an entry names a hold of this study that is not open, or opens one twice.
            StaleDriverError: a newer driver of this study has taken over.
        """
        if entries:
            self.envelope._book(self.study, entries, self.epoch)

    def entries(self) -> Iterator[Entry]:
        """What this study booked, in order."""
        return (line.entry for line in self.envelope.lines() if line.study == self.study)
