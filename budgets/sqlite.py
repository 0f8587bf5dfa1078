"""Tables in an SQLite file.

The file is in write-ahead mode with ``synchronous=FULL``: a transaction is on disk when it returns,
for one sync where a rollback journal costs three, and readers do not wait for a writer. It must lie
on a local disk: SQLite's locks cannot be trusted on a network file system.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from budgets.claim import Claim, Owner, last_acknowledged
from budgets.database import RESTORE, Use
from budgets.errors import JournalError

_WAIT_S = {Use.READ: 5.0, Use.DRIVE: 5.0, Use.SHARE: 60.0}  # for the file, before giving up
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program holds the file; close it and try again.",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and may be written.",
    sqlite3.SQLITE_CONSTRAINT: "entries are never changed; append a new one instead.",
    sqlite3.SQLITE_FULL: "free some disk space and run the same command again.",
    sqlite3.SQLITE_IOERR: "check the disk, then run the same command again.",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder.",
}


class SqliteFile:
    """One file; who drives it holds the lock file beside it.

    Attributes:
        place: its path.
        engine: makes its connections.
        last_acknowledged: the last entry noted in the lock file, 0 for none.
    """

    def __init__(self, path: Path, use: Use, owner: Owner) -> None:
        """Open the file; a writer creates it.

        Raises:
            SecondDriverError: another driver holds the lock file.
            JournalError: it is missing, cannot be written, or is damaged.
        """
        self.place = str(path)
        lock_file = path.with_name(path.name + ".lock")
        self._claim: Claim | None = None
        if use is Use.READ:
            _must_exist(path)
        else:
            self._claim = _prepared(path, lock_file if use is Use.DRIVE else None, owner)
        claim = self._claim
        self.last_acknowledged = claim.last_acknowledged if claim else last_acknowledged(lock_file)
        self.engine = _engine(path, use)

    def note(self, last_seq: int) -> None:
        """Remember in the lock file which entry was acknowledged last."""
        if self._claim is not None:
            self._claim.note(last_seq)

    def remedy(self, error: BaseException | None) -> str:
        """What to do about an error of SQLite."""
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind of failure
        return _REMEDIES.get(primary, RESTORE)

    def close(self) -> None:
        """Let go of the file and of the claim; twice is harmless."""
        self.engine.dispose()
        if self._claim is not None:
            self._claim.close()
            self._claim = None


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal here; name the folder of a run that was begun")


def _prepared(path: Path, lock_file: Path | None, owner: Owner) -> Claim | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Claim(lock_file, owner) if lock_file else None
    except OSError as error:
        raise JournalError(
            f"{path}: cannot be written ({error.strerror}). Give this user the right to write the "
            "folder, or choose another 'store' in the spec."
        ) from error


def _engine(path: Path, use: Use) -> Engine:
    settings = ("query_only=ON",) if use is Use.READ else ("journal_mode=WAL", "synchronous=FULL")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{_mode(path, use)}",
            uri=True,
            timeout=_WAIT_S[use],
            isolation_level=None,  # we say BEGIN ourselves, see below
            check_same_thread=False,
        )
        try:
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
            if use is Use.DRIVE:
                _check(connection)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    pool = (
        {"poolclass": NullPool}
        if use is Use.READ
        else {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    )
    engine = create_engine("sqlite://", creator=connect, **pool)
    begin = "BEGIN" if use is Use.READ else "BEGIN IMMEDIATE"  # the lock before the first look
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _check(connection: sqlite3.Connection) -> None:
    """Refuse to write into a damaged file."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _mode(path: Path, use: Use) -> str:
    if use is not Use.READ:
        return "mode=rwc"
    if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-wal").exists():
        return "mode=rw"  # even a reader replays a killed driver's log
    return "mode=ro&immutable=1"  # an archive nobody writes, where SQLite could not make its files
