"""The ledger adds up, whatever is booked."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.errors import CapInUseError, HoldError, InsufficientBudgetError
from budgets.ledger import Balance, Charged, Closed, Opened, Released, Reserved, apply, replay

amounts = st.integers(0, 10_000).map(DeviceTime)


class LedgerMachine(RuleBasedStateMachine):
    """Any order of entries, the refused ones included."""

    holds = Bundle("holds")

    def __init__(self):
        super().__init__()
        self.balance = Balance()
        self.entries = []
        self.charged_ms = 0
        self.names = 0

    def book(self, entry):
        self.balance = apply(self.balance, entry)
        self.entries.append(entry)

    @rule(amount=amounts)
    def open(self, amount):
        self.book(Opened(amount))

    @rule(amount=amounts)
    def close(self, amount):
        before = self.balance
        if amount > before.free:
            with pytest.raises(CapInUseError) as refusal:
                self.book(Closed(amount))
            assert (refusal.value.spent, refusal.value.held) == (before.spent, before.held)
            return
        self.book(Closed(amount))
        assert before.free == self.balance.free + amount
        assert not self.balance.overdrawn or amount == ZERO

    @rule(target=holds, amount=amounts)
    def reserve(self, amount):
        self.names += 1
        name = f"hold-{self.names}"
        before = self.balance
        if amount > before.free:
            with pytest.raises(InsufficientBudgetError) as refusal:
                self.book(Reserved(name, amount))
            assert (refusal.value.asked, refusal.value.free) == (amount, before.free)
            return multiple()
        self.book(Reserved(name, amount))
        assert not self.balance.overdrawn or amount == ZERO
        return name

    @rule(hold=holds, purpose=st.sampled_from(Purpose), amount=amounts)
    def charge(self, hold, purpose, amount):
        self.book(Charged(hold, purpose, amount))
        self.charged_ms += amount.ms

    @rule(hold=consumes(holds))
    def release(self, hold):
        self.book(Released(hold))
        with pytest.raises(HoldError):
            self.book(Charged(hold, Purpose.TRAIN, DeviceTime(1)))

    @rule(hold=holds)
    def a_name_is_taken_while_its_hold_is_open(self, hold):
        with pytest.raises(HoldError, match="already open"):
            self.book(Reserved(hold, ZERO))

    @invariant()
    def nothing_is_lost(self):
        b = self.balance
        assert b.cap + b.overdrawn == b.free + b.held + b.spent

    @invariant()
    def free_and_overdrawn_are_never_both_there(self):
        assert not (self.balance.free and self.balance.overdrawn)

    @invariant()
    def what_was_spent_is_what_was_charged(self):
        assert self.balance.spent == DeviceTime(self.charged_ms)
        assert DeviceTime.total(self.balance.by_purpose.values()) == self.balance.spent

    @invariant()
    def replay_agrees(self):
        assert replay(self.entries) == self.balance


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLedgerMachine = LedgerMachine.TestCase


def test_a_refusal_says_the_numbers_and_what_to_do():
    balance = replay([Opened(DeviceTime(3_600_000)), Reserved("a", DeviceTime(1_800_000))])
    with pytest.raises(InsufficientBudgetError) as refusal:
        apply(balance, Reserved("b", DeviceTime(3_600_000)))
    assert str(refusal.value) == (
        "cannot reserve 1.0000 device-hours for 'b': 0.5000 device-hours free, holds open: 1. "
        "Ask for less, wait for a hold to close, or raise 'budget.gpu_hours' in the spec."
    )


def test_a_cap_that_is_in_use_says_by_what_and_how_far_it_can_go_down():
    balance = replay([Opened(DeviceTime(3_600_000)), Reserved("a", DeviceTime(1_800_000))])
    with pytest.raises(CapInUseError) as refusal:
        apply(balance, Closed(DeviceTime(2_700_000)))
    assert str(refusal.value) == (
        "cannot take 0.7500 device-hours back from a cap of 1.0000 device-hours: 0.0000 device-hours "
        "spent and 0.5000 device-hours held, together 0.5000 device-hours. Take back 0.5000 "
        "device-hours at most, or wait for a hold to close."
    )


def test_a_balance_cannot_be_changed_from_outside():
    balance = replay([Opened(DeviceTime(9)), Reserved("a", DeviceTime(5))])
    with pytest.raises(TypeError):
        balance.holds["a"] = ZERO


def test_the_hold_error_names_the_holds_that_are_open():
    balance = replay([Opened(DeviceTime(9)), Reserved("a", DeviceTime(5))])
    with pytest.raises(HoldError, match=r"hold 'b' is not open; open are 'a' \(1 in all\)"):
        apply(balance, Released("b"))
