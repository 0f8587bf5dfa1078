"""Tables in a schema of a PostgreSQL database.

A driver's claim is an advisory lock of its one connection, so the server frees it when the process
dies; a machine that vanishes is given up after about a minute without an answer. A writer's
transactions take a second advisory lock first: they are alone with the tables, as in SQLite. The
server confirms a transaction only when it is on disk (``synchronous_commit``).
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from budgets.claim import Owner, at_fork
from budgets.database import RESTORE, Use
from budgets.errors import SecondDriverError

_KILLED_S = 3  # how long the server may take to see that a killed driver's connection is gone
_SETTINGS = {
    "synchronous_commit": "on",
    "client_min_messages": "warning",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_REMEDIES = {  # by the beginning of the SQLSTATE, the longest first
    "42501": "give this role the right to create a schema in the database, and to write in it.",
    "23": "entries are never changed; append a new one instead.",
    "25006": "the server or this session only reads; name the primary server.",
    "53": "the server is out of room or connections: free some, then run the same command again.",
    "XX": RESTORE,
    "42": RESTORE,
}
_UNREACHED = (
    "check that the server runs and can be reached, and that user, password and database are right; "
    "then run the same command again."
)


class PostgresSchema:
    """One schema of a database; who drives it holds an advisory lock.

    Attributes:
        place: URL without the password, and schema.
        engine: makes its connections.
        last_acknowledged: always 0: the server checks its own log.
    """

    def __init__(self, url: URL, schema: str, use: Use, owner: Owner) -> None:
        """Open the schema; a writer creates it when its first transaction begins."""
        self.place = f"{url.render_as_string()} (schema {schema})"
        self.last_acknowledged = 0
        self._schema = schema
        self._use = use
        self.engine = self._engine(url, owner)

    def note(self, last_seq: int) -> None:
        """Nothing: the server does not lose the end of its log unnoticed."""

    def remedy(self, error: BaseException | None) -> str:
        """What to do about an error of the server."""
        state = getattr(error, "sqlstate", None) or ""
        found = (advice for start, advice in _REMEDIES.items() if state.startswith(start))
        return next(found, _UNREACHED)

    def close(self) -> None:
        """Hang up, which gives the claim up; twice is harmless."""
        self.engine.dispose()

    def _engine(self, url: URL, owner: Owner) -> Engine:
        reads = self._use is Use.READ
        engine = create_engine(
            url,
            isolation_level="READ COMMITTED",  # looks after the lock, not before it
            connect_args={"connect_timeout": 10, "application_name": f"interlude {owner.pid}"},
            **({"poolclass": NullPool} if reads else {"poolclass": QueuePool, "pool_size": 1}),
            **({} if reads else {"max_overflow": 0}),
        )
        event.listen(engine, "connect", self._prepare)
        if not reads:
            turn = _key("turn", self._schema)
            event.listen(
                engine,
                "begin",
                lambda connection: connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({turn})"),
            )
        return engine

    def _prepare(self, connection: psycopg.Connection[Any], _record: object) -> None:
        """Settings, claim and schema of a new connection, which is closed if one is refused."""
        try:
            connection.autocommit = True
            self._set_up(connection)
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise

    def _set_up(self, connection: psycopg.Connection[Any]) -> None:
        schema = sql.Identifier(self._schema).as_string()
        settings = {**_SETTINGS, "search_path": schema}
        if self._use is Use.READ:
            settings["default_transaction_read_only"] = "on"
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        if self._use is Use.DRIVE:
            self._claim(connection)
        if self._use is not Use.READ:
            at_fork(connection, _hang_up_quietly)
            self._create(connection, schema)

    def _claim(self, connection: psycopg.Connection[Any]) -> None:
        key = _key("claim", self._schema)
        connection.execute(f"SET lock_timeout = '{_KILLED_S}s'")
        try:
            (taken,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() or (0,)
            if not taken:
                connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        except psycopg.errors.LockNotAvailable:
            raise self._second_driver(connection) from None
        connection.execute("SET lock_timeout = 0")

    def _second_driver(self, connection: psycopg.Connection[Any]) -> SecondDriverError:
        try:
            row = connection.execute(
                "SELECT pid, host, since FROM drivers ORDER BY epoch DESC LIMIT 1"
            ).fetchone()
        except psycopg.errors.UndefinedTable:
            row = None
        pid, host, since = row or (0, "", "")
        return SecondDriverError(self.place, pid=pid, host=host, since=since)

    def _create(self, connection: psycopg.Connection[Any], schema: str) -> None:
        if connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone() != (None,):
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_key("turn", self._schema),))
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.SQL(schema)))


def _key(purpose: str, schema: str) -> int:
    """The number of an advisory lock: 64 bits, signed."""
    digest = hashlib.sha256(f"interlude {purpose} {schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _hang_up_quietly(connection: psycopg.Connection[Any]) -> None:
    """Close this process's copy of the socket; the session stays the parent's."""
    if not connection.closed:
        os.close(connection.fileno())
