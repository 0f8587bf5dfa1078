"""What tasks are worth: true effects lie in their intervals, and records say what the search saw."""

import random
from itertools import combinations

import numpy as np
import pytest
from fakes import spec_of
from test_structured import driven, tree_for
from worlds import Truth

from scheduler.effects import effects_in, effects_of
from scheduler.features import Features
from scheduler.mix import Mix
from scheduler.observation import Observation
from scheduler.observed import observations_of
from scheduler.space import MixSpace
from scheduler.state import StudyState
from scheduler.surrogate import Surrogate

RUNGS = (10_000, 30_000, 90_000)
TASKS = tuple("abcdefgh")


def true_effects(truth):
    """The same effects of a truth without noise, over all subsets."""
    both = truth.pairs + truth.pairs.T
    n = range(len(truth.tasks))
    return {
        "alone": truth.main,
        "added": truth.main + both.sum(axis=1) / 2,
        "growth": truth.main * truth.growth,
        "together": np.array([truth.pairs[i, j] for i, j in combinations(n, 2)]),
    }


def found_effects(effects):
    named = {
        name: [getattr(task, name) for task in effects.tasks] for name in ("alone", "added", "growth")
    }
    return {**named, "together": [pair.together for pair in effects.pairs]}


def effects_after(truth, n, seed, noise=0.5):
    """Effects after the control and ``n`` noisy rungs of random mixes."""
    space, draws, errors = MixSpace(TASKS, (0, 8)), random.Random(seed), np.random.default_rng(seed)
    z = Features(space, RUNGS).z
    seen = [Observation(Mix(), 0, 0, truth.score(Mix()), 0.4, {}, 0, 0)]
    while len(seen) <= n:
        mix, rung = space.draw(draws), draws.choice((0, 0, 0, 1, 2))
        if mix.count:
            true = truth.score(mix, z(RUNGS[rung])) + errors.normal(0, noise)
            seen.append(Observation(mix, rung, RUNGS[rung], true, 0.4, {}, 0, 0))
    (effects,) = effects_in(seen, space, RUNGS)
    return effects


@pytest.mark.parametrize("n", [12, 30, 100])
def test_intervals_of_95_percent_hold_the_true_effects(n):
    within = {name: [] for name in ("alone", "added", "growth", "together")}
    for seed in range(24):
        truth = Truth.of(TASKS, seed)
        effects = effects_after(truth, n, seed)
        true = true_effects(truth)
        for name, found in found_effects(effects).items():
            ends = np.array([one.interval for one in found])
            within[name] += list((ends[:, 0] <= true[name]) & (true[name] <= ends[:, 1]))
    for name, hits in within.items():
        assert 0.90 <= np.mean(hits) <= 0.995, name


def test_with_many_precise_looks_effects_are_the_true_ones():
    truth = Truth.of(TASKS, 1)
    effects = effects_after(truth, 400, 1, noise=0.02)
    true = true_effects(truth)
    for name, found in found_effects(effects).items():
        np.testing.assert_allclose([one.points for one in found], true[name], atol=0.1, err_msg=name)
    assert effects.noise_sd == pytest.approx(0.02, abs=0.02)


def test_added_is_a_mean_of_differences_that_the_surrogate_expects():
    """With one to two tasks in a mix, S is one other task."""
    space, draws, truth = MixSpace(TASKS[:4], (1, 2)), random.Random(3), Truth.of(TASKS[:4], 3)
    seen = [Observation(Mix(), 0, 0, 40.0, 0.4, {}, 0, 0)]
    for _ in range(30):
        mix = space.draw(draws)
        score = truth.score(mix) + draws.gauss(0, 0.1)
        seen.append(Observation(mix, 2, RUNGS[2], score, 0.4, {}, 0, 0))
    (effects,) = effects_in(seen, space, RUNGS)
    surrogate = Surrogate(space, RUNGS)
    for one in seen:
        surrogate.learn(one)

    def expected(*tasks):
        return surrogate.fit().mean(surrogate.features.at_top([Mix(tasks)]))[0]

    added = np.mean([expected("a", other) - expected(other) for other in "bcd"])
    assert effects.tasks[0].added.points == pytest.approx(added)
    assert effects.tasks[0].alone.points == pytest.approx(expected("a") - expected())
    assert effects.tasks[0].n_mixes == len({one.mix for one in seen if "a" in one.mix.tasks})


@pytest.mark.parametrize("sampler", ["structured", "random"])
def test_records_say_what_the_search_saw_and_effects_need_no_sampler(sampler):
    tree = tree_for(sampler)
    _, engine, _ = driven(tree, 3, 0.06)
    found = observations_of(engine.state, tree.spec)
    if sampler == "structured":
        key = [(one.mix, one.rung, one.tokens, one.score, one.error, dict(one.groups)) for one in found]
        surrogate = engine._sampler.surrogate
        seen = [(o.mix, o.rung, o.tokens, o.score, o.error, dict(o.groups)) for o in surrogate.seen]
        assert sorted(key, key=str) == sorted(seen, key=str)
    effects = effects_of(engine.state, tree.spec)
    assert [one.of for one in effects] == ["score", "retrieval", "structured"]
    assert all(one.n_observations == len(found) for one in effects)
    assert all(
        [task.task for task in one.tasks] == list(tree.spec.intermediate.tasks) for one in effects
    )


def test_before_a_mix_and_the_control_are_scored_there_are_no_effects():
    assert effects_of(StudyState(), spec_of()) == ()


def test_a_study_of_one_rung_says_nothing_of_growth():
    seen = [Observation(mix, 0, 10_000, 50.0, 0.3, {}, 0, 0) for mix in (Mix(), Mix(("a",)))]
    (effects,) = effects_in(seen, MixSpace(TASKS, (0, 8)), [10_000])
    assert all(task.growth is None for task in effects.tasks)
    assert all(task.added.sd > 0 for task in effects.tasks)


@pytest.mark.parametrize("count", [(3, 3), (0, 14)])
def test_a_fixed_number_of_tasks_and_many_tasks_are_no_trouble(count):
    tasks = tuple("abcdefghijklmn")
    seen = [Observation(Mix(), 0, 0, 40.0, 0.3, {}, 0, 0)]
    for i in range(14):
        mix = Mix(tuple(sorted((tasks[i], tasks[(i + 1) % 14], tasks[(i + 5) % 14]))))
        seen.append(Observation(mix, 0, 10_000, 41.0 + ("a" in mix.tasks), 0.3, {}, 0, 0))
    (effects,) = effects_in(seen, MixSpace(tasks, count), [10_000])
    assert max(effects.tasks, key=lambda task: task.added.points).task == "a"
