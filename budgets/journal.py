"""The journal: facts in order, kept for good.

``SqlJournal`` keeps them in SQLite. An ``append`` is one transaction, on disk when it returns: the
file is in write-ahead mode with ``synchronous=FULL``, which costs one sync per append where a
rollback journal costs three, and lets ``status`` read while a driver writes. The file must lie on
a local disk: SQLite's locks cannot be trusted on a network file system.

One driver writes. Its claim (``budgets/claim.py``) keeps a second one out; should a claim ever fail,
for instance on a file system without locks, the driver that opened last has the higher number in
the table of drivers, and every append checks that number within its own transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, insert, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from budgets import tables
from budgets.claim import Claim
from budgets.codec import FactCodec
from budgets.errors import JournalError, StaleDriverError
from budgets.ledger import Charged, Opened, Released, Reserved

_LEDGER = (Opened, Reserved, Charged, Released)
_PAGE = 1000  # entries read at a time: no reader holds a snapshot for longer than one page


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


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryJournal:
    """A journal that ends with its process, for tests and simulated studies.

    Facts pass through the same codec as on disk, so what cannot be kept there is refused here.
    """

    def __init__(
        self, fact_types: Iterable[type] = (), *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._codec = FactCodec((*_LEDGER, *fact_types))
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


class SqlJournal:
    """A journal in a database file.

    Readers take no lock and never create the file. A writer creates it, and is the only one until
    it is closed or its process ends.
    """

    def __init__(
        self,
        url: str | Path,
        fact_types: Iterable[type] = (),
        *,
        writer: bool = False,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Open the journal.

        Args:
            url: an SQLite file, as a path or as ``sqlite:///…``.
            fact_types: frozen dataclasses kept beside the ledger's entries.
            writer: whether to claim it for writing.
            now: tells when an entry is written, in UTC.

        Raises:
            SecondDriverError: another driver has claimed it.
            JournalError: it is missing, unreadable, of a newer format, or not a journal.
        """
        self._path = _file(url)
        if not writer and not self._path.is_file():
            raise JournalError(
                f"{self._path}: there is no journal here; name the folder of a run that was begun"
            )
        self._codec = FactCodec((*_LEDGER, *fact_types))
        self._now = now
        self._claim = _claim(self._path, now()) if writer else None
        self._engine = _engine(self._path, writer=writer)
        try:
            self._epoch, self._last_seq = self._begin_turn(self._claim)
        except BaseException:
            self.close()
            raise

    def append(self, *facts: object) -> None:
        """Write facts down, all or none; when this returns they are on disk.

        Raises:
            StaleDriverError: another driver took over.
            JournalError: they could not be written, and none was.
            TypeError: one is not a fact this journal keeps.
        """
        if self._claim is None:
            raise JournalError(f"{self._path}: opened for reading, or closed; open it with writer=True")
        at = self._now().isoformat()
        rows = [
            {"seq": seq, "recorded_at": at, "kind": kind, "payload": payload}
            for seq, (kind, payload) in enumerate(map(self._codec.write, facts), self._last_seq + 1)
        ]
        if not rows:
            return
        with self._transaction() as connection:
            self._check_turn(connection)
            connection.execute(insert(tables.entries), rows)
        self._last_seq += len(rows)

    def lines(self) -> Iterator[Line]:
        """Every entry, in order, those written meanwhile included.

        Raises:
            JournalError: an entry cannot be read; names the file, the entry and what to do.
        """
        seen = 0
        while page := self._page(after=seen):
            for seq, recorded_at, kind, payload in page:
                seen += 1
                if seq != seen:
                    raise JournalError(f"{self._path}: entry {seen} is missing; {_RESTORE}")
                yield self._line(seq, recorded_at, kind, payload)

    def close(self) -> None:
        """Let go of the file and of the claim; twice is harmless."""
        self._engine.dispose()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin_turn(self, claim: Claim | None) -> tuple[int, int]:
        with self._transaction() as connection:
            if claim is not None and tables.found_format(connection) == 0:
                tables.create(connection)
            self._check_format(tables.found_format(connection))
            epoch = tables.last_epoch(connection)
            if claim is not None:
                epoch += 1
                owner = {"pid": claim.pid, "host": claim.host, "since": claim.since}
                connection.execute(insert(tables.drivers).values(epoch=epoch, **owner))
            return epoch, tables.last_seq(connection)

    def _check_turn(self, connection: Connection) -> None:
        newest = tables.last_epoch(connection)
        if newest != self._epoch:
            raise StaleDriverError(str(self._path), epoch=self._epoch, newest=newest)
        last_seq = tables.last_seq(connection)
        if last_seq != self._last_seq:
            raise JournalError(
                f"{self._path}: the last entry is {last_seq}, this driver wrote up to {self._last_seq}. "
                "Another program wrote to the file; stop it and run the same command again."
            )

    def _check_format(self, found: int | None) -> None:
        if not found:
            raise JournalError(
                f"{self._path}: holds no journal. Name the folder of a run that was begun, "
                "or choose another 'store' or 'name' in the spec."
            )
        if found > tables.FORMAT:
            raise JournalError(
                f"{self._path}: written in journal format {found}; this version reads up to "
                f"{tables.FORMAT}. Install the interlude-scheduler that wrote it, or a newer one."
            )

    def _page(self, after: int) -> Sequence[tuple[int, str, str, str]]:
        columns = tables.entries.c
        query = select(columns.seq, columns.recorded_at, columns.kind, columns.payload)
        with self._transaction() as connection:
            rows = connection.execute(
                query.where(columns.seq > after).order_by(columns.seq).limit(_PAGE)
            )
            return [(row.seq, row.recorded_at, row.kind, row.payload) for row in rows]

    def _line(self, seq: int, recorded_at: str, kind: str, payload: str) -> Line:
        try:
            at = datetime.fromisoformat(recorded_at).astimezone(UTC)
            return Line(seq, at, self._codec.read(kind, payload))
        except (TypeError, ValueError) as error:
            raise JournalError(
                f"{self._path}: entry {seq} ({kind}) cannot be read: {error}. If a newer version of "
                f"interlude-scheduler wrote it, install that version; else {_RESTORE}"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise JournalError(f"{self._path}: {error.orig}; {_remedy(error.orig)}") from error
        except SQLAlchemyError as error:
            raise JournalError(f"{self._path}: {error}; {_RESTORE}") from error


_RESTORE = "the file was damaged or changed by another program: restore it from a copy."
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program holds the file; close it and try again.",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and may be written.",
    sqlite3.SQLITE_CONSTRAINT: "entries are never changed; append a new one instead.",
    sqlite3.SQLITE_FULL: "free some disk space and run the same command again.",
    sqlite3.SQLITE_IOERR: "check the disk, then run the same command again.",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder.",
}


