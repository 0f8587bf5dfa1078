"""What a rung says of the next: tau against its definition, and verdicts on worlds that are known."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import combinations
from statistics import fmean
from types import MappingProxyType

import pytest
from fakes import spec_of
from hypothesis import given
from hypothesis import strategies as st

from scheduler.facts import TrialMoved, TrialProposed
from scheduler.mix import Mix
from scheduler.policies import Standing, Standings
from scheduler.policies.trust import (
    LEAST_PAIRS,
    Verdict,
    kendall_tau,
    rung_trust,
    trust_of,
    worth_of,
)
from scheduler.state import StudyState
from scheduler.trial import MERGED, Recipe, Role, Trial, TrialState

coarse = st.integers(0, 5).map(float)


def by_definition(pairs):
    signs = [
        (math.copysign(a != c, a - c), math.copysign(b != d, b - d))
        for (a, b), (c, d) in combinations(pairs, 2)
    ]
    spread = math.prod(sum(one[i] ** 2 for one in signs) for i in (0, 1))
    return sum(a * b for a, b in signs) / math.sqrt(spread) if spread else None


def world(correlation, n, seed):
    """Scores of n mixes at two rungs, by trial."""
    draw = random.Random(seed)
    here = {f"t{i:04d}": draw.gauss(0, 1) for i in range(1, n + 1)}
    left = math.sqrt(1 - correlation**2)
    return here, {t: correlation * x + left * draw.gauss(0, 1) for t, x in here.items()}


@given(st.lists(st.tuples(coarse, coarse | st.floats(0, 100)), min_size=2, max_size=30))
def test_tau_b_is_what_counting_all_pairs_gives(pairs):
    found, expected = kendall_tau(pairs), by_definition(pairs)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_seven_mixes_say_nothing_and_eight_of_one_order_are_trusted():
    here = {f"t{i}": float(i) for i in range(LEAST_PAIRS)}
    few = dict(list(here.items())[1:])
    assert trust_of(0, here, few).tau is None
    assert trust_of(0, here, few).verdict is Verdict.OPEN
    agreed = trust_of(0, here, here)
    assert (agreed.tau < 1, agreed.low > 0, agreed.verdict) == (True, True, Verdict.TRUSTED)
    turned = trust_of(0, here, {name: -score for name, score in here.items()})
    assert turned.verdict is Verdict.DROPPED


def test_mixes_that_all_score_alike_say_nothing():
    here = {f"t{i}": float(i) for i in range(20)}
    assert trust_of(0, here, dict.fromkeys(here, 40.0)).verdict is Verdict.OPEN


def test_noise_is_dropped_and_a_forecast_is_kept():
    drawn = [trust_of(0, *world(0.0, 60, seed)).verdict for seed in range(40)]
    kept = [trust_of(0, *world(0.8, 60, seed)).verdict for seed in range(40)]
    assert drawn.count(Verdict.DROPPED) >= 36
    assert set(kept) == {Verdict.TRUSTED}


def test_a_trusted_order_is_not_dropped_because_only_its_best_were_promoted():
    right, plain = [], []
    for seed in range(40):
        here, above = world(math.sin(math.pi * 0.5 / 2), 240, seed)
        best = sorted(here, key=here.__getitem__, reverse=True)[:80]
        promoted = {name: above[name] for name in best}
        right.append(trust_of(0, here, promoted).tau)
        plain.append(trust_of(0, {name: here[name] for name in best}, promoted).tau)
    assert fmean(right) == pytest.approx(0.5, abs=0.05)
    assert fmean(plain) < 0.4


def test_nine_intervals_of_ten_hold_the_truth():
    truth = 0.4
    found = [trust_of(0, *world(math.sin(math.pi * truth / 2), 20, seed)) for seed in range(200)]
    assert 170 <= sum(one.low <= truth <= one.high for one in found) <= 195


def test_a_rung_must_foretell_as_much_as_it_costs_of_the_next():
    assert worth_of(10, 100) == pytest.approx(0.15)
    assert worth_of(90, 100) == worth_of(10, 0) == 0.3
    here, above = world(math.sin(math.pi * 0.15 / 2), 400, 1)
    dear = trust_of(0, here, above)
    assert dear.high < 0.3
    assert dear.verdict is Verdict.DROPPED
    assert replace(dear, worth=worth_of(1, 60)).verdict is Verdict.TRUSTED


@given(st.lists(st.tuples(coarse, st.none() | coarse), max_size=40), st.randoms())
def test_standings_taken_in_one_by_one_say_the_same_in_any_order(scores, draw):
    trials = []
    for i, (first, second) in enumerate(scores):
        at = {0: first} if second is None else {0: first, 1: second}
        recipe = Recipe(Mix(("toy_text",)), 13, "toy-tiny")
        trials.append(Trial(f"t{i:04d}", recipe, Role.SEARCH, scores=MappingProxyType(at)))
    here, above = ({t.name: t.scores[rung] for t in trials if rung in t.scores} for rung in (0, 1))
    draw.shuffle(trials)
    standings = Standings()
    for trial in trials:
        early = replace(trial, scores=MappingProxyType({0: trial.scores[0]}))
        standings.put(Standing(early, {}))
        standings.trust(0)
    for trial in reversed(trials):
        standings.put(Standing(trial, {}))
    assert standings.trust(0) == trust_of(0, here, above)


def test_scores_that_are_no_number_say_nothing():
    here, above = world(0.9, 20, 3)
    assert trust_of(0, {**here, "t99": math.nan}, {**above, "t99": 1.0}) == trust_of(0, here, above)


def study(n, second):
    """Records of ``n`` mixes that were looked at and trained, the second score by the first."""
    state = StudyState()
    for i in range(n):
        name, mix = f"t{i:04d}", Mix.of(("toy_text", "toy_roles"), 100 * i, 2.0) if i else Mix()
        role = Role.SEARCH if i else Role.CONTROL
        state.apply(TrialProposed(name, Recipe(mix, 13, "toy-tiny"), role, None, "random"))
        if i:
            state.apply(TrialMoved(name, TrialState.RUNNING, MERGED, None, "random"))
            state.apply(TrialMoved(name, TrialState.PAUSED, MERGED, float(i), ""))
        state.apply(TrialMoved(name, TrialState.RUNNING, 0, None, ""))
        state.apply(TrialMoved(name, TrialState.PAUSED, 0, second(i), ""))
    return state


def test_each_rung_is_held_against_the_next_and_the_control_against_nothing():
    spec = spec_of({"intermediate.merged": {}})
    merged, first = rung_trust(study(10, float), spec)
    assert (merged.lower, merged.higher, merged.n, merged.verdict) == (MERGED, 0, 9, Verdict.TRUSTED)
    assert str(merged).startswith("the merged rung foretells rung 0 (τ 0.97, 90 % interval")
    assert (first.lower, first.n, first.verdict) == (0, 0, Verdict.OPEN)
    assert str(first) == "rung 0 against rung 1: 0 mixes scored at both"
    assert [one.lower for one in rung_trust(study(10, float), spec_of())] == [0]


def test_a_rung_that_new_mixes_begin_above_is_passed_over_for_its_price():
    state, spec = study(4, float), spec_of({"intermediate.rungs": [10_000, 20_000, 40_000]})
    mix = Mix.of(("toy_text",))
    for name, first in (("t0004", 1), ("t0005", 2)):
        state.apply(TrialMoved("t0003", TrialState.RUNNING, 1, None, ""))
        state.apply(TrialMoved("t0003", TrialState.PAUSED, 1, 1.0, ""))
        assert {one.verdict for one in rung_trust(state, spec)} <= {Verdict.OPEN, Verdict.PASSED_OVER}
        state.apply(TrialProposed(name, Recipe(mix, 13, "toy-tiny"), Role.SEARCH, None, "random"))
        state.apply(TrialMoved(name, TrialState.RUNNING, first, None, "random"))
        below = rung_trust(state, spec)
        assert [one.passed_over for one in below] == [lower < first for lower in (0, 1)]
        assert [one.verdict for one in below[:first]] == [Verdict.PASSED_OVER] * first
    assert str(below[0]) == "rung 0 saves too little beside rung 1"
    assert str(replace(below[0], times=1.234)) == (
        "rung 0 saves too little beside rung 1 (1.2 times as much was billed a mix)"
    )


def test_a_dropped_rung_is_not_called_passed_over_and_takes_those_below_it_along():
    spec = spec_of({"intermediate.rungs": [10_000, 20_000, 40_000]})
    state = study(10, float)
    for i in range(1, 10):
        for rung, score in ((1, float(i)), (2, -float(i))):
            state.apply(TrialMoved(f"t{i:04d}", TrialState.RUNNING, rung, None, ""))
            state.apply(TrialMoved(f"t{i:04d}", TrialState.PAUSED, rung, score, ""))
    recipe = Recipe(Mix.of(("toy_text",)), 13, "toy-tiny")
    state.apply(TrialProposed("t0010", recipe, Role.SEARCH, None, "random"))
    state.apply(TrialMoved("t0010", TrialState.RUNNING, 2, None, "random"))
    assert [one.verdict for one in rung_trust(state, spec)] == [Verdict.TRUSTED, Verdict.DROPPED]


def test_a_study_whose_looks_mislead_is_told_so():
    merged, _ = rung_trust(study(10, lambda i: -float(i)), spec_of({"intermediate.merged": {}}))
    assert merged.verdict is Verdict.DROPPED
    assert "does not foretell rung 0 (τ -0.97" in str(merged)
