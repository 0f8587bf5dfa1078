"""Entries of a few kinds, read from another study's journal without replaying it.

Digests and the order of entries are not checked: this is for learning from what was measured, never
for money.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import inspect, select

from budgets import tables
from budgets.claim import Owner
from budgets.codec import FactCodec
from budgets.database import Database, Use, connect, transaction
from budgets.errors import JournalError
from budgets.lines import utc_now

_SCHEMA = "study_"  # how the schema of a journal in PostgreSQL begins (budgets/journal.py)


def skim(url: str | Path, fact_types: Sequence[type], *, schema: str = "") -> tuple[object, ...]:
    """The facts of those types, in order.

    Args:
        url: as a journal's.
        fact_types: which facts; all others are passed over unread.
        schema: of a PostgreSQL database.

    Raises:
        JournalError: it is missing, damaged, or no journal that this version can read.
    """
    database = connect(url, schema, Use.READ, Owner.here(utc_now()))
    try:
        rows = _rows(database, [kind.__name__ for kind in fact_types])
        codec = FactCodec(fact_types)
        return tuple(codec.read(kind, payload) for kind, payload in rows)
    except (TypeError, ValueError) as error:
        raise JournalError(f"{database.place}: an entry cannot be read: {error}") from error
    finally:
        database.close()


def schemas_in(url: str) -> tuple[str, ...]:
    """The schemas of a PostgreSQL database that belong to studies.

    Raises:
        JournalError: it cannot be reached.
    """
    database = connect(url, "public", Use.READ, Owner.here(utc_now()))
    try:
        with transaction(database) as connection:
            names = inspect(connection).get_schema_names()
    finally:
        database.close()
    return tuple(name for name in names if name.startswith(_SCHEMA))


def _rows(database: Database, kinds: Sequence[str]) -> list[tuple[str, str]]:
    columns = tables.entries.c
    query = select(columns.kind, columns.payload).where(columns.kind.in_(kinds)).order_by(columns.seq)
    with transaction(database) as connection:
        found = tables.found_format(connection)
        if found is None or not 0 < found.version <= tables.FORMAT:
            raise JournalError(f"{database.place}: holds no journal that this version can read")
        return [(kind, payload) for kind, payload in connection.execute(query)]
