"""Studies on one account: what others hold ends a study for now, never for good."""

from __future__ import annotations

import pytest
from fakes import Bench, spec_of

from budgets.amount import ZERO, DeviceTime
from budgets.envelope import Envelope
from budgets.errors import UnknownAccountError
from scheduler.drivers.table import drive_table
from scheduler.places import accounts_url
from scheduler.study import open_study
from scheduler.trial import TrialState

GRANTED = DeviceTime.from_hours(0.05)


@pytest.fixture
def spec(tmp_path):
    places = {"store": str(tmp_path), "budget.account": "lab", "budget.gpu_hours": 0.04}
    return spec_of({**places, "search.max_trials": 2, "final.max_seeds": 1})


@pytest.fixture
def lab(spec):
    with Envelope(accounts_url(spec), "lab") as lab:
        lab.open(GRANTED)
        yield lab


def driven(spec):
    """The study's state and balance once nothing more can begin, its books closed again."""
    with open_study(spec, "") as study:
        drive_table(study.engine, Bench(study.tree).run, 1)
        return study.engine.state, study.account.balance


def test_the_account_says_what_the_study_says(spec, lab):
    state, balance = driven(spec)
    assert state.ended.startswith("nothing left to try")
    assert lab.standing.spent == balance.spent > ZERO
    assert lab.standing.held == balance.held == ZERO


@pytest.mark.parametrize("left_ms", [0, 5_000, 12_000])
def test_a_study_waits_for_another_day_while_others_hold_the_account(spec, lab, left_ms):
    lab.reserve("other", "h", GRANTED.less(DeviceTime(left_ms)))
    state, balance = driven(spec)
    assert state.stopped
    assert "account 'lab'" in state.ended
    assert balance.spent <= DeviceTime(left_ms)
    assert not any(t.state is TrialState.UNAFFORDABLE for t in state.trials.values())
    assert not lab.standing.overdrawn

    lab.settle("other", "h", {}, release=True)
    state, again = driven(spec)
    assert state.ended.startswith("nothing left to try")
    assert not state.stopped
    assert lab.standing.spent == again.spent > balance.spent


@pytest.mark.parametrize("left_ms", [40_000, 70_000, 90_000])
def test_what_is_left_in_the_account_pays_for_finals_before_it_is_gone(spec, lab, left_ms):
    lab.reserve("other", "h", GRANTED.less(DeviceTime(left_ms)))
    state, balance = driven(spec)
    assert balance.spent <= DeviceTime(left_ms)
    assert not lab.standing.overdrawn
    assert all(final.state is TrialState.DONE for final in state.finals)
    assert state.finals


def test_an_account_that_nobody_opened_is_refused_with_those_there_are(spec, lab):
    other = spec.model_copy(update={"budget": spec.budget.model_copy(update={"account": "lav"})})
    with pytest.raises(UnknownAccountError, match="no account 'lav'; accounts here: lab"):
        driven(other)
