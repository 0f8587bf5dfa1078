"""Samplers in studies of several arms: the arm is one more thing that is proposed and learned."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.arms import ArmedMix, ArmSpace, arm_names
from scheduler.candidates import neighbours
from scheduler.coordinates import coordinates, named
from scheduler.effects import effects_in
from scheduler.features import Features
from scheduler.mix import Mix
from scheduler.observation import Observation
from scheduler.space import MixSpace, RandomSampler
from scheduler.structured import StructuredSampler
from scheduler.trial import Arm

MIXES = MixSpace(tuple("abcd"), (0, 4), (1_000, 64_000), (1.0, 4.0))
ARMS = (Arm("small"), Arm("large"), Arm("large", "lora"))
SPACE = ArmSpace(MIXES, ARMS)
SMALL = ArmSpace(MixSpace(tuple("ab"), (0, 2)), ARMS)
RUNGS = (1_000, 9_000)
LEVELS = {ARMS[0]: 40.0, ARMS[1]: 50.0, ARMS[2]: 45.0}


def worth(mix):
    """The large model scores more, task a helps it and hurts the small one, b hurts all."""
    helps = -2.0 if mix.arm.model == "small" else 3.0
    return LEVELS[mix.arm] + helps * ("a" in mix.tasks) - 2 * ("b" in mix.tasks)


def observation(mix):
    return Observation(mix, 1, RUNGS[1] if mix.count else 0, worth(mix), 0.3, {}, 1_000, 0)


def taught(space, n_mixes, seed=1):
    """A sampler after every control and the same mixes in every arm."""
    sampler, draws = StructuredSampler(space, RUNGS, seed, arms=ARMS), random.Random(seed)
    mixes = [Mix(), *(MIXES.draw(draws) for _ in range(n_mixes))]
    for mix in mixes:
        for arm in ARMS:
            sampler.observe(observation(ArmedMix.put(mix, arm)))
    return sampler, mixes


@given(st.integers(0, 10_000))
def test_a_point_of_a_space_of_arms_is_its_mix_and_arm_both_ways(seed):
    mix = SPACE.draw(random.Random(seed))
    point = SPACE.encode(mix)
    assert SPACE.decode(point) == mix
    assert SPACE.decode(coordinates(SPACE, named(SPACE, point))) == mix
    assert mix.bare == MIXES.decode(MIXES.encode(mix.bare))


def test_a_space_of_arms_has_every_mix_in_every_arm_once():
    mixes = SMALL.all_mixes()
    assert len(set(mixes)) == len(mixes) == SMALL.n_mixes == 12
    with pytest.raises(TypeError, match="is in no arm"):
        SMALL.encode(Mix(("a",)))


def test_the_same_mix_in_another_arm_is_a_neighbour():
    mix = ArmedMix(("a",), arm=ARMS[0])
    near = set(neighbours(SMALL, mix, random.Random(1)))
    assert {ArmedMix(("a",), arm=arm) for arm in ARMS} <= near
    assert ArmedMix(("b",), arm=ARMS[0]) in near


def test_a_gaussian_process_takes_the_arm_for_a_category():
    sampler, tried = OptunaSampler(SMALL, ("max",), "gp", seed=3), []
    for i in range(7):
        tried.append(sampler.propose(i, tried))
        sampler.tell(tried[-1], (worth(tried[-1]),))
    assert set(tried) <= set(SMALL.all_mixes())


@pytest.mark.parametrize("name", ["tpe", "nsga2", "random"])
def test_optuna_proposes_every_mix_in_every_arm_before_it_has_none(name):
    sampler, tried = OptunaSampler(SMALL, ("max",), name, seed=3), []
    while (mix := sampler.propose(len(tried), tried)) is not None:
        tried.append(mix)
        sampler.tell(mix, (worth(mix),))
    assert set(tried) == set(SMALL.all_mixes())
    assert sampler.n_told == len(tried) == 12


def test_tpe_learns_which_arm_is_best():
    sampler, tried = OptunaSampler(SPACE, ("max",), "tpe", seed=3), []
    for i in range(40):
        tried.append(sampler.propose(i, tried))
        sampler.tell(tried[-1], (worth(tried[-1]),))
    late = [mix.arm for mix in tried[20:]]
    assert late.count(ARMS[1]) > 2 * len(late) / len(ARMS)


@pytest.mark.parametrize("seed", range(3))
def test_structured_proposes_the_best_arm_and_what_helps_there(seed):
    sampler, mixes = taught(SPACE, 8, seed)
    tried = {ArmedMix.put(mix, arm) for mix in mixes for arm in ARMS}
    found = sampler.propose(len(tried), tried)
    assert found.arm == ARMS[1]
    assert "a" in found.tasks
    assert "b" not in found.tasks


def test_structured_learns_what_a_task_does_in_an_arm():
    sampler, _ = taught(SPACE, 12)
    fit, features = sampler.surrogate.fit(), sampler.surrogate.features

    def gain(arm):
        rows = features.at_top([ArmedMix(("a",), arm=arm), ArmedMix(arm=arm)])
        return float(np.subtract(*fit.mean(rows)))

    assert gain(ARMS[0]) < 0 < gain(ARMS[1])


def test_structured_proposes_mixes_alone_where_every_arm_tries_them():
    sampler, mixes = taught(MIXES, 8)
    found = sampler.propose(len(mixes), set(mixes))
    assert type(found) is Mix
    assert "a" in found.tasks  # it helps on average, though not in every arm
    assert found not in mixes


@settings(max_examples=20)
@given(st.lists(st.sampled_from(ARMS), min_size=1, max_size=3, unique=True), st.integers(0, 1_000))
def test_a_mix_in_no_arm_is_the_mean_over_the_arms(arms, seed):
    features, mix = Features(MIXES, RUNGS, arms), MIXES.draw(random.Random(seed))
    (alone,) = features.at_top([mix])
    rows = features.at_top([ArmedMix.put(mix, arm) for arm in arms])
    assert alone == pytest.approx(rows.mean(axis=0))


def test_a_study_of_one_arm_has_the_columns_it_had():
    one, several = Features(MIXES, RUNGS), Features(MIXES, RUNGS, ARMS)
    assert several.n - one.n == len(ARMS) * (1 + len(MIXES.tasks))
    mix = MIXES.draw(random.Random(2))
    n_before, n_growth = several.of_arms.start, one.n_main - 1
    row = several.at_top([mix])[0]
    assert [*row[:n_before], *row[-n_growth:]] == [*one.at_top([mix])[0]]


def test_effects_are_the_mean_over_the_arms():
    draws = random.Random(4)
    mixes = [Mix(), *dict.fromkeys(MIXES.draw(draws) for _ in range(14))]
    seen = [observation(ArmedMix.put(mix, arm)) for mix in mixes for arm in ARMS]
    (effects, *_) = effects_in(seen, MIXES, RUNGS, ARMS)
    of_a = next(effect for effect in effects.tasks if effect.task == "a")
    low, high = of_a.added.interval
    assert low < (-2.0 + 3.0 + 3.0) / 3 < high
    assert effects.n_mixes == sum(mix.count > 0 for mix in set(mixes))


def test_random_draws_in_a_space_of_arms_depend_on_seed_and_place_alone():
    one, other = RandomSampler(SPACE, 5), RandomSampler(SPACE, 5)
    assert [one.propose(n, ()) for n in range(5)] == [other.propose(n, ()) for n in range(5)]
    assert {one.propose(n, ()).arm for n in range(30)} == set(ARMS)


def test_an_arm_is_named_by_what_tells_it_from_the_others():
    assert [*arm_names(ARMS).values()] == ["small, full", "large, full", "large, lora"]
    assert [*arm_names((Arm("m", "full", "one"), Arm("m", "full", "two"))).values()] == ["one", "two"]
    assert [*arm_names((Arm("m"),)).values()] == [""]
