"""An account writes all or nothing, and is what its journal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.errors import HoldError, InsufficientBudgetError, JournalError
from budgets.journal import MemoryJournal
from budgets.ledger import Balance, Charged, Opened, Released, Reserved
from tests.contracts.journal_contract import Noted


class FullDisk(MemoryJournal):
    """A journal that cannot write."""

    def append(self, *facts):
        raise JournalError("journal.db: database or disk is full")


@pytest.fixture
def account():
    account = Account(MemoryJournal([Noted]))
    account.book(Opened(DeviceTime(100)))
    return account


def test_entries_and_other_facts_are_booked_together_and_in_order(account):
    facts = (
        Noted("begin"),
        Reserved("h", DeviceTime(60)),
        Charged("h", Purpose.TRAIN, DeviceTime(50)),
        Released("h"),
        Reserved("next", DeviceTime(50)),
    )
    account.book(*facts)
    assert account.facts() == (Opened(DeviceTime(100)), *facts)
    assert (account.balance.spent, account.balance.held) == (DeviceTime(50), DeviceTime(50))


@pytest.mark.parametrize(
    ("refused", "error"),
    [(Reserved("b", DeviceTime(41)), InsufficientBudgetError), (Released("b"), HoldError)],
)
def test_a_refusal_leaves_no_trace_of_what_was_booked_with_it(account, refused, error):
    before = account.balance
    with pytest.raises(error):
        account.book(Noted("first"), Reserved("a", DeviceTime(60)), refused)
    assert account.balance is before
    assert account.facts() == (Opened(DeviceTime(100)),)


def test_a_balance_moves_only_when_the_journal_was_written():
    account = Account(FullDisk())
    with pytest.raises(JournalError, match="disk is full"):
        account.book(Opened(DeviceTime(100)))
    assert account.balance == Balance()


def test_a_journal_whose_entries_cannot_follow_each_other_is_not_believed():
    journal = MemoryJournal([Noted])
    journal.append(Opened(DeviceTime(100)), Noted("between"), Released("never opened"))
    with pytest.raises(JournalError, match=r"entry 3 .* cannot follow the entries before it") as error:
        Account(journal)
    assert isinstance(error.value.__cause__, HoldError)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 80)), max_size=8))
def test_an_account_opened_again_is_the_same(stages):
    journal = MemoryJournal()
    account = Account(journal)
    account.book(Opened(DeviceTime(200)))
    for number, (asked, cost) in enumerate(stages):
        if DeviceTime(asked) <= account.balance.free:
            name = str(number)
            account.book(Reserved(name, DeviceTime(asked)))
            account.book(Charged(name, Purpose.TRAIN, DeviceTime(cost)))
            if cost % 2:
                account.book(Released(name))
    assert Account(journal).balance == account.balance
