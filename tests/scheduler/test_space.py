import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.axis import Axis
from scheduler.coordinates import coordinates, named
from scheduler.mix import Mix
from scheduler.space import MixSpace, Point, RandomSampler

NAMES = ("anli", "mnli", "qqp", "squad_v1", "hellaswag", "ccg")
SMALL = MixSpace(("a", "b", "c"), (0, 2), (100, 110), (1.0, 1.1))
TEXTED = MixSpace(("a", "b", "t"), (0, 3), (100, 110), (1.0, 1.1), (0.1, 0.12), ("t",))


def ranges(values, most):
    """None, or a range of ``values`` that is up to ``most`` wide."""
    return st.none() | st.tuples(values, st.floats(0, most)).map(lambda r: (r[0], r[0] + r[1]))


@st.composite
def spaces(draw):
    n = draw(st.integers(1, len(NAMES)))
    low = draw(st.integers(0, n))
    cap = draw(st.none() | st.tuples(st.integers(1, 200_000), st.integers(0, 200_000)))
    return MixSpace(
        NAMES[:n],
        (low, draw(st.integers(low, n))),
        cap and (cap[0], sum(cap)),
        draw(ranges(st.floats(1.0, 5.0), 5.0)),
        draw(ranges(st.floats(0.001, 0.5), 0.49)),
        tuple(draw(st.lists(st.sampled_from(NAMES[:n]), unique=True, max_size=2))),
    )


@st.composite
def points(draw, space):
    return Point(
        tuple(draw(st.lists(st.booleans(), min_size=len(space.tasks), max_size=len(space.tasks)))),
        tuple(draw(st.floats(*axis.ends)) for axis in space.axes),
    )


@given(st.data(), spaces())
def test_every_point_decodes_into_the_space(data, space):
    mix = space.decode(data.draw(points(space)))
    assert space.count[0] <= mix.count <= space.count[1]
    assert mix in space
    if mix.cap:
        assert space.cap[0] <= mix.cap <= space.cap[1]
    if mix.temperature != 1.0:
        assert round(space.temperature[0], 2) <= mix.temperature <= round(space.temperature[1], 2)
    if mix.text:
        assert space.text[0] <= mix.text <= space.text[1]


@given(st.data(), spaces())
def test_a_mix_survives_being_coded(data, space):
    mix = space.decode(data.draw(points(space)))
    assert space.decode(space.encode(mix)) == mix
    assert space.decode(coordinates(space, named(space, space.encode(mix)))) == mix


@given(st.data(), spaces())
def test_text_has_a_share_where_it_is_searched_and_beside_other_tasks_alone(data, space):
    mix = space.decode(data.draw(points(space)))
    n_texts = sum(task in space.texts for task in mix.tasks)
    assert (mix.text > 0) == (space.text is not None and 0 < n_texts < mix.count)


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
    assert [axis.values for axis in SMALL.axes] == [(100, 110), (1.0, 1.1)]
    assert SMALL.n_mixes == 1 + 3 + 3 * 2 * 2 == len(SMALL.all_mixes()) == len(set(SMALL.all_mixes()))
    assert all(mix in SMALL for mix in SMALL.all_mixes())
    assert MixSpace(NAMES, (0, 6), (1, 1), (1.0, 1.0)).n_subsets == 64


def test_beside_text_with_a_share_of_its_own_one_task_has_nothing_to_divide():
    # k = 0 and 1 as ever; a+b as ever; a+t and b+t by share alone; a+b+t by all three.
    sizes = Counter(mix.tasks for mix in TEXTED.all_mixes())
    pairs = {("a", "b"): 2 * 2, ("a", "t"): 3, ("b", "t"): 3, ("a", "b", "t"): 2 * 2 * 3}
    assert sizes == {(): 1, ("a",): 1, ("b",): 1, ("t",): 1, **pairs}
    assert TEXTED.n_mixes == sizes.total() == len(set(TEXTED.all_mixes()))
    assert {mix for mix in TEXTED.all_mixes() if mix.tasks == ("a", "t")} == {
        Mix(("a", "t"), 0, 1.0, share) for share in (0.1, 0.11, 0.12)
    }


@given(spaces().filter(lambda space: space.n_mixes < 500))
def test_every_mix_of_a_space_is_listed_once(space):
    mixes = space.all_mixes()
    assert len(mixes) == len(set(mixes)) == space.n_mixes
    assert all(mix in space for mix in mixes)


def test_a_rule_without_numbers_leaves_only_subsets():
    space = MixSpace(("a", "b", "t"), (0, 3), texts=("t",))
    assert space.axes == ()
    assert space.n_mixes == space.n_subsets == 8
    assert {(mix.cap, mix.temperature, mix.text) for mix in space.all_mixes()} == {(0, 1.0, 0.0)}


def test_a_share_without_masked_text_among_the_tasks_is_no_coordinate():
    assert MixSpace(("a", "b"), (0, 2), text=(0.1, 0.5)).axes == ()


def test_the_cap_grid_has_two_significant_digits_and_both_ends():
    caps = Axis("log_cap", 16_384, 131_072).values
    assert caps[:3] == (16_384, 17_000, 18_000)
    assert caps[-3:] == (120_000, 130_000, 131_072)


def test_the_grid_of_shares_has_hundredths_and_both_ends():
    assert Axis("text", 0.055, 0.1).values == (0.055, 0.06, 0.07, 0.08, 0.09, 0.1)


@pytest.mark.parametrize(
    "mix",
    [
        Mix.of(("a", "b", "c"), 100),
        Mix.of(("z",)),
        Mix.of(("a", "b"), 5_000),
        Mix.of(("a", "b")),
        Mix.of(("a", "b"), 100, 1.1, 0.2),
        Mix(("a",), 7, 3.0),
    ],
)
def test_a_mix_from_elsewhere_is_not_in_the_space(mix):
    assert mix not in SMALL


@pytest.mark.parametrize("space", [SMALL, TEXTED])
def test_random_proposes_every_mix_once_and_then_none(space):
    sampler, tried = RandomSampler(space, seed=1), []
    while (mix := sampler.propose(len(tried), tried)) is not None:
        tried.append(mix)
    assert sorted(tried) == sorted(space.all_mixes())


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


def test_a_coordinate_that_is_no_number_is_refused():
    values = named(SMALL, SMALL.encode(Mix.of(("a", "b"), 100, 1.0)))
    with pytest.raises(TypeError, match="log_cap is a number, got 'many'"):
        coordinates(SMALL, {**values, "log_cap": "many"})


def test_the_middle_of_the_logarithm_stands_for_a_cap_that_decides_nothing():
    assert SMALL.encode(Mix.of(("a",))).numbers[0] == pytest.approx(math.log(100 * 110) / 2)
