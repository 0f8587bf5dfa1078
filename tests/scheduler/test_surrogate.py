"""The surrogate says how sure it is, and is right about that."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Truth

from scheduler.features import Features
from scheduler.gain import Gain
from scheduler.mix import Mix
from scheduler.mix_cost import MixCost
from scheduler.observation import Observation
from scheduler.space import MixSpace
from scheduler.surrogate import Surrogate

TASKS = tuple("abcdefgh")
RUNGS = (1_000, 3_000, 9_000)
PLAIN = MixSpace(TASKS, (0, 8))
SPACE = MixSpace(TASKS, (0, 8), (1_000, 64_000), (1.0, 4.0))
NOISE = 0.5


def seen_of(mix, rung=2, score=50.0, error=0.0, cost_ms=1_000, groups=None):
    tokens = RUNGS[rung] if mix.count else 0
    return Observation(mix, rung, tokens, score, error, groups or {}, cost_ms, 0)


def studied(truth, n, seed):
    """A surrogate after the control and ``n`` noisy rungs, most of them low ones."""
    draws, noise = random.Random(seed), np.random.default_rng(seed)
    surrogate = Surrogate(PLAIN, RUNGS)
    surrogate.learn(seen_of(Mix(), 0, truth.score(Mix())))
    for _ in range(n):
        mix, rung = PLAIN.draw(draws), draws.choice((0, 0, 0, 1, 2))
        true = truth.score(mix, surrogate.features.z(RUNGS[rung]))
        surrogate.learn(seen_of(mix, rung, true + noise.normal(0, NOISE), error=0.4))
    return surrogate


@pytest.mark.parametrize("n", [12, 30, 80, 200])
def test_intervals_at_the_top_cover_what_they_promise(n):
    within = {0.80: [], 0.95: []}
    for seed in range(24):
        truth = Truth.of(TASKS, seed)
        surrogate, draws = studied(truth, n, seed), random.Random(1_000 + seed)
        mixes = [PLAIN.draw(draws) for _ in range(60)]
        fit = surrogate.fit()
        mean, sd = fit.predict(surrogate.features.at_top(mixes))
        noise = np.random.default_rng(2_000 + seed).normal(0, NOISE, len(mixes))
        measured = np.array([truth.score(mix) for mix in mixes]) + noise
        sds = np.sqrt(sd**2 + fit.noise_sd**2)
        for promised, reach in ((0.80, 1.2816), (0.95, 1.9600)):
            within[promised] += list(np.abs(measured - mean) <= reach * sds)
    assert 0.70 <= np.mean(within[0.80]) <= 0.90
    assert 0.88 <= np.mean(within[0.95]) <= 0.99


def test_low_rungs_alone_rank_mixes_at_the_top():
    truth, surrogate, draws = Truth.of(TASKS, 5), Surrogate(PLAIN, RUNGS), random.Random(5)
    for _ in range(60):
        mix = PLAIN.draw(draws)
        surrogate.learn(seen_of(mix, 0, truth.score(mix, -1.0)))
    mixes = PLAIN.all_mixes()
    mean = surrogate.fit().predict(surrogate.features.at_top(mixes)).mean
    assert np.corrcoef(mean, [truth.score(mix) for mix in mixes])[0, 1] > 0.8


def test_more_observations_make_surer():
    truth = Truth.of(TASKS, 1)
    rows = Features(PLAIN, RUNGS).at_top(PLAIN.all_mixes())
    sds = [float(np.mean(studied(truth, n, 1).fit().predict(rows).sd)) for n in (12, 60, 200)]
    assert sds[0] > sds[1] > sds[2]


def test_the_control_is_the_origin_and_every_column_but_one_is_zero_there():
    features = Features(SPACE, RUNGS)
    (row,) = features.rows([Mix()], [0])
    assert np.count_nonzero(row) == 1
    assert len(row) == features.n
    assert studied(Truth.of(TASKS, 0), 30, 0).fit().origin == pytest.approx(40.0, abs=1.0)


@given(st.integers(0, 10_000), st.sampled_from(RUNGS))
def test_a_row_is_as_long_as_promised_and_finite(seed, tokens):
    features = Features(SPACE, RUNGS)
    (row,) = features.rows([SPACE.draw(random.Random(seed))], [tokens])
    assert row.shape == (features.n,)
    assert np.all(np.isfinite(row))


def test_two_tasks_have_a_pair_and_one_has_none():
    features = Features(MixSpace(("a", "b", "c"), (0, 3)), RUNGS)
    one, two = features.at_top([Mix(("a",)), Mix(("a", "b"))])
    pairs = slice(features.n_main, features.n_main + 3)
    assert np.count_nonzero(one[pairs]) == 0
    assert np.count_nonzero(two[pairs]) == 1


def test_a_measurement_of_few_examples_moves_the_surrogate_less():
    def after(error):
        surrogate = studied(Truth.of(TASKS, 3), 20, 3)
        before = surrogate.fit().predict(surrogate.features.at_top([Mix(("a",))])).mean[0]
        surrogate.learn(seen_of(Mix(("a",)), 2, before + 6.0, error=error))
        return surrogate.fit().predict(surrogate.features.at_top([Mix(("a",))])).mean[0] - before

    assert after(0.4) > 1.5 * after(4.0) > 0


@settings(max_examples=25)
@given(st.integers(0, 500), st.integers(1, 6))
def test_believing_makes_surer_and_changes_no_mean(seed, n):
    fit, features = studied(Truth.of(TASKS, 2), 20, 2).fit(), Features(PLAIN, RUNGS)
    draws = random.Random(seed)
    rows = features.at_top([PLAIN.draw(draws) for _ in range(n)])
    everything = features.at_top(PLAIN.all_mixes())
    before, after = fit.predict(everything), fit.believing(rows).predict(everything)
    np.testing.assert_allclose(after.mean, before.mean)
    assert np.all(after.sd <= before.sd + 1e-9)
    assert np.all(fit.believing(rows).predict(rows).sd <= fit.predict(rows).sd + 1e-9)


def test_believing_is_what_an_observation_at_the_mean_does():
    fit, features = studied(Truth.of(TASKS, 2), 20, 2).fit(), Features(PLAIN, RUNGS)
    rows, asked = features.at_top([Mix(("a", "b"))]), features.at_top([Mix(("a",))])
    (r,), (q,) = rows, asked
    cross = q @ fit.covariance @ r
    expected = q @ fit.covariance @ q - cross**2 / (r @ fit.covariance @ r + fit.noise)
    assert fit.believing(rows).predict(asked).sd[0] == pytest.approx(fit.unit * math.sqrt(expected))


def test_groups_are_predicted_apart_and_an_unknown_one_is_named():
    surrogate, draws = Surrogate(PLAIN, RUNGS), random.Random(0)
    for mix in (Mix(), *(PLAIN.draw(draws) for _ in range(40))):
        groups = {"qa": 40.0 + 4 * ("a" in mix.tasks), "pair": 60.0 - 4 * ("a" in mix.tasks)}
        surrogate.learn(seen_of(mix, 2, 50.0, groups=groups))
    rows = surrogate.features.at_top([Mix(), Mix(("a",))])
    control, with_a = surrogate.fit("qa").predict(rows).mean
    assert with_a - control == pytest.approx(4.0, abs=0.7)
    control, with_a = surrogate.fit("pair").predict(rows).mean
    assert with_a - control == pytest.approx(-4.0, abs=0.7)
    with pytest.raises(ValueError, match="'structured'; what may be: pair, qa, score"):
        surrogate.fit("structured")


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_teaches_nothing(score):
    surrogate = studied(Truth.of(TASKS, 0), 5, 0)
    surrogate.learn(seen_of(Mix(("a",)), 0, score))
    assert len(surrogate.seen) == 6
    assert np.all(np.isfinite(surrogate.fit().weights))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_equal_scores_and_few_of_them_are_no_trouble(n):
    surrogate = Surrogate(SPACE, RUNGS)
    for mix in (Mix(), Mix(("a",)), Mix(("b",)))[: n + 1]:
        surrogate.learn(seen_of(mix, 0, 50.0))
    mean, sd = surrogate.fit().predict(surrogate.features.at_top([Mix(("a", "b"), 1_000)]))
    assert mean[0] == pytest.approx(50.0)
    assert 0 < sd[0] < 100


def test_gains_known_beforehand_move_what_is_expected_by_how_sure_they_are():
    def expected(sd):
        surrogate = Surrogate(PLAIN, RUNGS, [Gain(Mix(("a",)), 8.0, sd), Gain(Mix(("b",)), -8.0, sd)])
        surrogate.learn(seen_of(Mix(), 0, 50.0))
        return surrogate.fit().predict(surrogate.features.at_top([Mix(("a",)), Mix(("b",))])).mean

    sure, unsure = expected(1.0), expected(8.0)
    assert sure[0] > 54
    assert sure[1] < 46
    assert 50 < unsure[0] < sure[0]


def test_hours_are_learned_task_by_task():
    features, draws = Features(PLAIN, RUNGS), random.Random(0)
    seen = [
        seen_of(
            mix, rung, cost_ms=round(3_600_000 * (2.0 if "a" in mix.tasks else 1.0) * (1 + rung) / 3)
        )
        for mix in (PLAIN.draw(draws) for _ in range(60))
        for rung in (0, 2)
    ]
    rows = features.rows([one.mix for one in seen], [one.tokens for one in seen])
    hours = MixCost(features, seen, rows).hours(features.at_top([Mix(("a", "b")), Mix(("b", "c"))]))
    assert hours[0] / hours[1] == pytest.approx(2.0, rel=0.15)
    assert hours[1] == pytest.approx(1.0, rel=0.25)
    assert list(MixCost(features, [], rows[:0]).hours(rows[:2])) == [1.0, 1.0]


def test_of_thousands_of_observations_all_but_one_in_a_hundred_are_used():
    surrogate, draws = Surrogate(PLAIN, RUNGS), random.Random(0)
    used = []
    for n in range(1, 1_201):
        surrogate.learn(seen_of(PLAIN.draw(draws), 0, draws.gauss(50, 1)))
        used.append(surrogate.n)
        assert n - surrogate.n <= n / 100
    assert used[:199] == list(range(1, 200))
    assert len(set(used)) < 600
    fit = surrogate.fit()
    surrogate.learn(seen_of(Mix(("a",)), 0, 50.0))
    assert surrogate.n == 1_200
    assert surrogate.fit() is fit
