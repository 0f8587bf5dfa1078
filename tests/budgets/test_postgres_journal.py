"""A journal on a server keeps what it acknowledged, and one driver has it, whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest

from budgets.amount import DeviceTime
from budgets.envelope import Envelope
from budgets.errors import JournalError, SecondDriverError, StaleDriverError
from budgets.journal import SqlJournal
from budgets.ledger import Opened, Released
from budgets.postgres import _key
from tests.contracts.journal_contract import NOON, Noted

SCHEMA = "study_mine"


@pytest.fixture
def journal(postgres):
    with SqlJournal(postgres, [Noted], name="mine", writer=True, now=lambda: NOON) as journal:
        journal.append(Noted("a"), Noted("b"))
        yield journal


@pytest.fixture
def beside(postgres_server):
    with postgres_server.connect() as connection:
        yield connection


def texts(url, name="mine"):
    with SqlJournal(url, [Noted], name=name) as reader:
        return [line.fact.text for line in reader.lines()]


def hang_up_on(connection):
    """End every other session, as a server or a network that breaks does."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


@pytest.mark.parametrize("table", ["entries", "drivers", "journal_format"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET {} = 7",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "INSERT INTO {0} SELECT * FROM {0} LIMIT 1",
        "INSERT INTO {0} SELECT * FROM {0} LIMIT 1 ON CONFLICT DO NOTHING",
    ],
)
def test_an_entry_cannot_be_changed(journal, beside, table, statement):
    number = {"entries": "seq", "drivers": "epoch", "journal_format": "version"}[table]
    with pytest.raises(psycopg.errors.IntegrityError, match=f"{table} are append-only"):
        beside.execute(statement.format(f"{SCHEMA}.{table}", number))


def test_the_server_refuses_a_gap(journal, beside):
    with pytest.raises(psycopg.errors.IntegrityError, match="entries are append-only"):
        beside.execute(f"INSERT INTO {SCHEMA}.entries VALUES (4, '', 'Noted', '')")


def test_studies_of_one_database_do_not_mix(journal, postgres):
    longest = "a" * 80
    for name in ("other", longest, longest[:-1] + "b"):
        with SqlJournal(postgres, [Noted], name=name, writer=True) as another:
            another.append(Noted(name))
            assert another.identity != journal.identity
    assert texts(postgres, longest) == [longest]
    assert texts(postgres) == ["a", "b"]


def test_a_database_of_many_studies_wants_the_name_of_one(postgres):
    for writer in (False, True):
        with pytest.raises(JournalError, match="keeps many studies: say whose journal is meant"):
            SqlJournal(postgres, writer=writer)


def test_looking_makes_nothing(postgres, beside):
    with pytest.raises(JournalError, match=r"schema study_mine\): holds no journal"):
        SqlJournal(postgres, name="mine")
    found = beside.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (SCHEMA,))
    assert found.fetchone() == (0,)


def test_the_journal_of_another_study_is_refused_by_name(journal, postgres, beside):
    journal.close()
    beside.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO study_yours")
    for writer in (False, True):
        with pytest.raises(JournalError, match="the journal of study 'mine', not of 'yours'"):
            SqlJournal(postgres, name="yours", writer=writer)


def test_a_newer_format_is_refused_by_name(journal, postgres, beside):
    journal.close()
    beside.execute(f"INSERT INTO {SCHEMA}.journal_format VALUES (3, 'mine', 'j')")
    for writer in (False, True):
        with pytest.raises(JournalError, match="journal format 3; this version reads up to 2"):
            SqlJournal(postgres, name="mine", writer=writer)


def test_another_programs_tables_are_left_alone(postgres, beside):
    beside.execute(f"CREATE SCHEMA {SCHEMA}")
    beside.execute(f"CREATE TABLE {SCHEMA}.runs (name text)")
    for writer in (False, True):
        with pytest.raises(JournalError, match="holds no journal"):
            SqlJournal(postgres, name="mine", writer=writer)


def test_a_changed_entry_is_found(journal, postgres, beside):
    beside.execute(f"ALTER TABLE {SCHEMA}.entries DISABLE TRIGGER ALL")
    beside.execute(f"UPDATE {SCHEMA}.entries SET recorded_at = 'x' WHERE seq = 2")
    with pytest.raises(JournalError, match=r"entry 2 \(Noted\) is not what was written"):
        texts(postgres)


