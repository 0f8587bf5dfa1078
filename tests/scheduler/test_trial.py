"""A trial makes the moves of its table and no other."""

from __future__ import annotations

from itertools import product
from types import MappingProxyType

import pytest

from scheduler.errors import MoveError
from scheduler.mix import Mix
from scheduler.trial import MOVES, Recipe, Role, Trial, TrialState

TRIAL = Trial("t0001", Recipe(Mix(), 13, "toy-tiny"), Role.SEARCH)


def in_state(state):
    return Trial("t0001", TRIAL.recipe, Role.SEARCH, state=state)


@pytest.mark.parametrize(("before", "after"), list(product(TrialState, TrialState)))
def test_a_move_is_made_if_and_only_if_the_table_has_it(before, after):
    if after in MOVES[before]:
        assert in_state(before).to(after).state is after
    else:
        with pytest.raises(MoveError, match=f"t0001 is {before} and cannot become {after}"):
            in_state(before).to(after)


def test_a_trial_is_over_when_no_move_is_left():
    over = {state for state in TrialState if in_state(state).over}
    assert over == {
        TrialState.DONE,
        TrialState.PRUNED,
        TrialState.FAILED,
        TrialState.UNAFFORDABLE,
    }


def test_every_state_can_be_reached_and_every_one_that_is_not_over_can_end():
    assert set().union(*MOVES.values()) | {TrialState.PLANNED} == set(TrialState)
    for state, moves in MOVES.items():
        assert in_state(state).over or TrialState.UNAFFORDABLE in moves


def test_an_impossible_move_lists_the_possible_ones():
    with pytest.raises(MoveError, match="allowed: pruned, running, unaffordable"):
        in_state(TrialState.PAUSED).to(TrialState.DONE)
    with pytest.raises(MoveError, match="nothing, it is over"):
        in_state(TrialState.DONE).to(TrialState.RUNNING)


def test_the_best_rung_is_the_cheaper_of_equals():
    trial = Trial("t", TRIAL.recipe, Role.SEARCH, scores=MappingProxyType({1: 50.0, 0: 50.0, 2: 40.0}))
    assert (trial.best_rung, trial.best_score) == (0, 50.0)
