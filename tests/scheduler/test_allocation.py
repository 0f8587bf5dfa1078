"""A fixed allocation is paid from first to last: what leases hold, and what stands idle."""

from __future__ import annotations

import pytest
from fakes import Bench, HandClock, begun, engine_on, small_tree, spec_of
from hypothesis import given
from hypothesis import strategies as st

from budgets.account import Account
from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.journal import MemoryJournal
from budgets.ledger import Charged, Opened
from budgets.spec import DeviceSpec
from scheduler.allocation import PREFIX, SLICE_S, Allocation, closing
from scheduler.drivers.inline import drive_inline
from scheduler.interrupt import Interrupt
from scheduler.study import open_study

DEVICES = DeviceSpec(kind="cpu", count=4)


class TimedBench:
    """A bench on a clock: a stage takes its bill's time."""

    def __init__(self, tree, clock):
        self.bench, self.clock, self.n = Bench(tree), clock, 0

    def run(self, order, hurried):
        self.n += 1
        measurement = self.bench.run(order)
        self.clock.forward(measurement.bill.total.ms / 1000)
        return measurement


def opened(cap_ms, devices=DEVICES):
    account, clock = Account(MemoryJournal()), HandClock()
    account.book(Opened(DeviceTime(cap_ms)))
    return account, clock, Allocation(account, devices, clock)


moves = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 4)), max_size=60)


@given(moves, st.sampled_from([1.0, 0.5, 3.0]))
def test_idle_devices_are_charged_for_all_the_time_that_no_lease_held_them(moves, rate):
    devices = DEVICES.model_copy(update={"rates": {"cpu": rate}})
    account, clock, allocation = opened(10**9, devices)
    idle_ms = 0.0
    assert allocation.keep(0)
    for busy, wall_s in moves:
        assert allocation.keep(busy)
        clock.forward(wall_s)
        idle_ms += (4 - busy) * wall_s * 1000 * rate
    allocation.end()
    assert account.balance.spent.ms == pytest.approx(idle_ms, abs=1)
    assert account.balance.holds == {}
    assert set(account.balance.by_purpose) <= {Purpose.IDLE}


@given(moves, st.integers(0, 60_000))
def test_the_cap_holds_and_once_a_slice_is_refused_nothing_is_paid_any_more(moves, cap_ms):
    account, clock, allocation = opened(cap_ms)
    answers = []
    for busy, wall_s in moves:
        answers.append(allocation.keep(busy))
        clock.forward(wall_s)
        assert account.balance.overdrawn == ZERO
    allocation.end()
    assert account.balance.overdrawn == ZERO
    assert account.balance.holds == {}
    assert answers == sorted(answers, reverse=True)


def test_an_hour_of_idle_devices_takes_a_slice_a_minute():
    account, clock, allocation = opened(10**9)
    for _ in range(3600):
        assert allocation.keep(0)
        clock.forward(1)
    allocation.end()
    n_charged = sum(isinstance(fact, Charged) for fact in account.facts())
    assert n_charged == pytest.approx(3600 / SLICE_S, abs=2)


@pytest.mark.parametrize("hours", [0.05, 2])
def test_a_study_in_one_process_pays_all_its_devices_for_all_its_time(hours):
    tree, clock = small_tree("halving", 3), HandClock()
    cap = DeviceTime.from_hours(hours)
    engine, account = engine_on(begun(tree, cap), tree)
    allocation = Allocation(account, DEVICES, clock)
    runner = TimedBench(tree, clock)
    reason = drive_inline(
        engine, runner, clock, lambda: None, interrupt=Interrupt(), allocation=allocation
    )
    allocation.end()
    paid = account.balance
    assert paid.spent.ms == pytest.approx(4000 * clock.now_s(), abs=runner.n + 1)
    assert paid.spent <= cap
    assert paid.holds == {}
    assert reason.startswith("nothing left" if hours == 2 else "cap reached")
    assert engine.ask().reason == reason


def test_a_slice_that_a_killed_driver_left_open_is_charged_in_full_when_the_study_opens(tmp_path):
    spec = spec_of({"store": str(tmp_path), "budget.gpu_hours": 0.5, "budget.charge": "allocated"})
    with open_study(spec, "") as study:
        assert Allocation(study.account, spec.budget.devices, HandClock()).keep(0)
        (hold,) = study.account.balance.holds
        left = study.account.balance.holds[hold]
        assert hold.startswith(PREFIX)
    with open_study(spec, "") as study:
        assert study.account.balance.by_purpose == {Purpose.LOST: left}
        assert study.account.balance.holds == {}
        assert closing(study.account) == ()
