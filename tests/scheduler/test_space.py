import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.mix import Mix
from scheduler.space import MixSpace, Point, RandomSampler, coordinates, named

NAMES = ("anli", "mnli", "qqp", "squad_v1", "hellaswag", "ccg")
SMALL = MixSpace(("a", "b", "c"), (0, 2), (100, 110), (1.0, 1.1))


@st.composite
def spaces(draw):
    n = draw(st.integers(1, len(NAMES)))
    low = draw(st.integers(0, n))
    cap = draw(st.integers(1, 200_000))
    temperature = draw(st.floats(1.0, 5.0))
    return MixSpace(
        NAMES[:n],
        (low, draw(st.integers(low, n))),
        (cap, cap + draw(st.integers(0, 200_000))),
        (temperature, temperature + draw(st.floats(0.0, 5.0))),
    )


@st.composite
def points(draw, space):
    low, high = space.cap
    return Point(
        tuple(draw(st.lists(st.booleans(), min_size=len(space.tasks), max_size=len(space.tasks)))),
        draw(st.floats(math.log(low), math.log(high))),
        draw(st.floats(*space.temperature)),
    )


@given(st.data(), spaces())
def test_every_point_decodes_into_the_space(data, space):
    mix = space.decode(data.draw(points(space)))
    assert space.count[0] <= mix.count <= space.count[1]
    assert mix in space
    if mix.count > 1:
        assert space.cap[0] <= mix.cap <= space.cap[1]
        assert round(space.temperature[0], 2) <= mix.temperature <= round(space.temperature[1], 2)


@given(st.data(), spaces())
def test_a_mix_survives_being_coded(data, space):
    mix = space.decode(data.draw(points(space)))
    assert space.decode(space.encode(mix)) == mix
    assert space.decode(coordinates(space, named(space, space.encode(mix)))) == mix


@given(spaces(), st.integers(0, 10_000))
def test_a_random_mix_lies_in_the_space(space, seed):
    assert space.draw(random.Random(seed)) in space


@given(st.data(), spaces())
def test_repair_flips_as_few_bits_as_the_count_needs(data, space):
    bits = data.draw(points(space)).bits
    repaired = space.repair(bits)
    distance = max(space.count[0] - sum(bits), sum(bits) - space.count[1], 0)
    assert sum(a != b for a, b in zip(bits, repaired, strict=True)) == distance
    assert repaired == space.repair(bits)


def test_repair_favours_no_task():
    space = MixSpace(NAMES, (0, 1), (100, 100), (1.0, 1.0))
    kept = [space.repair(tuple(bits)).index(True) for bits in _all_bits(6) if sum(bits) > 1]
    assert min(kept.count(i) for i in range(6)) > 0.5 * len(kept) / 6


def _all_bits(n):
    return [[bool(number >> i & 1) for i in range(n)] for number in range(2**n)]


def test_the_size_of_a_small_space_is_known():
    assert SMALL.n_subsets == 1 + 3 + 3
    assert (SMALL.caps, SMALL.temperatures) == ((100, 110), (1.0, 1.1))
    assert SMALL.n_mixes == 1 + 3 + 3 * 2 * 2 == len(SMALL.all_mixes()) == len(set(SMALL.all_mixes()))
    assert all(mix in SMALL for mix in SMALL.all_mixes())
    assert MixSpace(NAMES, (0, 6), (1, 1), (1.0, 1.0)).n_subsets == 64


def test_the_cap_grid_has_two_significant_digits_and_both_ends():
    caps = MixSpace(NAMES, (0, 6), (16_384, 131_072), (1.0, 4.0)).caps
    assert caps[:3] == (16_384, 17_000, 18_000)
    assert caps[-3:] == (120_000, 130_000, 131_072)


@pytest.mark.parametrize(
    "mix", [Mix.of(("a", "b", "c"), 100), Mix.of(("z",)), Mix.of(("a", "b"), 5_000), Mix(("a",), 7, 3.0)]
)
def test_a_mix_from_elsewhere_is_not_in_the_space(mix):
    assert mix not in SMALL


def test_random_proposes_every_mix_once_and_then_none():
    sampler, tried = RandomSampler(SMALL, seed=1), []
    while (mix := sampler.propose(len(tried), tried)) is not None:
        tried.append(mix)
    assert sorted(tried) == sorted(SMALL.all_mixes())


def test_random_proposals_depend_on_seed_and_number_alone():
    space = MixSpace(NAMES, (0, 6), (16_384, 131_072), (1.0, 4.0))
    first = [RandomSampler(space, 1).propose(n, ()) for n in range(20)]
    sampler = RandomSampler(space, 1)
    assert [sampler.propose(n, ()) for n in range(20)] == first
    assert [RandomSampler(space, 2).propose(n, ()) for n in range(20)] != first


def test_random_draws_every_number_of_tasks_alike():
    space = MixSpace(NAMES, (0, 6), (16_384, 131_072), (1.0, 4.0))
    counts = [RandomSampler(space, 1).propose(n, ()).count for n in range(700)]
    assert all(70 <= counts.count(k) <= 130 for k in range(7))