def test_a_second_driver_is_refused_by_name(journal, postgres):
    with pytest.raises(SecondDriverError, match=f"process {os.getpid()} on .* since 2030-01-01T12"):
        SqlJournal(postgres, [Noted], name="mine", writer=True)
    journal.close()
    SqlJournal(postgres, [Noted], name="mine", writer=True).close()


def test_a_driver_whose_connection_broke_says_so_and_goes_on_only_if_nobody_took_over(
    journal, postgres, beside
):
    hang_up_on(beside)
    with pytest.raises(JournalError, match="check that the server runs and can be reached"):
        journal.append(Noted("c"))
    journal.append(Noted("d"))
    hang_up_on(beside)
    with SqlJournal(postgres, [Noted], name="mine", writer=True) as newer:
        with pytest.raises(JournalError):
            journal.append(Noted("from the dead"))
        with pytest.raises(SecondDriverError):
            journal.append(Noted("from the dead"))
        newer.append(Noted("e"))
    with pytest.raises(StaleDriverError, match="number 1, but number 2 has taken over"):
        journal.append(Noted("from the dead"))
    assert texts(postgres) == ["a", "b", "d", "e"]


def test_an_append_waits_for_its_turn_and_then_looks_who_may_write(journal, beside):
    with beside.transaction():
        beside.execute("SELECT pg_advisory_xact_lock(%s)", (_key("turn", SCHEMA),))
        beside.execute(f"INSERT INTO {SCHEMA}.drivers VALUES (9, 1, 'elsewhere', 'now')")
        refusals = []

        def append():
            try:
                journal.append(Noted("c"))
            except StaleDriverError as refusal:
                refusals.append(refusal.newest)

        stale = threading.Thread(target=append)
        stale.start()
        time.sleep(0.2)
        assert refusals == []
    stale.join()
    assert refusals == [9]


def test_the_servers_absence_is_told_without_the_password():
    with pytest.raises(JournalError, match="check that the server runs and can be reached") as error:
        SqlJournal("postgresql://me:secret@127.0.0.1:1/books", name="mine")
    assert "secret" not in str(error.value)


def test_what_the_role_or_the_url_lacks_is_told(postgres, beside):
    with pytest.raises(JournalError, match=r"does not exist; .*user, password and database are right"):
        SqlJournal(postgres.replace("/postgres", "/none"), name="mine")
    beside.execute("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(JournalError, match="give this role the right to create a schema"):
            SqlJournal(postgres.replace("tests@", "guest@"), name="mine", writer=True)
    finally:
        beside.execute("DROP ROLE guest")


APPENDER = """
import sys
from budgets.journal import SqlJournal
from budgets.ledger import Released
journal = SqlJournal(sys.argv[1], name="mine", writer=True)
number = sum(1 for _ in journal.lines())
while True:
    journal.append(Released(f"{number}"), Released(f"{number + 1}"))
    number += 2
    print(number, flush=True)
"""


def test_no_acknowledged_entry_is_lost_to_a_kill_and_the_claim_is_free_at_once(postgres):
    for wait_s in (0.0, 0.013, 0.031, 0.057):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, postgres], stdout=subprocess.PIPE, text=True
        ) as process:
            acknowledged = int(process.stdout.readline())
            time.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        with SqlJournal(postgres, name="mine", writer=True) as next_driver:  # or refused after a moment
            holds = [line.fact.hold for line in next_driver.lines()]
        assert acknowledged <= len(holds)
        assert holds == [str(number) for number in range(len(holds))]
        assert len(holds) % 2 == 0  # pairs were appended together: all or none


FORKER = """
import os, sys, time
from budgets.journal import SqlJournal
journal = SqlJournal(sys.argv[1], name="mine", writer=True)
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.kill(os.getppid(), 9)
time.sleep(60)
"""


def test_a_forked_child_that_outlives_its_driver_does_not_keep_the_claim(postgres):
    with subprocess.Popen([sys.executable, "-c", FORKER, postgres], stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        process.wait()
        try:
            SqlJournal(postgres, name="mine", writer=True).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_journal_and_accounts_share_a_database(journal, postgres):
    with Envelope(postgres, "lab") as lab:
        lab.open(DeviceTime(5))
        assert [line.entry for line in lab.lines()] == [Opened(DeviceTime(5))]
    journal.append(Released("on"))
