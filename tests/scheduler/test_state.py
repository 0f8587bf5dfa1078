"""What a study's facts add up to."""

from __future__ import annotations

import json

import pytest
from fakes import Bench, begun, engine_on, small_tree

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.ledger import Opened
from scheduler.drivers.table import drive_table
from scheduler.errors import MoveError
from scheduler.facts import StudyEnded, TrialMoved, TrialProposed
from scheduler.mix import Mix
from scheduler.state import StudyState
from scheduler.status import status_json
from scheduler.trial import Recipe, Role, TrialState
from trainers.order import Measurement, Outcome
from trainers.stage import stage_name

AMPLE = DeviceTime.from_hours(2)


def proposed(name, role, *tasks):
    return TrialProposed(name, Recipe(Mix.of(tasks), 13, "toy-tiny"), role, None, str(role))


def moved(name, state, rung=0, score=None):
    return TrialMoved(name, state, rung, score, "because")


def done(name, role, score, *tasks):
    return [
        proposed(name, role, *tasks),
        moved(name, TrialState.RUNNING),
        moved(name, TrialState.DONE, 0, score),
    ]


def test_scores_are_kept_by_rung():
    state = StudyState.of(
        [
            proposed("t0001", Role.SEARCH, "toy_text"),
            moved("t0001", TrialState.RUNNING),
            moved("t0001", TrialState.PAUSED, 0, 41.0),
            moved("t0001", TrialState.RUNNING, 1),
            moved("t0001", TrialState.DONE, 1, 43.5),
        ]
    )
    assert state.trials["t0001"].scores == {0: 41.0, 1: 43.5}
    assert state.reasons["t0001"] == "because"


def test_a_journal_with_an_impossible_move_is_refused():
    facts = [*done("t0001", Role.SEARCH, 1.0), moved("t0001", TrialState.RUNNING)]
    with pytest.raises(MoveError, match="t0001 is done"):
        StudyState.of(facts)


def test_the_best_is_the_highest_score_the_control_s_included():
    control, good = done("t0000", Role.CONTROL, 50.0), done("t0001", Role.SEARCH, 55.0, "toy_text")
    assert StudyState.of(control).best().name == "t0000"
    assert StudyState.of([*control, *good]).best().name == "t0001"
    assert StudyState().best() is None


def test_repetitions_are_not_among_the_searched():
    state = StudyState.of([*done("t0000", Role.CONTROL, 50.0), *done("f0000", Role.FINAL, 99.0)])
    assert [t.name for t in state.searched] == ["t0000"]
    assert [t.name for t in state.finals] == ["f0000"]
    assert state.best().name == "t0000"


def test_device_time_granted_after_the_end_opens_the_study_again():
    facts = [*done("f0000", Role.FINAL, 1.0), StudyEnded("cap reached")]
    assert StudyState.of(facts).ended == "cap reached"
    assert StudyState.of(facts).finals_open
    again = StudyState.of([*facts, Opened(AMPLE)])
    assert again.ended is None
    assert not again.finals_open


def test_a_stage_s_attempts_failures_and_cost_are_kept_together():
    tree = small_tree()
    engine, _ = engine_on(begun(tree, AMPLE), tree)
    for outcome in (Outcome.FAILED, Outcome.LOST):
        order = engine.ask().order
        bill = Bill({Purpose.LOST: DeviceTime(100)})
        engine.tell(Measurement(order.hold, stage_name(order.stage), outcome, bill))
    order = engine.ask().order
    record = engine.state.stages[stage_name(order.stage)]
    assert (record.failures, record.in_flight, record.done) == (2, True, False)
    assert record.charged == DeviceTime(200)
    assert [lease.started.attempt for lease in record.leases] == [1, 2, 3]


def test_status_says_in_milliseconds_where_a_study_stands():
    tree = small_tree()
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    assert status_json(StudyState(), account.balance)["state"] == "empty"
    assert status_json(engine.state, account.balance)["state"] == "search"
    drive_table(engine, Bench(tree).run, 1)
    status = status_json(engine.state, account.balance)
    assert json.loads(json.dumps(status)) == status
    assert status["state"] == "ended"
    assert status["reason"] == engine.state.ended
    assert status["cap_ms"] == status["spent_ms"] + status["free_ms"]
    assert sum(status["by_purpose"].values()) == status["spent_ms"]
    assert status["control"]["trial"] == "t0000"
    assert status["best"]["score"] >= status["control"]["score"]
    assert status["stages"]["in_flight"] == 0
    assert engine.state.saved > ZERO
