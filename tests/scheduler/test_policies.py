"""Who climbs: halving promotes the best, waits with the rest and kills nobody."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.mix import Mix
from scheduler.policies import Halving, RandomRungs, Standing, Standings, UniformRungs, policy
from scheduler.policies.standings import front_ranks
from scheduler.policies.trust import LEAST_PAIRS
from scheduler.trial import MERGED, Recipe, Role, Trial, TrialState

RECIPE = Recipe(Mix(("toy_text",)), 13, "toy-tiny")
CONTROL = Trial("t0000", Recipe(Mix(), 13, "toy-tiny"), Role.CONTROL, state=TrialState.DONE)


def paused(name, score, rung=0, cost_ms=0):
    scores = MappingProxyType(dict.fromkeys(range(rung + 1), score))
    trial = Trial(name, RECIPE, Role.SEARCH, None, TrialState.PAUSED, rung, scores)
    return Standing(trial, {rung: cost_ms} if cost_ms else {})


def promoted(standing):
    trial = replace(standing.trial, state=TrialState.RUNNING, rung=standing.trial.rung + 1)
    return replace(standing, trial=trial)


def doubling(rung):
    """Every rung costs twice the one below it."""
    return 1_000 * 2 ** (rung + 1)


def promote_all(halving, standings, price_ms=doubling):
    """Promote until halving has nobody left; names in order."""
    names = []
    while (name := halving.promote(Standings(standings), price_ms)) is not None:
        names.append(name)
        standings = [promoted(s) if s.trial.name == name else s for s in standings]
    return names


def dominated(point, other):
    """Whether ``other`` is at least as good in both and better in one; score up, cost down."""
    return other[0] >= point[0] and other[1] <= point[1] and other != point


def brute_force_ranks(points):
    ranks, left, rank = [0] * len(points), set(range(len(points))), 0
    while left:
        front = {i for i in left if not any(dominated(points[i], points[j]) for j in left)}
        for i in front:
            ranks[i] = rank
        left -= front
        rank += 1
    return ranks


scores = st.sampled_from([0.0, 1.0, 2.5, 2.5, 40.0, 41.0, 99.0])
points = st.lists(st.tuples(scores | st.floats(0, 100), st.integers(0, 6)), max_size=25)


@given(points)
def test_ranks_are_those_of_peeling_fronts_one_by_one(points):
    assert front_ranks(points) == brute_force_ranks(points)


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(2, 5))
def test_at_most_one_in_eta_is_promoted_and_they_are_the_best(values, eta):
    standings = [paused(f"t{i:04d}", value) for i, value in enumerate(values, start=1)]
    names = promote_all(Halving(2, eta), standings)
    best = sorted(standings, key=lambda s: (-s.trial.scores[0], s.trial.name))
    assert names == [s.trial.name for s in best[: len(values) // eta]]


@given(st.lists(st.floats(0, 100), max_size=200), st.integers(2, 90))
def test_to_a_dear_rung_so_few_are_promoted_that_it_takes_no_more_time_than_the_looks(values, ratio):
    standings = [paused(f"t{i:04d}", value) for i, value in enumerate(values, start=1)]
    names = promote_all(Halving(2, 3), standings, lambda rung: 7 * ratio**rung)
    assert len(names) == len(values) // max(3, ratio)
    assert len(names) * ratio <= max(len(values), 3 * len(names))
    best = sorted(standings, key=lambda s: (-s.trial.scores[0], s.trial.name))
    assert names == [s.trial.name for s in best[: len(names)]]


@given(st.lists(st.floats(0, 100), max_size=12))
def test_a_late_promotion_takes_the_best_that_waits_until_nobody_does(values):
    halving = Halving(2, 3)
    standings = [paused(f"t{i:04d}", value) for i, value in enumerate(values, start=1)]
    seen = []
    while (name := halving.promote_late(Standings(standings))) is not None:
        seen.append(name)
        standings = [promoted(s) if s.trial.name == name else s for s in standings]
    assert sorted(seen) == [f"t{i:04d}" for i in range(1, len(values) + 1)]
    by_name = dict(zip([f"t{i:04d}" for i in range(1, len(values) + 1)], values, strict=True))
    assert [by_name[name] for name in seen] == sorted(values, reverse=True)


def test_the_highest_rung_is_looked_at_first():
    low = [paused(f"t{i:04d}", 90 - i) for i in range(1, 7)]
    high = [paused(f"t{i:04d}", 50 - i, rung=1) for i in range(7, 10)]
    assert Halving(3, 3).promote(Standings([*low, *high]), doubling) == "t0007"
    assert Halving(3, 3).promote(Standings(low), doubling) == "t0001"
    only_high = [paused(f"t{i:04d}", 50 - i, rung=1) for i in range(1, 4)]
    assert Halving(3, 3).promote(Standings(only_high), doubling) == "t0001"
    assert Halving(2, 3).promote(Standings(only_high), doubling) is None


def test_a_cheap_trial_ranks_beside_a_better_dearer_one():
    dear, cheap, worst = (
        paused("t0001", 60.0, cost_ms=90_000),
        paused("t0002", 50.0, cost_ms=10_000),
        paused("t0003", 40.0, cost_ms=90_000),
    )
    assert [*Standings([worst, cheap, dear]).ranked(0)] == ["t0001", "t0002", "t0003"]
    middling = paused("t0004", 55.0, cost_ms=90_000)
    assert [*Standings([middling, cheap, dear]).ranked(0)] == ["t0001", "t0002", "t0004"]


def test_costs_that_differ_by_noise_are_the_same_cost():
    better, worse = paused("t0001", 60.0, cost_ms=10_100), paused("t0002", 59.0, cost_ms=10_000)
    third = paused("t0003", 58.0, cost_ms=9_990)
    assert [*Standings([third, worse, better]).ranked(0)] == ["t0001", "t0002", "t0003"]


def test_the_control_is_not_ranked_and_not_promoted():
    control = Standing(replace(CONTROL, scores=MappingProxyType({0: 99.0})), {})
    others = [paused(f"t{i:04d}", i) for i in range(1, 4)]
    assert promote_all(Halving(2, 3), [control, *others]) == ["t0003"]
    for chosen in (Halving(3, 3), UniformRungs(3), RandomRungs(3, 13)):
        assert chosen.goal(CONTROL) == 2


def test_uniform_and_random_go_straight_to_their_goal_and_never_wait():
    trials = [Trial(f"t{i:04d}", RECIPE, Role.SEARCH) for i in range(60)]
    standings = [paused(trial.name, 1.0) for trial in trials]
    uniform, drawn = UniformRungs(3), RandomRungs(3, 13)
    for chosen in (uniform, drawn):
        assert not chosen.pauses
        assert chosen.promote(Standings(standings), doubling) is None
        assert chosen.promote_late(Standings(standings)) is None
    assert {uniform.goal(trial) for trial in trials} == {2}
    goals = [drawn.goal(trial) for trial in trials]
    assert set(goals) == {0, 1, 2}
    assert goals == [RandomRungs(3, 13).goal(trial) for trial in trials]
    assert goals != [RandomRungs(3, 14).goal(trial) for trial in trials]


def test_halving_begins_new_trials_at_the_lowest_rung_and_takes_them_no_further():
    assert Halving(3, 3).start(Standings(), doubling) == 0
    assert Halving(3, 3, has_merged=True).start(Standings(), doubling) == MERGED
    assert Halving(3, 3).goal(Trial("t0001", RECIPE, Role.SEARCH, rung=1)) == 1
    assert Halving(3, 3).pauses
    assert UniformRungs(3).start(Standings(), doubling) == 0


@pytest.mark.parametrize(
    ("prices_ms", "start"),
    [([100, 149, 400], 1), ([100, 150, 200], 0), ([100, 140, 200], 2), ([100, 1_000, 1_200], 0)],
)
def test_new_trials_begin_above_rungs_known_to_cost_nearly_what_the_next_one_does(prices_ms, start):
    halving, of = Halving(3, 3), prices_ms.__getitem__
    assert halving.start(Standings(), of) == 0
    assert halving.start(Standings([paused("t0001", 1.0, rung=1)]), of) == min(start, 1)
    assert halving.start(Standings([paused("t0001", 1.0, rung=2)]), of) == start


def scored(name, at, **state):
    """A trial with a score at each of some rungs, the last the one it is at."""
    trial = Trial(name, RECIPE, Role.SEARCH, rung=list(at)[-1], scores=MappingProxyType(at), **state)
    return Standing(replace(trial, state=TrialState.PAUSED), {})


def misled(lower, n=12):
    """Mixes whose scores at a rung are turned round at the next."""
    return [scored(f"t{i:04d}", {lower: float(i), lower + 1: -float(i)}) for i in range(1, n)]


@pytest.mark.parametrize("lower", [MERGED, 0, 1])
def test_new_trials_begin_above_a_rung_that_does_not_foretell_the_next(lower):
    halving, standings = Halving(3, 3, has_merged=True), Standings(misled(lower))
    assert halving.start(standings, doubling) == lower + 1
    cheap = {lower: 1}
    assert halving.start(standings, lambda rung: cheap.get(rung, 10**6)) == lower + 1
    assert halving.start(Standings(misled(lower, LEAST_PAIRS)), doubling) == MERGED


def test_who_waits_at_a_dropped_rung_is_promoted_only_when_nothing_else_can_start():
    halving = Halving(2, 3, has_merged=True)
    waiting = [scored(f"t{i:04d}", {MERGED: 90.0}) for i in range(20, 26)]
    standings = Standings([*misled(MERGED), *waiting])
    at_top = [scored(s.trial.name, {**s.trial.scores, 1: 1.0}) for s in misled(MERGED)]
    assert halving.promote(standings, doubling) in {s.trial.name for s in misled(MERGED)}  # from rung 0
    standings = Standings([*at_top, *waiting])
    assert halving.promote(standings, doubling) is None
    assert halving.promote_late(standings) == "t0020"


def test_the_first_mixes_and_those_without_a_look_leave_the_merged_rung_whatever_it_says():
    halving = Halving(2, 3, has_merged=True)
    here = [scored(f"t{i:04d}", {MERGED: float(i)}) for i in range(1, 16)]
    assert promote_all(halving, here) == [
        *(f"t{i:04d}" for i in (15, 14, 13, 12, 11)),
        *(f"t{i:04d}" for i in range(1, LEAST_PAIRS + 1)),
    ]
    blind = Trial("t0016", RECIPE, Role.SEARCH, None, TrialState.PAUSED, MERGED)
    assert promote_all(halving, [*here, Standing(blind, {})])[-1] == "t0016"


@pytest.mark.parametrize(
    ("name", "kind"), [("halving", Halving), ("uniform", UniformRungs), ("random", RandomRungs)]
)
def test_a_policy_is_found_by_the_name_the_spec_uses(name, kind):
    assert isinstance(policy(name, n_rungs=2, eta=3, seed=13), kind)


def test_an_unknown_policy_is_refused_by_name():
    with pytest.raises(KeyError, match="no policy 'hyperband'"):
        policy("hyperband", n_rungs=2, eta=3, seed=13)
