"""Several studies draw on one account: nothing twice, nothing that is not free, all sums shown."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest

from budgets.account_tables import account_drivers, account_entries, account_format
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.envelope import Envelope
from budgets.errors import (
    HoldError,
    InsufficientBudgetError,
    JournalError,
    StaleDriverError,
    UnknownAccountError,
)
from budgets.ledger import Charged, Opened, Released, Reserved
from budgets.standing import Standing
from tests.contracts.journal_contract import NOON


def ms(number):
    return DeviceTime(number)


class EnvelopeContract:
    """Needs a fixture ``url`` of an empty place."""

    @pytest.fixture
    def lab(self, url):
        with Envelope(url, "lab", now=lambda: NOON) as envelope:
            envelope.open(ms(1000))
            yield envelope

    def test_two_studies_share_what_is_granted(self, lab):
        lab.reserve("a", "h", ms(600))
        lab.reserve("b", "h", ms(400))
        lab.settle("a", "h", {Purpose.TRAIN: ms(100), Purpose.SAVE: ms(20)}, release=True)
        assert lab.standing == Standing(ms(1000), ms(120), ms(400), 1)
        assert [(line.seq, line.study, line.entry) for line in lab.lines()] == [
            (1, "", Opened(ms(1000))),
            (2, "a", Reserved("h", ms(600))),
            (3, "b", Reserved("h", ms(400))),
            (4, "a", Charged("h", Purpose.TRAIN, ms(100))),
            (5, "a", Charged("h", Purpose.SAVE, ms(20))),
            (6, "a", Released("h")),
        ]
        assert {line.at for line in lab.lines()} == {NOON}

    def test_what_is_not_free_is_refused_with_the_accounts_name(self, lab):
        lab.reserve("a", "h", ms(600))
        with pytest.raises(
            InsufficientBudgetError, match=r"free in account 'lab', holds open: 1\..*grant account 'lab'"
        ) as refusal:
            lab.reserve("b", "h", ms(401))
        assert (refusal.value.account, refusal.value.free) == ("lab", ms(400))
        assert len(list(lab.lines())) == 2
        lab.open(ms(1))
        lab.reserve("b", "h", ms(401))
        assert lab.standing.free == ms(0)

    def test_an_overrun_is_booked_not_hidden(self, lab):
        lab.reserve("a", "h", ms(1000))
        lab.settle("a", "h", {Purpose.LOST: ms(1100)}, release=True)
        assert lab.standing.overdrawn == ms(100)
        with pytest.raises(InsufficientBudgetError):
            lab.reserve("b", "h", ms(1))

    def test_a_hold_belongs_to_its_study_and_is_open_once(self, lab):
        lab.reserve("a", "h", ms(6))
        with pytest.raises(HoldError, match="this study has no open hold 'h'"):
            lab.settle("b", "h", {}, release=True)
        with pytest.raises(HoldError, match=r"hold 'h' is already open with 0.0000 device-hours left"):
            lab.reserve("a", "h", ms(6))
        lab.settle("a", "h", {}, release=True)
        with pytest.raises(HoldError, match="no open hold"):
            lab.settle("a", "h", {Purpose.TRAIN: ms(1)}, release=False)
        lab.reserve("a", "h", ms(7))

    def test_an_unknown_account_is_refused_and_the_known_are_named(self, lab, url):
        with Envelope(url, "lap") as envelope:
            for ask in (lambda: envelope.reserve("a", "h", ms(1)), lambda: envelope.share("a")):
                with pytest.raises(UnknownAccountError, match="no account 'lap'; accounts here: lab"):
                    ask()

    def test_accounts_of_one_place_do_not_mix(self, lab, url):
        with Envelope(url, "other") as other:
            other.open(ms(5))
            other.reserve("a", "h", ms(5))
            assert other.standing.free == ms(0)
        assert lab.standing.free == ms(1000)

    def test_a_share_books_all_or_nothing(self, lab):
        share = lab.share("a")
        with pytest.raises(InsufficientBudgetError):
            share.book(Reserved("h", ms(600)), Reserved("i", ms(600)))
        assert list(share.entries()) == []
        share.book(Reserved("h", ms(600)), Charged("h", Purpose.LOAD, ms(1)), Released("h"))
        lab.reserve("b", "h", ms(1))
        assert [type(entry) for entry in share.entries()] == [Reserved, Charged, Released]

    def test_a_driver_that_was_taken_over_books_nothing(self, lab, url):
        stale = lab.share("a", "journal-1")
        with Envelope(url, "lab") as elsewhere:
            elsewhere.share("b")
            stale.book(Reserved("h", ms(1)))
            newer = elsewhere.share("a", "journal-1")
            with pytest.raises(StaleDriverError, match="number 1, but number 2 has taken over"):
                stale.book(Reserved("i", ms(1)))
            newer.book(Released("h"))
        assert lab.standing.held == ms(0)

    def test_two_runs_of_one_name_cannot_release_each_others_holds(self, lab):
        lab.share("a", "journal-1")
        with pytest.raises(JournalError, match=r"another run named 'a' draws on account 'lab'.*'name'"):
            lab.share("a", "journal-2")

    def test_a_reader_sees_all_and_books_nothing(self, lab, url):
        with Envelope(url, "lab", writer=False) as reader:
            assert reader.standing.cap == ms(1000)
            with pytest.raises(JournalError, match="read"):
                reader.open(ms(1))
        assert lab.standing.cap == ms(1000)

    def test_an_empty_place_is_not_made_by_looking(self, url):
        with pytest.raises(JournalError, match=r"there is no journal here|holds no accounts"):
            Envelope(url, "lab", writer=False)

    def test_a_clock_that_runs_backwards_changes_no_sum(self, url):
        times = iter(NOON - timedelta(hours=number) for number in range(100))
        with Envelope(url, "lab", now=lambda: next(times)) as envelope:
            envelope.open(ms(10))
            envelope.reserve("a", "h", ms(4))
            envelope.settle("a", "h", {Purpose.TRAIN: ms(3)}, release=True)
            assert [line.seq for line in envelope.lines()] == [1, 2, 3, 4]
            assert envelope.standing == Standing(ms(10), ms(3), ms(0), 0)

    @pytest.mark.parametrize("table", [account_entries, account_drivers, account_format])
    @pytest.mark.parametrize("action", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
    def test_the_database_refuses_to_change_an_entry(self, lab, table, action):
        lab.share("a")
        from sqlalchemy.exc import IntegrityError

        statement = action.format(table.name, table.columns[0].name)
        with (
            pytest.raises(IntegrityError, match="append-only"),
            lab._database.engine.begin() as connection,
        ):
            connection.exec_driver_sql(statement)


class TestEnvelopeInAFile(EnvelopeContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/accounts.db"


class TestEnvelopeOnAServer(EnvelopeContract):
    @pytest.fixture
    def url(self, postgres):
        return postgres


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "accounts.db"
    with Envelope(path, "lab") as envelope:
        envelope.open(ms(1000))
        envelope.reserve("a", "h", ms(600))
        envelope.settle("a", "h", {Purpose.TRAIN: ms(100)}, release=True)
    return path


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            "UPDATE account_entries SET amount_ms = 99 WHERE seq = 3",
            "entry 3 of account 'lab'.*must leave",
        ),
        (
            "UPDATE account_entries SET spent_ms = 99 WHERE seq = 4",
            "entry 4 of account 'lab'.*must leave",
        ),
        ("UPDATE account_entries SET hold = 'g' WHERE seq = 3", "no open hold 'g'"),
        ("UPDATE account_entries SET kind = 'Wish' WHERE seq = 3", "'Wish' is no ledger entry"),
        ("DELETE FROM account_entries WHERE seq = 1", "entry 2 of account 'lab'.*cannot reserve"),
        ("DELETE FROM account_entries WHERE seq = 3", "entry 3 is missing"),
        ("UPDATE account_entries SET amount_ms = 2000 WHERE seq = 2", "cannot reserve"),
    ],
)
def test_a_changed_entry_is_named_never_summed(file, change, complaint):
    connection = sqlite3.connect(file)
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(change)
    connection.commit()
    connection.close()
    with (
        Envelope(file, "lab", writer=False) as envelope,
        pytest.raises(JournalError, match=complaint) as error,
    ):
        list(envelope.lines())
    assert str(file) in str(error.value)
    assert "restore it from a copy" in str(error.value)


def test_accounts_of_a_newer_format_are_refused_by_name(file):
    connection = sqlite3.connect(file)
    connection.execute("INSERT INTO account_format VALUES (2)")
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match="accounts in format 2; this version reads up to 1"):
        Envelope(file, "lab")


def test_a_journal_is_not_taken_for_accounts(tmp_path):
    from budgets.journal import SqlJournal

    SqlJournal(tmp_path / "journal.db", writer=True).close()
    with pytest.raises(JournalError, match=r"journal\.db: holds no accounts"):
        Envelope(tmp_path / "journal.db", "lab")
