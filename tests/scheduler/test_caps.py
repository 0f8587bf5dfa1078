"""The cap of a run that has begun: raised, and lowered as far as what is spent and held."""

from __future__ import annotations

import pytest
from fakes import Bench, spec_of

from budgets.amount import ZERO, DeviceTime
from budgets.ledger import Closed, Opened
from scheduler.drivers.table import drive_table
from scheduler.errors import CapTooSmallError
from scheduler.moves import Start
from scheduler.study import open_study


def spec_in(folder, gpu_hours):
    return spec_of({"store": str(folder), "budget.gpu_hours": gpu_hours})


def test_a_lowered_cap_is_taken_back_and_the_study_ends_inside_it(tmp_path):
    with open_study(spec_in(tmp_path, 0.5), "") as study:
        bench = Bench(study.tree)
        drive_table(study.engine, bench.run, 1, at_most=3)
        spent = study.account.balance.spent
    with open_study(spec_in(tmp_path, 0.03), "") as study:
        assert study.account.facts()[-1] == Closed(DeviceTime(1_692_000))
        assert study.account.balance.spent == spent
        drive_table(study.engine, bench.run, 1)
        balance = study.account.balance
        assert spent < balance.spent <= balance.cap == DeviceTime.from_hours(0.03)
        assert study.engine.state.ended.startswith("cap reached")


def test_a_cap_below_what_is_spent_and_held_is_refused_with_the_numbers(tmp_path):
    with open_study(spec_in(tmp_path, 0.5), "") as study:
        drive_table(study.engine, Bench(study.tree).run, 1, at_most=3)
        assert isinstance(study.engine.ask(), Start)  # the driver is killed with this one in flight
        balance = study.account.balance
        assert balance.held > ZERO
    used = balance.spent + balance.held
    with (
        pytest.raises(CapTooSmallError) as refusal,
        open_study(spec_in(tmp_path, used.less(DeviceTime(1000)).hours), ""),
    ):
        pass
    said = str(refusal.value)
    assert f"lowered from 0.5000 device-hours; this run has spent {balance.spent}" in said
    assert f"holds {balance.held}, together {used}" in said
    least = float(said.removesuffix(".").split()[-1])
    with open_study(spec_in(tmp_path, least), "") as study:
        assert study.account.balance.cap == DeviceTime.from_hours(least)
        assert study.account.balance.overdrawn == ZERO


def test_a_cap_can_go_up_and_down_again(tmp_path):
    for gpu_hours in (0.3, 0.5, 0.4, 0.4):
        with open_study(spec_in(tmp_path, gpu_hours), "") as study:
            assert study.account.balance.cap == DeviceTime.from_hours(gpu_hours)
    with open_study(spec_in(tmp_path, 0.4), "") as study:
        granted = [fact for fact in study.account.facts() if isinstance(fact, Opened | Closed)]
    assert [type(fact) for fact in granted] == [Opened, Opened, Closed]
