"""The journal: facts in order, kept for good.

``SqlJournal`` keeps them in an SQLite file or a PostgreSQL schema. An ``append`` is one transaction,
on disk when it returns. Readers take no lock.

One driver writes. Its claim keeps a second one out and ends with its process; should a claim ever
fail, for instance on a file system without locks or over a broken network, the driver that opened
last has the higher number in the table of drivers, and every append checks that number within its
own transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, insert

from budgets import tables
from budgets.claim import Owner
from budgets.codec import FactCodec
from budgets.database import RESTORE, Use, connect, transaction
from budgets.errors import JournalError, StaleDriverError
from budgets.lines import LEDGER, Journal, Line, MemoryJournal, utc_now

__all__ = ["Journal", "Line", "MemoryJournal", "SqlJournal"]

_PAGE = 1000  # entries read at a time: no reader holds a snapshot for longer than one page


class SqlJournal:
    """A journal in a database: an SQLite file of its own, or a PostgreSQL schema of its own.

    Readers never create anything. A writer creates it, and is the only one until it is closed or its
    process ends.
    """

    def __init__(
        self,
        url: str | Path,
        fact_types: Iterable[type] = (),
        *,
        name: str = "",
        writer: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the journal.

        Args:
            url: an SQLite file, as a path or as ``sqlite:///…``, or ``postgresql+psycopg://…``.
            fact_types: frozen dataclasses kept beside the ledger's entries.
            name: the study. A PostgreSQL database holds many and must be told; a file holds one,
                and another's is refused.
            writer: whether to claim it for writing.
            now: tells when an entry is written, in UTC.

        Raises:
            SecondDriverError: another driver has claimed it.
            JournalError: it is missing, damaged, another study's, of a newer format, or no journal.
        """
        self._codec = FactCodec((*LEDGER, *fact_types))
        self._now = now
        self._study = name
        self._writer = writer
        owner = Owner.here(now())
        self._database = connect(url, _schema(name), Use.DRIVE if writer else Use.READ, owner)
        try:
            with transaction(self._database) as connection:
                self._format = self._found(connection)
                self._last_seq = tables.last_seq(connection)
                self._last_digest = tables.last_digest(connection) if writer else ""
                self._epoch = _take_turn(connection, owner) if writer else 0
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        """The journal's own name: no other journal has it, a copy of this one does."""
        return self._format.journal

    def append(self, *facts: object) -> None:
        """Write facts down, all or none; when this returns they are on disk.

        Raises:
            StaleDriverError: another driver took over.
            JournalError: they could not be written, and none was.
            TypeError: one is not a fact this journal keeps.
        """
        if not self._writer:
            raise JournalError(f"{self._place}: opened for reading, or closed; open it with writer=True")
        at = self._now().isoformat()
        rows: list[tables.Row] = []
        digest = self._last_digest
        for seq, (kind, payload) in enumerate(map(self._codec.write, facts), self._last_seq + 1):
            row = tables.Row(seq, at, kind, payload)
            digest = row.digest_after(digest)
            rows.append(replace(row, digest=digest))
        if not rows:
            return
        with transaction(self._database) as connection:
            self._check_turn(connection)
            connection.execute(insert(tables.entries), [asdict(row) for row in rows])
        self._last_seq, self._last_digest = rows[-1].seq, digest
        self._database.note(self._last_seq)

    def lines(self) -> Iterator[Line]:
        """Every entry, in order, those written meanwhile included.

        Raises:
            JournalError: an entry cannot be read; names the place, the entry and what to do.
        """
        seen, digest = 0, ""
        while page := self._page(after=seen):
            for row in page:
                seen += 1
                if row.seq != seen:
                    raise JournalError(f"{self._place}: entry {seen} is missing; {RESTORE}")
                digest = self._checked_digest(row, digest)
                yield self._line(row)

    def close(self) -> None:
        """Let go of the database and of the claim; twice is harmless."""
        self._writer = False
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _place(self) -> str:
        return self._database.place

    def _found(self, connection: Connection) -> tables.Format:
        found = tables.found_format(connection)
        if found is None or found.version > tables.FORMAT:
            return _checked(found, self._study, self._place)
        last_seq = tables.last_seq(connection) if found.version else 0
        if last_seq < self._database.last_acknowledged:
            raise _cut_short(self._place, last_seq, self._database.last_acknowledged)
        if self._writer and found.version < tables.FORMAT:
            bring_up = tables.migrate if found.version else tables.create
            bring_up(connection, self._study)
            found = tables.found_format(connection)
        return _checked(found, self._study, self._place)

    def _check_turn(self, connection: Connection) -> None:
        newest = tables.last_epoch(connection)
        if newest != self._epoch:
            raise StaleDriverError(self._place, epoch=self._epoch, newest=newest)
        last_seq = tables.last_seq(connection)
        if last_seq != self._last_seq:
            raise JournalError(
                f"{self._place}: the last entry is {last_seq}, this driver wrote up to "
                f"{self._last_seq}. Another program wrote to it; stop that and run the same command "
                "again."
            )

    def _checked_digest(self, row: tables.Row, before: str) -> str:
        if row.digest is None and not before:
            return ""  # written in format 1
        if row.digest != row.digest_after(before):
            raise JournalError(
                f"{self._place}: entry {row.seq} ({row.kind}) is not what was written: its digest "
                f"does not match; {RESTORE}"
            )
        return row.digest

    def _page(self, after: int) -> Sequence[tables.Row]:
        with transaction(self._database) as connection:
            return tables.page(connection, self._format.version, after=after, limit=_PAGE)

    def _line(self, row: tables.Row) -> Line:
        try:
            at = datetime.fromisoformat(row.recorded_at).astimezone(UTC)
            return Line(row.seq, at, self._codec.read(row.kind, row.payload))
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"{self._place}: entry {row.seq} ({row.kind}) cannot be read: {error}. If a newer "
                f"version of interlude-scheduler wrote it, install that version; else {RESTORE}"
            ) from error


def _schema(study: str) -> str:
    """The PostgreSQL schema of a study; its names may have 63 bytes."""
    if not study or len(study.encode()) <= 50:
        return study and f"study_{study}"
    return f"study_{study[:30]}_{hashlib.sha256(study.encode()).hexdigest()[:16]}"


def _take_turn(connection: Connection, owner: Owner) -> int:
    epoch = tables.last_epoch(connection) + 1
    connection.execute(insert(tables.drivers).values(epoch=epoch, **asdict(owner)))
    return epoch


def _checked(found: tables.Format | None, study: str, place: str) -> tables.Format:
    """What was found, if it is a journal of the study that this version can read."""
    if found is None or not found.version:
        raise JournalError(
            f"{place}: holds no journal. Name the folder of a run that was begun, "
            "or choose another 'store' or 'name' in the spec."
        )
    if found.version > tables.FORMAT:
        raise JournalError(
            f"{place}: written in journal format {found.version}; this version reads up to "
            f"{tables.FORMAT}. Install the interlude-scheduler that wrote it, or a newer one."
        )
    if study and found.study and study != found.study:
        raise JournalError(
            f"{place}: the journal of study {found.study!r}, not of {study!r}. Name that study's own "
            "journal, or choose another 'store', 'journal' or 'name' in the spec."
        )
    return found


def _cut_short(place: str, last_seq: int, acknowledged: int) -> JournalError:
    return JournalError(
        f"{place}: ends with entry {last_seq}, but entry {acknowledged} was acknowledged: the file or "
        f"its log ({place}-wal) was cut short, deleted or replaced. Put both back together. If they "
        f"come from a copy and what is missing is lost for good, delete {place}.lock and run again."
    )
