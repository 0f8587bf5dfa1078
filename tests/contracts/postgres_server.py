"""A PostgreSQL server of the tests' own: fresh data, a free loopback port, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    import psycopg

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
    "fsync": "off",  # the tests kill processes, not the machine: what was written stays written
}


def _binaries() -> Path:
    """The newest server's programs, or a skip that says where they were looked for."""
    found = [str(path) for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    newest = max(found, key=lambda path: float(path.split("/")[4]), default=shutil.which("initdb"))
    if newest is None:
        pytest.skip("no PostgreSQL server: looked in /usr/lib/postgresql/*/bin and on PATH for initdb")
    return Path(newest).parent


def _someone() -> str | None:
    """Who runs the server: nobody special, since it refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


class Server:
    """A running server, and databases in it."""

    def __init__(self, folder: Path) -> None:
        self._binaries = _binaries()
        self._folder = folder
        someone = _someone()
        self._as = ["runuser", "-u", someone, "--"] if someone else []
        if someone:
            shutil.chown(folder, someone)
        self._call("initdb", "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.port = self._start()

    @property
    def url(self) -> str:
        """The database."""
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection beside those under test, each statement its own transaction."""
        import psycopg  # here: every test loads this file

        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)

    def clear(self) -> None:
        """Drop what a test made. A database for each test would take 7 MB each."""
        with self.connect() as connection:
            connection.execute("SET lock_timeout = '10s'")
            connection.execute("SET client_min_messages = warning")
            made = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(study|interlude_accounts)'"
            ).fetchall()
            for (schema,) in made:
                connection.execute(f'DROP SCHEMA "{schema}" CASCADE')

    def stop(self) -> None:
        """Stop at once: nothing here is worth a checkpoint."""
        self._call("pg_ctl", "stop", "-m", "immediate")

    def restart(self) -> None:
        """Break every connection, as a server that is maintained or crashes does."""
        self._call("pg_ctl", "restart", "-m", "immediate", "-w", "-l", str(self._folder / "log"))

    def _start(self) -> int:
        for _ in range(5):  # another program may take the port in between
            port = free_port()
            options = " ".join(f"-c {key}='{value}'" for key, value in _SETTINGS.items())
            log = str(self._folder / "log")
            try:
                self._call("pg_ctl", "start", "-w", "-l", log, "-o", f"-p {port} {options}")
            except subprocess.CalledProcessError as error:
                failure = error
            else:
                return port
        raise failure

    def _call(self, program: str, *arguments: str) -> None:
        data = str(self._folder / "data")
        command = [*self._as, str(self._binaries / program), "-D", data, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server; where its programs are missing, what needs it is skipped."""
    folder = Path(tempfile.mkdtemp(prefix="interlude-postgres-"))
    try:
        server = Server(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[str]:
    """The URL of a database that is empty when the test begins."""
    yield postgres_server.url
    postgres_server.clear()