def _remedy(error: BaseException | None) -> str:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind of failure
    return _REMEDIES.get(primary, _RESTORE)


def _file(url: str | Path) -> Path:
    if isinstance(url, Path):
        return url
    try:
        parsed = make_url(url)
    except ArgumentError:
        return Path(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise JournalError(f"{url}: a journal is an SQLite file; write sqlite:///folder/journal.db")
    return Path(str(parsed.database))


def _claim(path: Path, now: datetime) -> Claim:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Claim(path.with_name(path.name + ".lock"), now=now)
    except OSError as error:
        raise JournalError(
            f"{path}: cannot be written ({error.strerror}). Give this user the right to write the "
            "folder, or choose another 'store' in the spec."
        ) from error


def _engine(path: Path, *, writer: bool) -> Engine:
    settings = ("journal_mode=WAL", "synchronous=FULL") if writer else ("query_only=ON",)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{_mode(path, writer=writer)}",
            uri=True,
            timeout=5.0,
            isolation_level=None,  # we say BEGIN ourselves, see below
            check_same_thread=False,
        )
        try:
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    pool = (
        {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        if writer
        else {"poolclass": NullPool}
    )
    engine = create_engine("sqlite://", creator=connect, **pool)
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"  # the write lock before the first look, not after
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _mode(path: Path, *, writer: bool) -> str:
    if writer:
        return "mode=rwc"
    if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-wal").exists():
        return "mode=rw"  # even a reader replays a killed driver's log
    return "mode=ro&immutable=1"  # an archive nobody writes, where SQLite could not make its files
