"""The structured sampler: the same after a restart, no mix twice, and better than chance."""

import random
from functools import cache

import numpy as np
import pytest
from fakes import KeptJournal, begun, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import Truth, World

from budgets.account import Account
from budgets.amount import DeviceTime
from scheduler.candidates import candidates, neighbours
from scheduler.drivers.table import drive_table
from scheduler.engine import Engine
from scheduler.features import Features
from scheduler.mix import Mix
from scheduler.mix_cost import MixCost
from scheduler.observation import Observation
from scheduler.policies import policy
from scheduler.space import MixSpace, RandomSampler
from scheduler.structured import StructuredSampler
from scheduler.study import sampler_of, space_of
from scheduler.trial import Role

RUNGS = (1_000, 3_000, 9_000)
SPACE = MixSpace(tuple("abcdef"), (0, 6), (1_000, 64_000), (1.0, 4.0))
SMALL = MixSpace(tuple("abc"), (0, 3))


def worth(mix, rung):
    """Task a helps, b hurts, and more training does more of both."""
    return 50.0 + (3 * ("a" in mix.tasks) - 3 * ("b" in mix.tasks)) * (1 + rung) / 3


def observation(mix, rung, spent_ms=0, cost_ms=1_000):
    tokens = RUNGS[rung] if mix.count else 0
    return Observation(mix, rung, tokens, worth(mix, rung), 0.3, {}, cost_ms, spent_ms)


def taught(space, n, seed=1, **settings):
    """A sampler after the control and ``n`` random mixes."""
    sampler, draws = StructuredSampler(space, RUNGS, seed, **settings), random.Random(seed)
    sampler.observe(observation(Mix(), 0))
    tried = {Mix()}
    while len(tried) <= n:
        mix = space.draw(draws)
        if mix not in tried:
            tried.add(mix)
            sampler.observe(observation(mix, draws.choice((0, 1, 2))))
    return sampler, tried


@pytest.mark.parametrize("hours", [False, True])
@pytest.mark.parametrize("acquisition", ["per-hour", "plain"])
def test_it_proposes_what_helps_and_leaves_out_what_hurts(acquisition, hours):
    sampler, tried = taught(SPACE, 14, acquisition=acquisition, hours=hours)
    mix = sampler.propose(14, tried)
    assert "a" in mix.tasks
    assert "b" not in mix.tasks


@pytest.mark.parametrize("space", [SPACE, SMALL])
def test_no_mix_is_proposed_twice_until_none_is_left(space):
    sampler, tried = StructuredSampler(space, RUNGS, 1), set()
    for i in range(20):
        mix = sampler.propose(i, tried)
        if mix is None:
            break
        assert mix in space
        assert mix not in tried
        tried.add(mix)
        sampler.observe(observation(mix, 0))
    assert len(tried) == (8 if space is SMALL else 20)


def test_what_waits_for_its_score_is_worth_less_to_others():
    sampler, tried = taught(SPACE, 14)
    waiting = sampler.propose(14, tried)
    mixes, alone, _ = sampler._judged(14, tried)
    same, beside, _ = sampler._judged(14, tried | {waiting})
    assert mixes == same
    assert all(beside <= alone + 1e-9)
    place = mixes.index(waiting)
    assert beside[place] < 0.7 * alone[place]


def test_a_mix_that_ended_without_a_score_is_waited_for_no_more():
    sampler, tried = taught(SPACE, 14)
    failed = sampler.propose(14, tried)
    sampler.tell(failed, None)
    _, alone, _ = sampler._judged(14, tried)
    _, beside, _ = sampler._judged(14, tried | {failed})
    assert list(alone) == list(beside)


@settings(max_examples=15)
@given(st.integers(0, 1_000), st.integers(0, 12))
def test_proposals_in_between_change_no_later_one(seed, n):
    asked, tried = taught(SPACE, n, seed)
    told, _ = taught(SPACE, n, seed)
    for i in range(3):
        asked.propose(i, tried)
    assert asked.propose(n, tried) == told.propose(n, tried)


def first_mixes(sampler, n=6):
    mixes = []
    for i in range(n):
        mixes.append(sampler.propose(i, mixes))
    return mixes


@pytest.mark.parametrize("seed", range(6))
def test_the_first_looks_have_every_task_in_some_and_not_in_all(seed):
    mixes = first_mixes(StructuredSampler(SPACE, RUNGS, seed))
    assert len(set(mixes)) == 6
    assert all(mix in SPACE for mix in mixes)
    for task in SPACE.tasks:
        assert 1 <= sum(task in mix.tasks for mix in mixes) <= 5


def test_after_the_first_looks_mixes_are_known_better_than_after_random_ones():
    features = Features(SPACE, RUNGS)
    draws = random.Random(0)
    others = features.at_top([SPACE.draw(draws) for _ in range(300)])

    def variance(mixes):
        known = features.at_top(mixes)
        covariance = np.linalg.inv(np.eye(features.n) / 0.3 + known.T @ known / 0.1)
        return float(np.einsum("ij,jk,ik->i", others, covariance, others).mean())

    designed = [variance(first_mixes(StructuredSampler(SPACE, RUNGS, seed))) for seed in range(6)]
    drawn = [variance(first_mixes(RandomSampler(SPACE, seed))) for seed in range(6)]
    assert np.mean(designed) < 0.9 * np.mean(drawn)


@settings(max_examples=10)
@given(st.integers(0, 1_000))
def test_two_workers_that_ask_at_once_get_different_mixes(seed):
    sampler, tried = taught(SPACE, 10, seed)
    first = sampler.propose(10, tried)
    second = sampler.propose(11, tried | {first})
    assert first is not None
    assert second is not None
    assert second != first
    mixes, alone, _ = sampler._judged(11, tried)
    _, beside, _ = sampler._judged(11, tried | {first})
    near = [i for i, mix in enumerate(mixes) if len(set(mix.tasks) ^ set(first.tasks)) <= 1]
    assert all(beside <= alone + 1e-9)
    assert beside[near].sum() < alone[near].sum()


