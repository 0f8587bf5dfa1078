"""Finalists and the control are repeated over seeds in pairs, and the first seed trains nothing."""

from __future__ import annotations

from fakes import Bench, KeptJournal, begun, engine_on, small_tree

from budgets.amount import DeviceTime
from scheduler.drivers.table import drive_table
from scheduler.facts import StageStarted, TrialProposed
from scheduler.finals import finalists, next_finals
from scheduler.state import StudyState
from scheduler.study import least_cap
from scheduler.trial import Role
from trainers.stage import StageKind

AMPLE = DeviceTime.from_hours(2)


def played(tree, cap=AMPLE, salt=3):
    journal = begun(tree, cap)
    engine, _ = engine_on(journal, tree)
    drive_table(engine, Bench(tree, salt).run, 1)
    return journal, engine.state


def test_the_control_and_every_finalist_get_the_same_first_two_seeds():
    tree = small_tree("halving", 4, max_seeds=2)
    _, state = played(tree)
    seeds = {}
    for trial in state.finals:
        seeds.setdefault(trial.finalist, []).append(trial.recipe.seed)
    best = [trial.name for trial in finalists(state, tree.spec.final.finalists)]
    assert set(seeds) == {"t0000", *best}
    assert set(map(tuple, seeds.values())) == {(13, 14)}


def test_a_round_gives_every_finalist_a_seed_before_the_next_round_begins():
    _, state = played(small_tree("halving", 4, max_seeds=2))
    assert [t.recipe.seed for t in state.finals] == [13] * 3 + [14] * 3
    assert [t.finalist for t in state.finals][::3] == ["t0000"] * 2


def test_the_first_round_trains_nothing():
    journal, state = played(small_tree("halving", 4, max_seeds=2))
    first = {t.name for t in state.finals if t.recipe.seed == 13}
    kinds = {f.config.kind for f in journal.facts if isinstance(f, StageStarted) and f.trial in first}
    assert kinds == {StageKind.EVALUATE}


def test_a_repetition_has_the_mix_and_the_rung_of_its_finalist():
    _, state = played(small_tree("halving", 4))
    for trial in state.finals:
        searched = state.trials[trial.finalist]
        assert trial.recipe.mix == searched.recipe.mix
        assert trial.rung == searched.best_rung


def test_finalists_are_the_sampled_trials_with_the_best_scores():
    _, state = played(small_tree("halving", 4))
    best = finalists(state, 2)
    rest = [t for t in state.searched if t.role is Role.SEARCH and t not in best]
    assert best[0].best_score >= best[1].best_score >= max(t.best_score for t in rest)


def test_without_a_judged_control_there_are_no_finals():
    tree = small_tree()
    assert list(next_finals(tree.spec, StudyState())) == []
    engine, _ = engine_on(begun(tree, DeviceTime.from_hours(1)), tree)
    engine.ask()
    assert list(next_finals(tree.spec, engine.state)) == []


def test_where_no_mix_was_scored_the_control_alone_is_reported_once():
    tree = small_tree("halving", None)
    _, state = played(tree, least_cap(tree.spec, tree))
    assert [(t.finalist, t.recipe.seed) for t in state.finals] == [("t0000", 13)]
    assert list(next_finals(tree.spec, state)) == []


def test_a_control_is_not_repeated_where_its_finalist_is_not_affordable():
    tree = small_tree("halving", None, max_seeds=60)
    for cap_ms in range(100_000, 400_000, 37_000):
        _, state = played(tree, DeviceTime(cap_ms))
        per_seed = {}
        for trial in state.finals:
            per_seed.setdefault(trial.recipe.seed, []).append(trial.finalist)
        if finalists(state, 1):
            assert all(len(names) >= 2 for names in per_seed.values()), cap_ms


def test_a_finalist_that_is_surely_worse_gets_no_further_seed_and_the_end_says_so():
    _, state = played(small_tree("halving", 4, max_seeds=5))  # without noise two seeds tell them apart
    best, second = finalists(state, 2)
    n_seeds = {arm: sum(t.finalist == arm for t in state.finals) for arm in ("t0000", best.name)}
    assert set(n_seeds.values()) == {5}
    assert sum(t.finalist == second.name for t in state.finals) == 2
    assert f"all 5 seeds (final.max_seeds), but for {second.name}, surely below" in state.ended


def test_a_study_killed_in_its_finals_gives_the_same_seeds_when_it_goes_on():
    tree = small_tree("halving", 4, max_seeds=5)
    journal, bench = begun(tree, AMPLE), Bench(tree, 3)
    whole, _ = engine_on(journal, tree)
    drive_table(whole, bench.run, 1)
    wanted = [(t.finalist, t.recipe.seed) for t in whole.state.finals]
    first = next(i for i, facts in enumerate(journal.transactions) if begins_a_final(facts))
    for cut in range(first, len(journal.transactions), 7):
        again, _ = engine_on(KeptJournal.of(journal.transactions[:cut]), tree)
        again.recover()
        drive_table(again, bench.run, 1)
        assert [(t.finalist, t.recipe.seed) for t in again.state.finals] == wanted, cut


def begins_a_final(facts):
    return any(isinstance(fact, TrialProposed) and fact.role is Role.FINAL for fact in facts)
