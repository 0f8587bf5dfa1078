"""The journal's tables, append-only.

    entries         seq 1, 2, 3, … without gaps; recorded_at; kind; payload; digest
    drivers         epoch 1, 2, 3, …: every driver that ever opened the journal for writing
    journal_format  the version of these tables, the study they belong to, and the journal's own
                    name; a migration adds a row, the highest version counts

A digest covers its entry and the digest before it: a byte that changed anywhere is found when the
journal is read. Format 1 had no digests, and did not know its study.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    inspect,
    null,
    select,
    text,
)

from budgets.append_only import append_only

FORMAT = 2

_metadata = MetaData()

entries = Table(
    "entries",
    _metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("recorded_at", String(40), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("payload", Text, nullable=False),
    Column("digest", String(64)),
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
    Column("study", String(255)),
    Column("journal", String(32)),
)

append_only(entries, "seq", gapless=True)
append_only(drivers, "epoch")
append_only(journal_format, "version")


@dataclass(frozen=True, slots=True)
class Format:
    """What the tables say about themselves.

    Attributes:
        version: of their layout.
        study: whose journal it is; empty when nobody said.
        journal: the journal's own name, never given twice; empty in format 1.
    """

    version: int
    study: str = ""
    journal: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the table holds it."""

    seq: int
    recorded_at: str
    kind: str
    payload: str
    digest: str | None = None

    def digest_after(self, before: str) -> str:
        """The digest this entry must have after one with digest ``before``."""
        covered = "\n".join((before, str(self.seq), self.recorded_at, self.kind, self.payload))
        return hashlib.sha256(covered.encode()).hexdigest()


def found_format(connection: Connection) -> Format | None:
    """What is in the database: version 0 when it is empty, None when it holds something else."""
    names = inspect(connection).get_table_names()
    if journal_format.name not in names:
        return None if names else Format(0)
    version = int(connection.scalar(select(func.max(journal_format.c.version))) or 0)
    if version != FORMAT:
        return Format(version)
    row = connection.execute(select(journal_format).where(journal_format.c.version == version)).one()
    return Format(version, row.study or "", row.journal or "")


def create(connection: Connection, study: str) -> None:
    """Make the tables in an empty database."""
    _metadata.create_all(connection, checkfirst=False)
    _name(connection, study)


def migrate(connection: Connection, study: str) -> None:
    """Bring the tables of format 1 up to date; no entry is touched."""
    for table, column in (
        ("entries", "digest VARCHAR(64)"),
        ("journal_format", "study VARCHAR(255)"),
        ("journal_format", "journal VARCHAR(32)"),
    ):
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column}"))
    _name(connection, study)


def page(connection: Connection, version: int, *, after: int, limit: int) -> Sequence[Row]:
    """The next entries after number ``after``, at most ``limit``."""
    columns = entries.c
    digest = columns.digest if version > 1 else null()
    query = select(columns.seq, columns.recorded_at, columns.kind, columns.payload, digest)
    found = connection.execute(query.where(columns.seq > after).order_by(columns.seq).limit(limit))
    return [Row(*values) for values in found]


def last_seq(connection: Connection) -> int:
    """The number of the last entry, 0 when there is none."""
    return int(connection.scalar(select(func.max(entries.c.seq))) or 0)


def last_digest(connection: Connection) -> str:
    """The digest of the last entry, empty when it has none."""
    query = select(entries.c.digest).order_by(entries.c.seq.desc()).limit(1)
    return connection.scalar(query) or ""


def last_epoch(connection: Connection) -> int:
    """The number of the newest driver, 0 when there is none."""
    return int(connection.scalar(select(func.max(drivers.c.epoch))) or 0)


def _name(connection: Connection, study: str) -> None:
    name = {"version": FORMAT, "study": study, "journal": uuid.uuid4().hex}
    connection.execute(insert(journal_format).values(**name))
