"""Whatever happens to a journal's file: it is read exactly, or refused with what to do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.errors import JournalError
from budgets.journal import SqlJournal
from budgets.ledger import Charged, Opened, Released, Reserved
from tests.contracts.journal_contract import NOON, Noted

PAGE_BYTES = 4096


def book(account, n_stages):
    account.book(Noted("begun", ("word",) * 2000), Opened(DeviceTime(10**9)))  # longer than a page
    for number in range(n_stages):
        hold = f"trial-{number}/stage"
        account.book(Reserved(hold, DeviceTime(1000)), Noted(hold))
        account.book(Charged(hold, Purpose.TRAIN, DeviceTime(number)), Released(hold))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A closed journal of some ten pages."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    with SqlJournal(path, [Noted], name="mine", writer=True, now=lambda: NOON) as journal:
        book(Account(journal), 60)
    return path


@pytest.fixture
def copy(sound, tmp_path):
    for name in ("journal.db", "journal.db.lock"):
        shutil.copy(sound.with_name(name), tmp_path / name)
    return tmp_path / "journal.db"


def facts(path):
    with SqlJournal(path, [Noted]) as journal:
        return [line.fact for line in journal.lines()]


def refused(path, *, writer=False):
    with pytest.raises(JournalError) as error, SqlJournal(path, [Noted], writer=writer) as journal:
        list(journal.lines())
    assert str(path) in str(error.value)
    assert re.search(r"restore it from a copy|Put both back together|Name the folder", str(error.value))
    return str(error.value)


@pytest.mark.parametrize("writer", [False, True])
@pytest.mark.parametrize("n_bytes", [20, PAGE_BYTES, 5 * PAGE_BYTES])
def test_a_file_whose_end_was_cut_off_is_refused(copy, n_bytes, writer):
    os.truncate(copy, copy.stat().st_size - n_bytes)
    refused(copy, writer=writer)


@pytest.mark.parametrize("writer", [False, True])
@pytest.mark.parametrize(
    ("content", "found"),
    [(b"PK\3\4" * 2048, "file is not a database"), (b"", "entry 242 was acknowledged")],
)
def test_a_file_of_another_kind_in_its_place_is_refused(copy, content, found, writer):
    copy.write_bytes(content)
    assert found in refused(copy, writer=writer)


def test_a_file_that_is_gone_is_not_begun_anew(copy):
    copy.unlink()
    assert "ends with entry 0, but entry 242 was acknowledged" in refused(copy, writer=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_page_of_zeros_or_a_changed_byte_never_gives_a_wrong_sum(data, sound, tmp_path):
    content = bytearray(sound.read_bytes())
    if data.draw(st.booleans()):
        begin = PAGE_BYTES * data.draw(st.integers(0, len(content) // PAGE_BYTES - 1))
        content[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with suppress(JournalError):
        assert facts(path) == facts(sound)


def test_a_digit_changed_behind_the_tables_back_is_found(copy):
    content = copy.read_bytes()
    assert content.count(b'"amount":{"ms":57}') == 1
    copy.write_bytes(content.replace(b'"amount":{"ms":57}', b'"amount":{"ms":17}'))
    with (
        SqlJournal(copy, [Noted]) as journal,
        pytest.raises(JournalError, match=r"entry 233 \(Charged\) is not what was written: its digest"),
    ):
        list(journal.lines())


def test_the_journal_of_another_study_is_refused_by_name(copy):
    for writer in (False, True):
        with pytest.raises(JournalError, match="the journal of study 'mine', not of 'yours'"):
            SqlJournal(copy, [Noted], name="yours", writer=writer)
    assert len(facts(copy)) == 242


KILLED = """
import os, sys
from pathlib import Path
from budgets.journal import SqlJournal
from budgets.ledger import Released
journal = SqlJournal(Path(sys.argv[1]), writer=True)
for number in range(20):
    journal.append(Released(f"hold {number}"))
os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    """The folder of a driver that was killed: its entries are in the log."""
    path = tmp_path_factory.mktemp("torn") / "journal.db"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.with_name("journal.db-wal").stat().st_size > PAGE_BYTES
    return path.parent


