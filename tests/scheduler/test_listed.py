"""A list of candidates with given rates is a space like any other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.listed import ListedSpace
from scheduler.mix import Mix
from scheduler.space import Point, RandomSampler

RATES = {"a": (0.7, 0.3, 0.0), "b": (0.1, 0.2, 0.7), "c": (0.4, 0.6, 0.0), "d": (0.3, 0.3, 0.4)}
SPACE = ListedSpace(("arxiv", "code", "web"), RATES)


def test_the_mix_at_a_candidates_own_coordinates_is_that_candidate():
    assert [SPACE.decode(SPACE.encode(mix)) for mix in SPACE.all_mixes()] == list(SPACE.all_mixes())


def test_a_coordinate_is_the_share_of_candidates_below_with_ties_counted_half():
    assert SPACE.encode(Mix(("a",))).numbers == (0.875, 0.5, 0.25)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_every_point_is_a_candidate_and_no_other_is_nearer(numbers):
    def distance(name):
        return sum(
            (a - b) ** 2 for a, b in zip(SPACE.encode(Mix((name,))).numbers, numbers, strict=True)
        )

    (name,) = SPACE.decode(Point((), tuple(numbers))).tasks
    assert distance(name) <= min(distance(other) for other in RATES) + 1e-12


def test_rates_of_several_candidates_are_their_means():
    assert SPACE.mean_rates(Mix(("a", "b"))) == pytest.approx((0.4, 0.25, 0.35))


def test_a_random_sampler_finds_every_candidate_and_then_nothing():
    sampler, tried = RandomSampler(SPACE, 1), set()
    for n in range(4):
        tried.add(sampler.propose(n, tried))
    assert tried == set(SPACE.all_mixes())
    assert sampler.propose(4, tried) is None


def test_draws_are_uniform_over_candidates():
    rng = random.Random(3)
    drawn = [SPACE.draw(rng) for _ in range(4000)]
    assert all(900 < drawn.count(mix) < 1100 for mix in SPACE.all_mixes())


def test_an_optuna_sampler_proposes_untried_candidates_of_a_list():
    space = ListedSpace(("x", "y"), {f"m{i}": (i / 40, 1 - i / 40) for i in range(40)})
    sampler, tried = OptunaSampler(space, ("max",), "tpe", 5), set()
    for n in range(20):
        mix = sampler.propose(n, tried)
        assert mix not in tried
        tried.add(mix)
        sampler.tell(mix, (space.mean_rates(mix)[0],))
    late = sum(space.mean_rates(mix)[0] for mix in list(tried)) / 20
    assert late != pytest.approx(0.5, abs=0.01)
