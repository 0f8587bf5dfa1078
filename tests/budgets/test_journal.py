"""Journals keep what they acknowledged, refuse a second writer, and say what is wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from budgets.amount import DeviceTime
from budgets.errors import JournalError, SecondDriverError, StaleDriverError
from budgets.journal import Line, MemoryJournal, SqlJournal
from budgets.ledger import Opened, Released
from budgets.tables import Row
from tests.contracts.journal_contract import NOON, JournalContract, Noted


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self):
        return MemoryJournal([Noted], now=lambda: NOON)


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    def journal(self, tmp_path):
        with SqlJournal(tmp_path / "journal.db", [Noted], writer=True, now=lambda: NOON) as journal:
            yield journal


class TestPostgresJournal(JournalContract):
    @pytest.fixture
    def journal(self, postgres):
        with SqlJournal(postgres, [Noted], name="s", writer=True, now=lambda: NOON) as journal:
            yield journal


@pytest.fixture
def path(tmp_path):
    """A closed journal with three entries."""
    path = tmp_path / "run" / "journal.db"
    with SqlJournal(path, [Noted], writer=True, now=lambda: NOON) as journal:
        journal.append(Opened(DeviceTime(100)))
        journal.append(Noted("a"), Noted("b"))
    return path


def damage(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def without_triggers(path):
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]
    connection.close()
    return [f"DROP TRIGGER {name}" for name in names]


def rewrite(path, seq, kind, payload):
    """Change an entry so that its digest, and those after it, still match."""
    connection = sqlite3.connect(path)
    rows = [Row(*values) for values in connection.execute("SELECT * FROM entries ORDER BY seq")]
    digest = ""
    rows[seq - 1] = replace(rows[seq - 1], kind=kind, payload=payload)
    for row in rows:
        digest = row.digest_after(digest)
        connection.execute(
            "UPDATE entries SET kind = ?, payload = ?, digest = ? WHERE seq = ?",
            (row.kind, row.payload, digest, row.seq),
        )
    connection.commit()
    connection.close()


def test_a_reader_sees_what_a_writer_wrote_while_it_is_open(path):
    with SqlJournal(f"sqlite:///{path}", [Noted], writer=True) as writer:
        writer.append(Noted("c"))
        with SqlJournal(f"sqlite:///{path}", [Noted]) as reader:
            lines = list(reader.lines())
            writer.append(Noted("d"))
            assert len(list(reader.lines())) == 5
    assert lines[0] == Line(1, NOON, Opened(DeviceTime(100)))
    assert [line.fact for line in lines[1:]] == [Noted("a"), Noted("b"), Noted("c")]


def test_a_reader_may_not_append(path):
    with SqlJournal(path, [Noted]) as reader, pytest.raises(JournalError, match="opened for reading"):
        reader.append(Noted("c"))


def test_a_reader_creates_nothing(tmp_path):
    with pytest.raises(JournalError, match="there is no journal here"):
        SqlJournal(tmp_path / "none" / "journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_journal_in_a_folder_that_may_not_be_written_can_be_read(path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "access", lambda folder, mode: seen.append(folder))
    with SqlJournal(path, [Noted]) as reader:
        lines = reader.lines()
        assert next(lines).fact == Opened(DeviceTime(100))
        assert sorted(os.listdir(path.parent)) == ["journal.db", "journal.db.lock"]
        assert len(list(lines)) == 2
    assert set(seen) == {path.parent}


def test_a_closed_journal_is_one_file_and_its_lock(path):
    assert sorted(os.listdir(path.parent)) == ["journal.db", "journal.db.lock"]


@pytest.mark.parametrize("table", ["entries", "drivers", "journal_format"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET rowid = 7",
        "DELETE FROM {table}",
        "INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1",
    ],
)
def test_an_entry_cannot_be_changed(path, table, statement):
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        damage(path, statement.format(table=table))


def test_a_second_driver_is_refused_by_name(path):
    with (
        SqlJournal(path, [Noted], writer=True, now=lambda: NOON),
        pytest.raises(
            SecondDriverError, match=f"process {os.getpid()} on .* since 2030-01-01T12"
        ) as refusal,
    ):
        SqlJournal(path, [Noted], writer=True)
    assert refusal.value.pid == os.getpid()
    SqlJournal(path, [Noted], writer=True).close()


def test_a_driver_that_was_taken_over_writes_nothing(path):
    with SqlJournal(path, [Noted], writer=True) as stale:
        path.with_name("journal.db.lock").unlink()  # as on a file system that does not keep locks
        with SqlJournal(path, [Noted], writer=True) as newer:
            with pytest.raises(StaleDriverError, match="number 2, but number 3 has taken over"):
                stale.append(Noted("from the dead"))
            newer.append(Noted("c"))
            assert len(list(newer.lines())) == 4


def test_an_append_waits_for_the_file_and_then_looks_who_may_write(path):
    with SqlJournal(path, [Noted], writer=True) as stale:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO drivers VALUES (9, 1, 'elsewhere', 'now')")
        commit = threading.Timer(0.2, other.commit)
        commit.start()
        with pytest.raises(StaleDriverError, match="number 9 has taken over"):
            stale.append(Noted("c"))
        commit.join()
        other.close()


def test_a_closed_journal_takes_nothing(path):
    journal = SqlJournal(path, [Noted], writer=True)
    journal.close()
    with pytest.raises(JournalError, match="opened for reading, or closed"):
        journal.append(Noted("c"))


def test_a_foreign_entry_stops_the_driver(path):
    with SqlJournal(path, [Noted], writer=True) as journal:
        damage(path, "INSERT INTO entries VALUES (4, '2030-01-01T12:00:00+00:00', 'Noted', '{}', '')")
        with pytest.raises(JournalError, match="the last entry is 4, this driver wrote up to 3"):
            journal.append(Noted("c"))


def test_a_newer_format_is_refused_by_name(path):
    damage(path, "INSERT INTO journal_format VALUES (3, 's', 'j')")
    for writer in (False, True):
        with pytest.raises(JournalError, match="journal format 3; this version reads up to 2"):
            SqlJournal(path, [Noted], writer=writer)


def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "mlflow.db"
    damage(path, "CREATE TABLE runs (name TEXT)")
    for writer in (False, True):
        with pytest.raises(JournalError, match="holds no journal"):
            SqlJournal(path, writer=writer)


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look at" * 40])
def test_a_file_that_is_no_journal_is_named(tmp_path, content):
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.db: (holds no journal|file is not a database)"):
        SqlJournal(path)


def test_a_damaged_file_is_named_with_what_to_do(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"journal\.db: .*restore it from a copy"):
        list(SqlJournal(path, [Noted]).lines())


@pytest.mark.parametrize(
    ("kind", "payload", "complaint"),
    [
        ("Noted", '{"text":"cut sh', "Unterminated string"),
        ("Noted", '{"text":7}', "text: expected str, got 7"),
        ("Noted", '{"txt":"a"}', "Noted has no field 'txt'"),
        ("Noted", '{"words":[]}', "Noted lacks 'text'"),
        ("Wish", "{}", "'Wish' is not one of the facts known here"),
    ],
)
def test_a_malformed_entry_is_named_with_what_to_do(path, kind, payload, complaint):
    damage(path, *without_triggers(path))
    rewrite(path, 2, kind, payload)
    with SqlJournal(path, [Noted]) as journal, pytest.raises(JournalError) as error:
        list(journal.lines())
    assert f"{path}: entry 2 ({kind})" in str(error.value)
    assert complaint in str(error.value)
    assert "restore it from a copy" in str(error.value)


def test_a_missing_entry_is_named(path):
    damage(path, *without_triggers(path), "DELETE FROM entries WHERE seq = 2")
    with SqlJournal(path, [Noted]) as journal, pytest.raises(JournalError, match="entry 2 is missing"):
        list(journal.lines())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match=r"cannot be written .*choose another 'store'"):
        SqlJournal(tmp_path / "file" / "journal.db", writer=True)


@pytest.mark.parametrize("url", ["sqlite://", "mysql://u:secret@somewhere/journal", "postgresql://h"])
def test_a_place_of_another_kind_is_refused(url):
    with pytest.raises(JournalError, match=r"keep books in an SQLite file, .*PostgreSQL") as refusal:
        SqlJournal(url)
    assert "secret" not in str(refusal.value)


def test_a_missing_driver_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "budgets.postgres", raising=False)
    with pytest.raises(
        JournalError, match=r"needs psycopg .*pip install 'interlude-scheduler\[postgres\]'"
    ):
        SqlJournal("postgresql://host/books", name="mine")


def test_more_entries_than_a_page_come_back_in_order(path):
    with SqlJournal(path, [Noted], writer=True) as journal:
        journal.append(*(Noted(str(number)) for number in range(2500)))
        texts = [line.fact.text for line in journal.lines() if line.seq > 3]
    assert texts == [str(number) for number in range(2500)]


APPENDER = """
import sys
from pathlib import Path
from budgets.journal import SqlJournal
from budgets.ledger import Released
journal = SqlJournal(Path(sys.argv[1]), writer=True)
number = sum(1 for _ in journal.lines())
while True:
    journal.append(Released(f"{number}"), Released(f"{number + 1}"))
    number += 2
    print(number, flush=True)
