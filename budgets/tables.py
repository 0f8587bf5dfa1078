"""The journal's tables, and the triggers that make them append-only.

    entries         seq 1, 2, 3, … without gaps; recorded_at; kind; payload
    drivers         epoch 1, 2, 3, …: every driver that ever opened the journal for writing
    journal_format  the version of these tables; a migration adds a row, the highest counts

UPDATE and DELETE are refused. INSERT OR REPLACE would delete a row without asking the delete
trigger, so an insert must continue the numbering: that refuses it too.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    func,
    insert,
    inspect,
    select,
)

FORMAT = 1

_metadata = MetaData()

entries = Table(
    "entries",
    _metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("recorded_at", String(40), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("payload", Text, nullable=False),
)
drivers = Table(
    "drivers",
    _metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("pid", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("since", String(40), nullable=False),
)
journal_format = Table(
    "journal_format",
    _metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)


def _append_only(table: Table) -> None:
    number = table.primary_key.columns[0].name
    for action in ("UPDATE", "DELETE"):
        refusal = (
            f"CREATE TRIGGER {table.name}_no_{action.lower()} BEFORE {action} ON {table.name} "
            f"BEGIN SELECT RAISE(ABORT, '{table.name} are append-only'); END"
        )
        _after_create(table, refusal)
    in_order = (
        f"CREATE TRIGGER {table.name}_in_order BEFORE INSERT ON {table.name} "
        f"WHEN NEW.{number} <= (SELECT coalesce(max({number}), 0) FROM {table.name}) "
        f"BEGIN SELECT RAISE(ABORT, '{table.name} are append-only'); END"
    )
    _after_create(table, in_order)


def _after_create(table: Table, sqlite_text: str) -> None:
    trigger = DDL(sqlite_text)  # type: ignore[no-untyped-call]  # SQLAlchemy's own signature
    event.listen(table, "after_create", trigger.execute_if(dialect="sqlite"))


for _table in (entries, drivers, journal_format):
    _append_only(_table)


def found_format(connection: Connection) -> int | None:
    """The format version in the database; 0 when it is empty, None when it holds something else."""
    names = inspect(connection).get_table_names()
    if journal_format.name not in names:
        return None if names else 0
    return int(connection.scalar(select(func.max(journal_format.c.version))) or 0)


def create(connection: Connection) -> None:
    """Make the tables in an empty database."""
    _metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(journal_format).values(version=FORMAT))


def last_seq(connection: Connection) -> int:
    """The number of the last entry, 0 when there is none."""
    return int(connection.scalar(select(func.max(entries.c.seq))) or 0)


def last_epoch(connection: Connection) -> int:
    """The number of the newest driver, 0 when there is none."""
    return int(connection.scalar(select(func.max(drivers.c.epoch))) or 0)
