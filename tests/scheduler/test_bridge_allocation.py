"""Under a fixed allocation the bridge pays for slots without a lease, and stops when it cannot."""

from __future__ import annotations

import pytest
from fakes import small_tree
from test_bridge import Tune

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.ledger import Charged
from budgets.spec import DeviceSpec
from scheduler.allocation import PREFIX, Allocation

TWO = DeviceSpec(kind="cpu", count=2)


def tune_of(cap):
    tune = Tune(small_tree("halving", 4), slots=2, cap=cap)
    tune.allocation = Allocation(tune.account, TWO, tune.clock)
    tune.bridge._allocation = tune.allocation
    return tune


def test_a_slot_without_a_lease_is_paid_while_the_other_works():
    tune = tune_of(DeviceTime.from_hours(2))
    trial = tune.suggest()  # the other slot waits for the pretrained encoder
    for seconds in (2.0, 4.0, 1.0):
        tune.finish(trial, seconds)
    tune.allocation.end()
    stood_idle = [f for f in tune.journal.facts if isinstance(f, Charged) and f.hold.startswith(PREFIX)]
    assert {charge.purpose for charge in stood_idle} == {Purpose.IDLE}
    assert sum(charge.amount.ms for charge in stood_idle) == 2_000  # then it has a lease, too
    assert len(tune.engine.state.leases) == 2
    in_flight_ms = 5_000  # of the second slot's lease, charged when it ends
    assert tune.account.balance.spent.ms + in_flight_ms == 2 * 7_000


def test_idle_devices_that_the_cap_cannot_pay_end_the_study_once_nothing_runs():
    tune = tune_of(DeviceTime(150_000))
    trial = tune.suggest()
    while not tune.bridge.over:
        if trial.trial_id in tune.desk:
            tune.finish(trial, 12.0, own_ms=1000)
        else:
            tune.clock.forward(1.0)
            trial = tune.suggest() or trial
            tune.scheduler.choose_trial_to_run(None)
    tune.allocation.end()
    assert tune.engine.state.ended
    assert not tune.engine.state.leases
    assert tune.account.balance.overdrawn == ZERO
    assert tune.account.balance.holds == {}


def test_a_study_that_only_stands_idle_ends_at_its_cap():
    tune = tune_of(DeviceTime(1_000_000))
    tune.interrupt._asked.set()  # nothing starts
    tune.bridge.over = True
    while tune.bridge._paid():
        tune.clock.forward(1.0)
    tune.allocation.end()
    assert tune.allocation.refusal.startswith("cap reached: idle devices")
    assert tune.account.balance.spent.ms == pytest.approx(1_000_000, abs=20_000)
    assert tune.account.balance.overdrawn == ZERO
