"""The tables of accounts that several studies draw on, append-only.

account_entries  per account seq 1, 2, 3, … without gaps: who booked what, and, as on a bank
                 statement, where the account and the hold stand after it
account_drivers  per account and study epoch 1, 2, 3, …: every driver that ever drew on it, and
                 the journal it keeps
account_format   the version of these tables
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
)

from budgets.amount import DeviceTime
from budgets.append_only import append_only
from budgets.bill import Purpose
from budgets.ledger import Charged, Closed, Entry, Opened, Released, Reserved
from budgets.standing import Standing

FORMAT = 1

_metadata = MetaData()

account_entries = Table(
    "account_entries",
    _metadata,
    Column("account", String(255), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("recorded_at", String(40), nullable=False),
    Column("study", String(255), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("hold", String(1000), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("amount_ms", BigInteger, nullable=False),
    Column("left_ms", BigInteger),  # what the hold has left; nothing once it is closed
    Column("cap_ms", BigInteger, nullable=False),
    Column("spent_ms", BigInteger, nullable=False),
    Column("held_ms", BigInteger, nullable=False),
    Column("open_holds", Integer, nullable=False),
    CheckConstraint("amount_ms >= 0 AND left_ms >= 0 AND held_ms >= 0 AND open_holds >= 0"),
)
Index("account_holds", *(account_entries.c[name] for name in ("account", "study", "hold", "seq")))
account_drivers = Table(
    "account_drivers",
    _metadata,
    Column("account", String(255), primary_key=True),
    Column("study", String(255), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("journal", String(32), nullable=False),
    Column("since", String(40), nullable=False),
)
account_format = Table(
    "account_format",
    _metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

append_only(account_entries, "seq", within=("account",), gapless=True)
append_only(account_drivers, "epoch", within=("account", "study"), gapless=True)
append_only(account_format, "version")


def found_format(connection: Connection) -> int | None:
    """The version of the tables; 0 when the database is empty, None when it holds something else."""
    names = inspect(connection).get_table_names()
    if account_format.name not in names:
        return None if names else 0
    return int(connection.scalar(select(func.max(account_format.c.version))) or 0)


def create(connection: Connection) -> None:
    """Make the tables in an empty database."""
    _metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(account_format).values(version=FORMAT))


def accounts(connection: Connection) -> list[str]:
    """The names of all accounts."""
    return list(connection.scalars(select(account_entries.c.account).distinct().order_by("account")))


def last(connection: Connection, account: str) -> tuple[int, Standing]:
    """The number of an account's last entry, 0 when there is none, and the standing after it."""
    columns = account_entries.c
    query = select(account_entries).where(columns.account == account)
    row = connection.execute(query.order_by(columns.seq.desc()).limit(1)).one_or_none()
    return (row.seq, standing_of(row)) if row else (0, Standing())


def left_of(connection: Connection, account: str, study: str, hold: str) -> DeviceTime | None:
    """What a hold has left, None when it is not open."""
    columns = account_entries.c
    query = select(columns.left_ms).where(
        columns.account == account, columns.study == study, columns.hold == hold
    )
    left_ms = connection.scalar(query.order_by(columns.seq.desc()).limit(1))
    return None if left_ms is None else DeviceTime(left_ms)


def standing_of(row: Row[Any]) -> Standing:
    """The standing that a row of ``account_entries`` holds."""
    cap, spent, held = (DeviceTime(ms) for ms in (row.cap_ms, row.spent_ms, row.held_ms))
    return Standing(cap, spent, held, row.open_holds)


def standing_columns(standing: Standing, left: DeviceTime | None) -> dict[str, int | None]:
    """The columns that say where account and hold stand."""
    return {
        "left_ms": None if left is None else left.ms,
        "cap_ms": standing.cap.ms,
        "spent_ms": standing.spent.ms,
        "held_ms": standing.held.ms,
        "open_holds": standing.open_holds,
    }


def columns_of(entry: Entry) -> dict[str, object]:
    """The columns that say what was booked."""
    match entry:
        case Opened(amount) | Closed(amount):
            hold, purpose, ms = "", "", amount.ms
        case Reserved(hold, amount):
            purpose, ms = "", amount.ms
        case Charged(hold, why, amount):
            purpose, ms = str(why), amount.ms
        case Released(hold):
            purpose, ms = "", 0
    return {"kind": type(entry).__name__, "hold": hold, "purpose": purpose, "amount_ms": ms}


def entry_of(kind: str, hold: str, purpose: str, amount_ms: int) -> Entry:
    """The entry that :func:`columns_of` wrote.

    Raises:
        ValueError: no entry is written like this.
    """
    amount = DeviceTime(amount_ms)
    match kind:
        case "Opened":
            return Opened(amount)
        case "Closed":
            return Closed(amount)
        case "Reserved":
            return Reserved(hold, amount)
        case "Charged":
            return Charged(hold, Purpose(purpose), amount)
        case "Released":
            return Released(hold)
        case _:
            raise ValueError(f"{kind!r} is no ledger entry")
