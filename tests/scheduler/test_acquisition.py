"""Expected gains against drawn ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.acquisition import cooling, corners, expected_improvement, hypervolume_improvement
from scheduler.surrogate import Prediction

DRAWS = np.random.default_rng(0).standard_normal(40_000)
points = st.tuples(st.floats(-3, 3), st.floats(0.2, 4))


@settings(max_examples=30)
@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(-3, 3))
def test_expected_improvement_is_the_mean_of_what_draws_gain(mean, sd, best):
    drawn = np.maximum(0, mean + sd * DRAWS - best)
    found = expected_improvement(Prediction(np.array([mean]), np.array([sd])), best)
    assert found[0] == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 200 + 1e-6)


def test_what_is_known_gains_exactly_its_lead():
    found = expected_improvement(Prediction(np.array([2.0, 1.0]), np.zeros(2)), 1.5)
    np.testing.assert_allclose(found, [0.5, 0.0], atol=1e-9)


def dominated(front, reach, worst):
    """Point-hours that ``front`` dominates above ``worst`` and before ``reach``, by a fine sum."""
    at = np.linspace(0, reach, 4_001)[:-1] + reach / 8_000
    best = np.full(len(at), worst)
    for score, hours in front:
        best = np.where(at >= hours, np.maximum(best, score), best)
    return float((best - worst).sum() * reach / 4_000)


@settings(max_examples=40)
@given(st.lists(points, min_size=1, max_size=5), points)
def test_a_known_mix_enlarges_the_hypervolume_by_what_is_said(front, candidate):
    score, hours = candidate
    found = hypervolume_improvement(
        Prediction(np.array([score]), np.array([0.0])), np.array([hours]), front
    )
    reach, worst = 1.1 * max(hours, *(h for _, h in front)), min(s for s, _ in front)
    gained = dominated([*front, candidate], reach, worst) - dominated(front, reach, worst)
    assert found[0] == pytest.approx(gained, abs=0.03)


def test_an_uncertain_mix_gains_the_mean_over_its_scores():
    front = [(0.0, 1.0), (1.0, 2.0), (0.5, 3.0)]
    scores = 0.8 + 0.5 * DRAWS[:4_000]
    known = hypervolume_improvement(
        Prediction(np.append(scores, 0.0), np.zeros(4_001)), np.append(np.full(4_000, 1.5), 3.0), front
    )[:-1]
    found = hypervolume_improvement(
        Prediction(np.array([0.8, 0.0]), np.array([0.5, 0.0])), np.array([1.5, 3.0]), front
    )
    assert found[0] == pytest.approx(known.mean(), abs=5 * known.std() / 63)


def test_the_same_score_gains_more_where_it_is_had_for_fewer_hours():
    prediction = Prediction(np.full(3, 2.0), np.full(3, 0.5))
    gained = hypervolume_improvement(prediction, np.array([1.0, 2.0, 3.0]), [(0.0, 0.5), (1.0, 2.0)])
    assert gained[0] > gained[1] > gained[2] > 0


def test_the_price_counts_fully_at_first_and_not_at_all_in_the_end():
    assert [cooling(spent, 100) for spent in (0, 25, 100, 400)] == [1.0, 0.75, 0.0, 0.0]
    assert cooling(5, 0) == 0.0


@settings(max_examples=60)
@given(st.lists(points, min_size=1, max_size=8), st.lists(points, min_size=1, max_size=4))
def test_corners_decide_as_the_whole_front_does(front, candidates):
    prediction = Prediction(np.array([s for s, _ in candidates]), np.full(len(candidates), 0.5))
    hours = np.array([h for _, h in candidates])
    np.testing.assert_allclose(
        hypervolume_improvement(prediction, hours, corners(front)),
        hypervolume_improvement(prediction, hours, front),
        rtol=1e-9,
    )
