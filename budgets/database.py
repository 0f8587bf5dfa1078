"""Where tables lie: an SQLite file or a PostgreSQL schema, behind one small port.

What differs between the two is how a driver claims the tables, how writers take turns, and what to
advise when something fails. Tables and queries are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from budgets.claim import Owner
from budgets.errors import JournalError

RESTORE = "the data was damaged or changed by another program: restore it from a copy."


class Use(Enum):
    """What tables are opened for."""

    READ = "read"
    DRIVE = "drive"  # the only writer, until closed or killed
    SHARE = "share"  # one writer of many; transactions take turns


class Database(Protocol):
    """An open place of tables.

    Attributes:
        place: its name in messages.
        engine: every transaction of a writer is alone from its first statement.
        last_acknowledged: the last entry that a driver noted outside the tables, 0 for none.
    """

    place: str
    engine: Engine
    last_acknowledged: int

    def note(self, last_seq: int) -> None:
        """Remember outside the tables which entry was acknowledged last."""

    def remedy(self, error: BaseException | None) -> str:
        """What to do about an error of the driver library."""

    def close(self) -> None:
        """Let go of the tables and of the claim; twice is harmless."""


def connect(url: str | Path, schema: str, use: Use, owner: Owner) -> Database:
    """The tables at a URL, opened.

    Args:
        url: an SQLite file, as a path or as ``sqlite:///…``, or ``postgresql+psycopg://…``.
        schema: where in a PostgreSQL database; a file holds one set of tables and ignores it.
        use: what for.
        owner: who opens them.

    Raises:
        SecondDriverError: another driver has claimed them.
        JournalError: they are missing or cannot be reached.
    """
    parsed = _parsed(url)
    if isinstance(parsed, Path):
        from budgets.sqlite import SqliteFile

        return SqliteFile(parsed, use, owner)
    if not schema:
        place = parsed.render_as_string()
        raise JournalError(f"{place}: keeps many studies: say whose journal is meant (name=…)")
    try:
        from budgets.postgres import PostgresSchema
    except ImportError as error:
        raise JournalError(
            f"{parsed.render_as_string()}: needs psycopg ({error}); "
            "run `pip install 'interlude-scheduler[postgres]'`"
        ) from error

    return PostgresSchema(parsed, schema, use, owner)


@contextmanager
def transaction(database: Database) -> Iterator[Connection]:
    """One transaction, all or nothing.

    Raises:
        JournalError: it failed; names the place, what was found and what to do.
    """
    try:
        with database.engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        found = " ".join(str(error.orig).split())
        raise JournalError(f"{database.place}: {found}; {database.remedy(error.orig)}") from error
    except (SQLAlchemyError, UnicodeDecodeError) as error:  # SQLite quotes damaged text as it is
        raise JournalError(f"{database.place}: {error}; {RESTORE}") from error


def _parsed(url: str | Path) -> Path | URL:
    if isinstance(url, Path):
        return url
    try:
        parsed = make_url(url)
    except ArgumentError:
        return Path(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return Path(str(parsed.database))
    if parsed.get_backend_name() == "postgresql" and parsed.database:
        return parsed.set(drivername="postgresql+psycopg")
    raise JournalError(
        f"{parsed.render_as_string()}: keep books in an SQLite file, sqlite:///folder/journal.db, "
        "or in a PostgreSQL database, postgresql+psycopg://user@host/database"
    )
