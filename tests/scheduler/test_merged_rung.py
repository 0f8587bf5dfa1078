"""The rung below the first: what it needs, what it shares, and that nobody takes it for a result."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from fakes import spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.mix import Mix
from scheduler.table import places
from scheduler.tree import union
from scheduler.trial import MERGED, Recipe, Role, Trial
from trainers.stage import Half, IntermediateStage, MergeStage, PretrainStage, StageKind, TargetStage

TASKS = ("toy_entailment", "toy_reading", "toy_roles", "toy_text")
PAIR = Mix.of(("toy_reading", "toy_roles"), 2000, 2.0)

TREE = tree_of(spec_of({"intermediate.merged": {"scale": 0.8}}))

subsets = st.sets(st.sampled_from(TASKS), min_size=1).map(lambda tasks: Mix.of(tuple(tasks)))


def recipe(mix=PAIR, seed=13):
    return Recipe(mix, seed, "toy-tiny")


def look(mix, seed=13):
    return TREE.nodes(recipe(mix, seed), MERGED, Half.SEARCH)


def trunk_of(task, seed=13):
    nodes = TREE.nodes(recipe(Mix.of((task,)), seed), 0, Half.SEARCH)
    return next(node.name for node in nodes if isinstance(node.stage, IntermediateStage))


def test_a_look_merges_the_mix_s_tasks_at_its_rates_and_adds_the_control_s_targets():
    nodes = {node.name: node.stage for node in look(PAIR)}
    merges = {s.task: s for s in nodes.values() if isinstance(s, MergeStage)}
    assert set(merges) == {"toy_pos", "toy_tatoeba"}
    for stage in merges.values():
        assert [(part.stage, part.weight) for part in stage.parts] == [
            (trunk_of(task), rate) for task, rate in TREE.rates(PAIR)
        ]
        assert stage.scale == 0.8
        assert isinstance(nodes[stage.base], PretrainStage)
    assert merges["toy_tatoeba"].target is None
    control = TREE.nodes(recipe(Mix()), 0, Half.SEARCH)
    assert merges["toy_pos"].target in {n.name for n in control if isinstance(n.stage, TargetStage)}


def test_parents_of_a_merge_come_before_it():
    seen = set()
    for node in look(PAIR):
        if isinstance(node.stage, MergeStage):
            needed = {node.stage.base, node.stage.target, *(p.stage for p in node.stage.parts)} - {None}
            assert needed <= seen
        seen.add(node.name)


def test_a_task_alone_is_looked_at_on_the_trunk_of_its_first_rung():
    alone = Mix.of(("toy_roles",))
    first = {node.name for node in TREE.nodes(recipe(alone), 0, Half.SEARCH)}
    control = {node.name for node in TREE.nodes(recipe(Mix()), 0, Half.SEARCH)}
    assert {n.stage.kind for n in look(alone) if n.name not in first | control} == {StageKind.MERGE}


def test_the_control_has_no_merged_rung_and_report_cells_are_never_forecast():
    control = recipe(Mix())
    assert TREE.nodes(control, MERGED, Half.SEARCH) == TREE.nodes(control, 0, Half.SEARCH)
    with pytest.raises(ValueError, match="no merged rung on report cells"):
        TREE.nodes(recipe(), MERGED, Half.REPORT)
    with pytest.raises(ValueError, match="no merged rung on search cells"):
        tree_of(spec_of()).nodes(recipe(), MERGED, Half.SEARCH)


@settings(max_examples=40)
@given(st.lists(st.tuples(subsets, st.sampled_from([13, 14])), min_size=1, max_size=12))
def test_looks_share_the_trunks_of_single_tasks_and_differ_in_their_merges_alone(looked_at):
    paths = [look(mix, seed) for mix, seed in looked_at]
    kinds = [node.stage.kind for node in union(paths).values()]
    tasks = {(task, seed) for mix, seed in looked_at for task in mix.tasks}
    n_looks = len({(TREE.rates(mix), seed) for mix, seed in looked_at})
    assert kinds.count(StageKind.INTERMEDIATE) == len(tasks)
    assert kinds.count(StageKind.TARGET) == len({seed for _, seed in looked_at})
    assert kinds.count(StageKind.MERGE) == 2 * n_looks
    assert kinds.count(StageKind.PRETRAIN) == 1


def test_a_place_in_a_table_is_the_single_task_recipe_s_whoever_is_looked_at_first():
    both = [recipe(PAIR), recipe(Mix.of(("toy_roles",)))]
    there = places(TREE, both)
    assert there == places(TREE, both[::-1])
    assert len(set(there.values())) == len(there)
    trunk = there[trunk_of("toy_roles")]
    assert ("toy_roles" in trunk.mix, "toy_reading" in trunk.mix, trunk.rung) == (True, False, 0)
    merges = [place for place in there.values() if place.kind is StageKind.MERGE]
    assert {place.rung for place in merges} == {MERGED}
    assert len(merges) == 4


def test_a_merged_score_is_no_result_of_its_trial():
    trial = Trial("t0001", recipe(), Role.SEARCH, rung=MERGED, scores=MappingProxyType({MERGED: 90.0}))
    assert dict(trial.trained_scores) == {}
    with pytest.raises(ValueError, match="empty"):
        _ = trial.best_rung
    later = replace(trial, rung=1, scores=MappingProxyType({MERGED: 90.0, 0: 41.0, 1: 40.0}))
    assert (later.best_rung, later.best_score) == (0, 41.0)


@pytest.mark.parametrize("name", ["uniform", "random"])
def test_a_policy_without_a_use_for_a_first_look_is_told_at_the_door(name):
    with pytest.raises(Exception, match=f"intermediate.merged: the policy '{name}' trains every mix"):
        spec_of({"intermediate.merged": {}, "search.policy": name})
    assert spec_of({"intermediate.merged": {}, "search.policy": "grid"}).intermediate.merged.scale == 1
