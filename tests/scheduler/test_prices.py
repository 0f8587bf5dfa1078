"""What one more mix costs at each rung: what the rung adds, unshared, by the forecast."""

import pytest
from fakes import begun, engine_on, spec_of, tree_of

from budgets.amount import DeviceTime
from scheduler.mix import Mix
from scheduler.prices import RungPrices
from scheduler.trial import MERGED, Recipe
from trainers.stage import Half, StageKind


def prices_of(changes):
    tree = tree_of(spec_of({"target.tasks": ["toy_pos", "toy_tatoeba"], **changes}))
    engine, _ = engine_on(begun(tree, DeviceTime.from_hours(1)), tree)
    return tree, RungPrices(tree, engine._climb, tree.spec.arms)


@pytest.mark.parametrize("ratio", [3, 60])
def test_a_rung_costs_its_own_tokens_targets_and_cells(ratio):
    tree, price_ms = prices_of({"intermediate.rungs": [20_000, 20_000 * ratio]})
    recipe = Recipe(Mix.of(tree.spec.intermediate.tasks), 5, tree.spec.model.name)
    first, second = (tree.nodes(recipe, rung, Half.SEARCH) for rung in (0, 1))
    base = tree.base("toy-tiny")
    assert base is not None
    own = [n for n in first if n.name != base.name]
    more = [n for n in second if n.name not in {n.name for n in first}]
    assert price_ms(0) == pytest.approx(sum(n.work.prior_ms for n in own), rel=0.01)
    assert price_ms(1) == pytest.approx(sum(n.work.prior_ms for n in more), rel=0.01)
    assert 1 < price_ms(1) / price_ms(0) < ratio  # targets and cells cost the same at every rung


def test_a_merged_look_costs_its_merges_alone():
    tree, price_ms = prices_of({"intermediate.merged": {"scale": 1.0}})
    recipe = Recipe(Mix.of(tree.spec.intermediate.tasks), 5, tree.spec.model.name)
    merges = [n for n in tree.nodes(recipe, MERGED, Half.SEARCH) if n.stage.kind is StageKind.MERGE]
    assert price_ms(MERGED) == pytest.approx(sum(n.work.prior_ms for n in merges), rel=0.01)
    assert price_ms(MERGED) < price_ms(0)