"""


def test_no_acknowledged_entry_is_lost_to_a_kill_and_the_claim_ends_with_it(tmp_path):
    path = tmp_path / "journal.db"
    acknowledged = 0
    for wait_s in (0.0, 0.013, 0.031, 0.057, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE, text=True
        )
        with process, process.stdout:
            acknowledged = int(process.stdout.readline())
            time.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        with SqlJournal(path) as reader:  # no driver has opened it since: the reader replays the log
            holds = [line.fact.hold for line in reader.lines()]
        assert acknowledged <= len(holds)
        assert holds == [str(number) for number in range(len(holds))]
        assert len(holds) % 2 == 0  # pairs were appended together: all or none
    with SqlJournal(path, writer=True) as journal:
        journal.append(Released("after"))


FORKER = """
import os, sys, time
from pathlib import Path
from budgets.journal import SqlJournal
journal = SqlJournal(Path(sys.argv[1]), writer=True)
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.kill(os.getppid(), 9)
time.sleep(60)
"""


def test_a_forked_child_that_outlives_its_driver_does_not_keep_the_claim(tmp_path):
    path = tmp_path / "journal.db"
    with subprocess.Popen([sys.executable, "-c", FORKER, str(path)], stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        process.wait()
        try:
            SqlJournal(path, writer=True).close()
        finally:
            os.kill(child, signal.SIGKILL)