@pytest.mark.parametrize("of_hours", [False, True], ids=["improvement", "hypervolume"])
def test_the_price_divides_what_is_gained_and_cools(of_hours):
    def judged(acquisition, spent_ms):
        sampler = StructuredSampler(
            SMALL, RUNGS, 1, acquisition=acquisition, hours=of_hours, search_ms=10_000
        )
        for mix in (Mix(), *(Mix((task,)) for task in "abc"), Mix(("b", "c"))):
            cost_ms = 3_600_000 * (8 if "a" in mix.tasks else 1)
            for rung in (0, 1, 2):
                sampler.observe(observation(mix, rung, spent_ms, cost_ms))
        mixes, worth, _ = sampler._judged(5, ())
        surrogate = sampler.surrogate
        cost = MixCost(surrogate.features, surrogate.seen, surrogate.rows)
        return worth, cost.hours(surrogate.features.at_top(mixes))

    plain, hours = judged("plain", 0)
    assert max(hours) > 4 * min(hours)
    np.testing.assert_allclose(judged("per-hour", 0)[0], plain / hours)
    np.testing.assert_allclose(judged("per-hour", 5_000)[0], plain / hours**0.5)
    np.testing.assert_allclose(judged("per-hour", 10_000)[0], plain)


@given(st.integers(0, 5_000))
def test_neighbours_are_mixes_of_the_space_one_step_away(seed):
    draws = random.Random(seed)
    mix = SPACE.draw(draws)
    for other in neighbours(SPACE, mix, draws):
        assert other in SPACE
        assert len(set(mix.tasks) ^ set(other.tasks)) <= 2


def test_candidates_of_a_small_space_are_all_of_it():
    assert set(candidates(SMALL, [], random.Random(1))) == set(SMALL.all_mixes())


# -- inside a study ----------------------------------------------------------------------------


@cache
def tree_for(sampler, hours=False):
    """Nine tasks, every subset, three rungs."""
    return tree_of(
        spec_of(
            {
                "intermediate.count": [0, 9],
                "intermediate.mixing": {"rule": "uniform"},
                "intermediate.rungs": ["20K", "60K", "180K"],
                "target.tasks": ["toy_pos", "toy_tatoeba"],
                "objectives": {"score": "max", **({"gpu_hours": "min"} if hours else {})},
                "search.sampler": sampler,
                "tracking.mlflow": None,
            },
            small=False,
        )
    )


def opened(tree, journal, seed):
    """An engine for two devices on a journal, as after a start or a restart."""
    spec = tree.spec
    chosen = policy(spec.search.policy, n_rungs=tree.n_rungs, eta=3, seed=seed)
    sampler = sampler_of(spec.model_copy(update={"seed": seed}))
    return Engine(tree, Account(journal), chosen, sampler, 2)


def driven(tree, seed, gpu_hours=0.1):
    """A study in virtual time: its journal, its engine, and the points its best mix falls short."""
    rungs, truth = tree.spec.intermediate.rungs, Truth.of(tree.spec.intermediate.tasks, seed)
    journal = begun(tree, DeviceTime.from_hours(gpu_hours))
    engine = opened(tree, journal, seed)
    drive_table(engine, World(tree, salt=seed, truth=truth, rungs=rungs).run, 2)
    best = max(truth.score(mix) for mix in space_of(tree.spec).all_mixes())
    return journal, engine, best - truth.score(engine.state.best().recipe.mix)


def test_a_replayed_journal_gives_the_same_proposals():
    tree = tree_for("structured", hours=True)
    journal, _, _ = driven(tree, 3, 0.06)
    proposals = [
        n
        for n, facts in enumerate(journal.transactions)
        if getattr(facts[0], "origin", "") == "structured"
    ]
    assert len(proposals) > 8
    for n in proposals:
        again = KeptJournal.of(journal.transactions[:n])
        opened(tree, again, 3).ask()
        assert again.transactions[n] == journal.transactions[n]


def test_every_finished_rung_of_the_search_is_observed_and_no_report_cell():
    _, engine, _ = driven(tree_for("structured"), 3, 0.06)
    assert any(trial.role is Role.FINAL and trial.scores for trial in engine.state.trials.values())
    seen = [(one.mix, one.rung, one.score) for one in engine._sampler.surrogate.seen]
    searched = [(t.recipe.mix, rung, s) for t in engine.state.searched for rung, s in t.scores.items()]
    assert sorted(seen) == sorted(searched)


def test_an_observation_holds_what_the_books_say():
    _, engine, _ = driven(tree_for("structured"), 3, 0.06)
    seen = engine._sampler.surrogate.seen
    assert [one.spent_ms for one in seen] == sorted(one.spent_ms for one in seen)
    assert 0 < seen[-1].spent_ms <= sum(m.cost.total.ms for _, m in engine.state.measurements())
    assert all(set(one.groups) == {"structured", "retrieval"} for one in seen)
    assert all(np.mean(list(one.groups.values())) == pytest.approx(one.score) for one in seen)
    assert all(0 < one.error < 2 for one in seen)
    rungs = tree_for("structured").spec.intermediate.rungs
    assert {0, rungs[-1]} <= {one.tokens for one in seen} <= {0, *rungs}


def test_after_the_same_hours_it_has_a_better_mix_than_chance():
    regrets = {
        name: [driven(tree_for(name), seed)[2] for seed in range(8)] for name in ("structured", "random")
    }
    assert np.mean(regrets["structured"]) < np.mean(regrets["random"]) - 0.25