@pytest.mark.parametrize("writer", [False, True])
@pytest.mark.parametrize("n_left", [0, 20, -20, -5 * PAGE_BYTES, None])
def test_a_torn_log_is_refused_with_the_entries_it_lacks(torn, tmp_path, n_left, writer):
    folder = shutil.copytree(torn, tmp_path / "run")
    log = folder / "journal.db-wal"
    if n_left is None:
        log.unlink()
    else:
        os.truncate(log, n_left if n_left >= 0 else log.stat().st_size + n_left)
    (folder / "journal.db-shm").unlink(missing_ok=True)  # as after a reboot
    assert "but entry 20 was acknowledged" in refused(folder / "journal.db", writer=writer)


def test_a_loss_that_is_accepted_can_be_left_behind(torn, tmp_path):
    folder = shutil.copytree(torn, tmp_path / "run")
    log = folder / "journal.db-wal"
    os.truncate(log, log.stat().st_size - 20)
    (folder / "journal.db-shm").unlink(missing_ok=True)
    (folder / "journal.db.lock").unlink()
    with SqlJournal(folder / "journal.db", writer=True) as journal:
        assert [line.seq for line in journal.lines()] == list(range(1, 20))
        journal.append(Released("on"))


def test_an_untouched_log_of_a_killed_driver_is_read_to_its_end(torn, tmp_path):
    folder = shutil.copytree(torn, tmp_path / "run")
    assert len(facts(folder / "journal.db")) == 20


@given(hours=st.lists(st.integers(-10_000, 10_000), min_size=5, max_size=5))
@settings(max_examples=20)
def test_a_clock_that_jumps_changes_neither_order_nor_sum(hours, tmp_path_factory):
    times = iter([NOON, *(NOON + timedelta(hours=jump) for jump in hours), NOON])
    path = tmp_path_factory.mktemp("clock") / "journal.db"
    with SqlJournal(path, writer=True, now=lambda: next(times)) as journal:
        account = Account(journal)
        account.book(Opened(DeviceTime(100)))
        account.book(Reserved("h", DeviceTime(50)))
        account.book(Charged("h", Purpose.TRAIN, DeviceTime(30)))
        account.book(Released("h"))
    with SqlJournal(path) as journal:
        assert Account(journal).balance == account.balance
        assert [line.at - NOON for line in journal.lines()] == [
            timedelta(hours=jump) for jump in hours[:4]
        ]


def test_a_journal_of_format_1_is_read_as_it_is_and_brought_up_to_date_by_its_next_driver(tmp_path):
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.executescript("""
        CREATE TABLE entries (seq INTEGER NOT NULL PRIMARY KEY, recorded_at VARCHAR(40) NOT NULL,
            kind VARCHAR(100) NOT NULL, payload TEXT NOT NULL);
        CREATE TABLE drivers (epoch INTEGER NOT NULL PRIMARY KEY, pid INTEGER NOT NULL,
            host VARCHAR(255) NOT NULL, since VARCHAR(40) NOT NULL);
        CREATE TABLE journal_format (version INTEGER NOT NULL PRIMARY KEY);
        INSERT INTO journal_format VALUES (1);
        INSERT INTO drivers VALUES (1, 7, 'there', '2030-01-01T12:00:00+00:00');
        INSERT INTO entries VALUES (1, '2030-01-01T12:00:00+00:00', 'Opened', '{"amount":{"ms":9}}');
    """)
    connection.close()
    with SqlJournal(path, name="mine") as reader:
        assert [line.fact for line in reader.lines()] == [Opened(DeviceTime(9))]
        assert reader.identity == ""
    with SqlJournal(path, name="mine", writer=True) as journal:
        journal.append(Reserved("h", DeviceTime(1)))
    with SqlJournal(path, name="mine") as reader:
        assert [line.seq for line in reader.lines()] == [1, 2]
        assert len(reader.identity) == 32
    with pytest.raises(JournalError, match="'mine', not of 'yours'"):
        SqlJournal(path, name="yours")
