"""Kinds of devices at rates of their own: held at the dearest, charged at the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Bench, KeptJournal, begun, engine_on, spec_of, tree_of
from hypothesis import given
from hypothesis import strategies as st

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.ledger import Entry, Reserved, replay
from scheduler.drivers.table import drive_table
from scheduler.facts import StageEnded
from scheduler.moves import Start
from scheduler.study import least_cap

GPUS = {"kind": "gpu", "rates": {"h200": 2.5, "a100-80gb": 0.5}}
CAP = DeviceTime.from_hours(1)


def tree(devices):
    return tree_of(spec_of({"budget.devices": devices, "search.max_trials": 2, "final.max_seeds": 1}))


@pytest.fixture(scope="module")
def priced():
    return tree(GPUS)


def drawn(tree, device):
    """A whole study on one device: its bench, its balance, and what came back."""
    bench, journal = Bench(tree), begun(tree, CAP)
    engine, account = engine_on(journal, tree)
    drive_table(engine, lambda order: replace(bench.run(order), device=device), 1)
    ended = [fact.measurement for fact in journal.facts if isinstance(fact, StageEnded)]
    return account.balance, ended


def test_a_hold_is_taken_at_the_dearest_rate_before_the_device_is_known(priced):
    journal = begun(priced, CAP)
    start = engine_on(journal, priced)[0].ask()
    assert isinstance(start, Start)
    reserved = next(fact for fact in journal.facts if isinstance(fact, Reserved))
    assert reserved.amount == start.order.limit.scaled(2.5)


@pytest.mark.parametrize(
    ("device", "rate"),
    [("NVIDIA H200", 2.5), ("NVIDIA A100-SXM4-80GB", 0.5), ("NVIDIA L4", 1.0), ("", 2.5)],
)
def test_a_lease_is_charged_at_the_rate_of_its_device(priced, device, rate):
    balance, ended = drawn(priced, device)
    assert {measurement.rate for measurement in ended} == {rate}
    assert balance.spent == DeviceTime.total(m.bill.total.scaled(rate) for m in ended)
    assert ZERO < balance.spent <= CAP


def test_a_study_does_the_same_at_another_rate_while_the_cap_is_ample(priced):
    dear, cheap = drawn(priced, "NVIDIA H200")[1], drawn(priced, "NVIDIA L4")[1]
    assert [(m.stage, m.bill) for m in dear] == [(m.stage, m.bill) for m in cheap]


def test_the_least_cap_is_at_the_dearest_rate(priced):
    plain = tree({"kind": "gpu"})
    assert plain.spec.budget.devices.highest_rate == 1.0
    assert least_cap(priced.spec, priced) == least_cap(plain.spec, plain).scaled(2.5)


def test_a_cpu_slot_has_the_rate_of_cpu():
    slots = tree({"kind": "cpu", "rates": {"cpu": 0.1, "h200": 4}})
    journal = begun(slots, CAP)
    start = engine_on(journal, slots)[0].ask()
    assert journal.facts[-2].amount == start.order.limit.scaled(0.1)


def test_what_a_killed_driver_held_is_charged_once_at_the_rate_of_its_hold(priced):
    journal = begun(priced, CAP)
    start = engine_on(journal, priced)[0].ask()
    again = KeptJournal.of(journal.transactions)
    engine, account = engine_on(again, priced)
    engine.recover()
    assert account.balance.spent == start.order.limit.scaled(2.5)
    entries = [fact for fact in again.facts if isinstance(fact, Entry)]
    assert replay(entries).held == ZERO


@given(
    st.dictionaries(st.sampled_from(Purpose), st.integers(0, 10**7).map(DeviceTime)),
    st.floats(0.01, 10),
)
def test_a_priced_bill_is_its_priced_total(amounts, rate):
    assert Bill(amounts).scaled(rate).total == Bill(amounts).total.scaled(rate)
