"""Where finalists stand by repetitions paired by seed, and who gets the next seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from races import CONTROL, after_search, begin, draws, raced, score, spec_with

from scheduler.facts import TrialMoved
from scheduler.finals import fields, next_finals, standing
from scheduler.quantiles import t_975
from scheduler.race import race
from scheduler.trial import TrialState

NOISE = ((0.0, 0.4, -0.4, 0.2), (0.3, 0.0, 0.1, -0.3), (-0.2, 0.3, 0.0, 0.4), (0.1, -0.4, 0.3, 0.0))


def scores_of(means, n_seeds, shift=0.0):
    """Scores of the control and of a, b, c: a mean, what a seed does to all, a little noise."""
    names = (CONTROL, "a", "b", "c")[: len(means)]
    return {
        name: {seed: mean + shift * seed + NOISE[i][seed % 4] for seed in range(n)}
        for i, (name, mean, n) in enumerate(zip(names, means, n_seeds, strict=True))
    }


def test_with_the_same_seeds_gaps_are_the_differences_of_the_means():
    scores = scores_of((50, 53, 52, 49), (4, 4, 4, 4))
    standing = race(scores, CONTROL)
    mean = {arm: np.mean(list(of.values())) for arm, of in scores.items()}
    assert standing.leader == "a"
    for arm in (CONTROL, "b", "c"):
        assert standing.gaps[arm].points == pytest.approx(mean[arm] - mean["a"])


def test_with_two_arms_the_interval_is_that_of_the_paired_t_test():
    scores = scores_of((50, 53), (4, 4), shift=5.0)
    differences = np.array([scores[CONTROL][s] - scores["a"][s] for s in range(4)])
    half = t_975(3) * differences.std(ddof=1) / 2
    gap = race(scores, CONTROL).gaps[CONTROL]
    assert gap.points == pytest.approx(differences.mean())
    assert (gap.low, gap.high) == pytest.approx((gap.points - half, gap.points + half))


def test_an_arm_with_few_seeds_is_compared_on_those_it_has():
    scores = scores_of((50, 53, 54), (4, 4, 2), shift=3.0)  # later seeds are worth more to everybody
    standing = race(scores, CONTROL)
    assert np.mean(list(scores["b"].values())) < np.mean(list(scores["a"].values()))
    assert standing.leader == "b"


@given(
    shift=st.floats(-50, 50),
    means=st.lists(st.integers(30, 70), min_size=2, max_size=4),
    n_seeds=st.lists(st.integers(1, 4), min_size=4, max_size=4),
)
def test_what_a_seed_does_to_all_arms_changes_no_gap(shift, means, n_seeds):
    n_seeds = (4, *n_seeds[1 : len(means)])
    plain, shifted = (race(scores_of(means, n_seeds, by), CONTROL) for by in (0.0, shift))
    assert plain.leader == shifted.leader
    for arm, gap in plain.gaps.items():
        ends = (gap.points, gap.low, gap.high)
        other = shifted.gaps[arm]
        assert ends == pytest.approx((other.points, other.low, other.high), abs=1e-6)


def test_a_repetition_whose_control_is_missing_does_not_count():
    scores = scores_of((50, 53, 52), (3, 3, 3))
    more = {**scores, "b": {**scores["b"], 99: 1_000.0}}
    assert race(more, CONTROL) == race(scores, CONTROL)


def test_before_a_spread_is_known_nobody_is_out():
    standing = race(scores_of((50, 90, 10), (1, 1, 1)), CONTROL)
    assert standing.leader == "a"
    assert not standing.out("b")
    assert standing.order == ("a", "b")
    assert race({CONTROL: {}, "a": {}, "b": {}}, CONTROL).order == ("a", "b")


def test_the_challenger_is_the_one_whose_interval_reaches_highest():
    standing = race(scores_of((50, 53, 52.7, 52.8), (4, 4, 2, 4)), CONTROL)
    assert standing.gaps["b"].points < standing.gaps["c"].points
    assert standing.gaps["b"].high > standing.gaps["c"].high  # it has two seeds only
    assert standing.order == ("a", "b", "c")


def test_arms_that_score_alike_are_not_told_apart():
    standing = race({arm: {13: 46.77, 14: 46.77, 15: 46.77} for arm in (CONTROL, "a", "b")}, CONTROL)
    assert standing.leader == "a"
    assert not standing.out("b")


def firsts(spec, state):
    """(finalist, seed) of what may be begun, the most telling first."""
    return [(final.finalist, final.recipe.seed) for final in next_finals(spec, state)]


def test_every_finalist_gets_the_first_two_seeds():
    spec, state = spec_with(3), after_search(3)
    seen = []
    for _ in range(8):
        seen.append(firsts(spec, state)[0])
        begin(state, *seen[-1])
    assert seen == [(f"t{arm:04d}", seed) for seed in (13, 14) for arm in range(4)]


def three_finalists(second=52.0, third=41.0):
    """Two seeds each: the first finalist leads, the second is close, the third is far below."""
    state = after_search(3)
    for arm, mean in enumerate((50.0, 53.0, second, third)):
        score(state, f"t{arm:04d}", *(mean + noise for noise in NOISE[arm][:2]))
    return spec_with(3), state


def test_further_seeds_go_to_control_leader_and_challenger():
    spec, state = three_finalists()
    seen = []
    for _ in range(6):
        seen.append(firsts(spec, state)[0])
        begin(state, *seen[-1])
    assert seen == [(arm, seed) for seed in (15, 16) for arm in ("t0000", "t0001", "t0002")]


def test_a_finalist_surely_below_the_leader_gets_no_further_seed():
    spec, state = three_finalists()
    assert standing(fields(spec, state)[0], state).out("t0003")
    assert not standing(fields(spec, state)[0], state).out("t0002")
    given = []
    while (offered := firsts(spec, state)) and len(given) < 30:
        assert "t0003" not in [arm for arm, _ in offered]
        given.append(offered[0])
        value = {"t0000": 50.0, "t0001": 53.0, "t0002": 52.0}[given[-1][0]]
        state.apply(TrialMoved(begin(state, *given[-1]), TrialState.DONE, 0, value + len(given) % 2))
    assert len(given) == 30


def test_where_the_next_pair_does_not_fit_another_in_the_race_gets_a_seed_that_the_control_has():
    spec, state = three_finalists(second=52.5, third=52.2)
    for arm in ("t0000", "t0001", "t0002"):
        begin(state, arm, 15)
    assert standing(fields(spec, state)[0], state).order == ("t0001", "t0002", "t0003")
    assert firsts(spec, state) == [("t0000", 16), ("t0003", 15)]


def test_a_finalist_never_gets_a_seed_that_the_control_does_not_have():
    spec, state = spec_with(2), after_search(2)
    name = begin(state, "t0000", 13)
    state.apply(TrialMoved(name, TrialState.FAILED, 0))
    assert {seed for arm, seed in firsts(spec, state) if arm != "t0000"} == set()
    assert firsts(spec, state)[0] == ("t0000", 14)


def test_equal_seeds_are_given_in_rounds():
    spec, state = spec_with(2, "equal", max_seeds=4), after_search(2)
    seen = []
    while offered := firsts(spec, state):
        seen.append(offered[0])
        value = {"t0000": 50.0, "t0001": 60.0, "t0002": 20.0}[seen[-1][0]]
        state.apply(TrialMoved(begin(state, *seen[-1]), TrialState.DONE, 0, value))
    assert seen == [(f"t{arm:04d}", seed) for seed in range(13, 17) for arm in range(3)]


def test_a_race_gives_the_best_two_more_seeds_for_the_same_money():
    means = (50.0, 54.0, 53.5, 48.0, 47.0)
    n_seeds = {"race": [], "equal": []}
    for rule, found in n_seeds.items():
        for number in range(20):
            by_arm, _ = raced(draws(means, np.random.default_rng(number)), 60, rule)
            found.append((len(by_arm["t0001"]), len(by_arm["t0004"])))
    assert np.mean(n_seeds["race"], axis=0)[0] > 1.4 * np.mean(n_seeds["equal"], axis=0)[0]
    assert np.mean(n_seeds["race"], axis=0)[1] < 0.7 * np.mean(n_seeds["equal"], axis=0)[1]
