"""Recipes and rungs are compared without loading; money is the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Bench, begun, engine_on, small_tree, spec_of, tree_of

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.drivers.table import drive_table
from scheduler.facts import StageStarted
from scheduler.mix import Mix
from scheduler.policies.trust import rung_trust
from scheduler.prices import RungPrices
from scheduler.stage_cost import stage_cost
from scheduler.state import Lease, StageRecord
from scheduler.trial import MERGED, Recipe
from trainers.order import Measurement, Outcome
from trainers.stage import Half, StageKind

AMPLE = DeviceTime.from_hours(2)
COLD = {Purpose.LOAD: DeviceTime(9_000), Purpose.IDLE: DeviceTime(700)}


def search_played(policy="uniform", *, n_cold):
    """An engine that ran every recipe at full fidelity, its first ``n_cold`` stages on cold workers."""
    tree = small_tree(policy)
    bench = Bench(tree)

    def run(order):
        found = bench.run(order)
        cold = len(bench.answered) <= n_cold
        return replace(found, bill=found.bill + Bill(COLD)) if cold else found

    engine, account = engine_on(begun(tree, AMPLE), tree)
    drive_table(engine, run, 1)
    return engine, account


def test_a_recipe_costs_the_same_whether_or_not_it_came_first():
    (warm, kept), (cold, paid) = search_played(n_cold=0), search_played(n_cold=6)
    trials = [trial for trial in warm.state.searched if trial.trained_scores]
    assert len(trials) > 2
    for trial in trials:
        costs = warm._climb.path_cost_ms(trial)
        assert all(costs.values())
        assert cold._climb.path_cost_ms(cold.state.trials[trial.name]) == costs
    extra_ms = 6 * sum(amount.ms for amount in COLD.values())
    assert paid.balance.spent.ms == kept.balance.spent.ms + extra_ms  # money is the whole


def test_a_rung_has_the_same_price_whatever_its_stages_loaded():
    changes = {"intermediate.merged": {"scale": 1.0}, "target.tasks": ["toy_pos"]}
    tree = tree_of(spec_of(changes))
    recipe = Recipe(Mix.of(tree.spec.intermediate.tasks), 5, tree.spec.model.name)
    nodes = tree.nodes(recipe, 0, Half.SEARCH)
    merges = tree.nodes(recipe, MERGED, Half.SEARCH)

    def priced(load_ms):
        engine, _ = engine_on(begun(tree, AMPLE), tree)
        for node in {node.name: node for node in (*nodes, *merges)}.values():
            whole = DeviceTime(node.work.prior_ms + load_ms)
            engine._climb._forecast.learn(node.work, whole, DeviceTime(load_ms))
        price = RungPrices(tree, engine._climb, tree.spec.arms)
        return engine._climb.terms(nodes[-1]), price

    (warm, price_warm), (cold, price_cold) = priced(0), priced(60_000)
    assert price_warm(0) == price_cold(0) > 1
    assert cold.limit.ms - warm.limit.ms >= 60_000  # a hold covers loading, too
    assert cold.load == DeviceTime(60_000)
    n_merges = sum(node.stage.kind is StageKind.MERGE for node in merges)
    assert price_cold(MERGED) == price_warm(MERGED) + 60_000 * n_merges  # to read is what a merge does


def record(kind, measurements, expected=(5_000, 1_000)):
    """The record of a stage of ``kind`` with one lease per measurement."""
    tree = tree_of(spec_of({"intermediate.merged": {"scale": 1.0}}))
    recipe = Recipe(Mix.of(tree.spec.intermediate.tasks), 5, tree.spec.model.name)
    nodes = (*tree.nodes(recipe, 0, Half.SEARCH), *tree.nodes(recipe, MERGED, Half.SEARCH))
    node = next(node for node in nodes if node.stage.kind is kind)
    whole_ms, load_ms = expected
    started = StageStarted("t", "h", node.name, node.stage, 1, whole_ms, expected_load_ms=load_ms)
    return StageRecord(node.name, node.stage, tuple(Lease(started, m) for m in measurements))


def measured(outcome=Outcome.DONE, **ms):
    bill = Bill({Purpose[name.upper()]: DeviceTime(amount) for name, amount in ms.items()})
    return Measurement("h", "s", outcome, bill, rate=2.0)


@pytest.mark.parametrize(
    ("kind", "attempts", "whole_ms", "own_ms"),
    [
        ("target", [measured(load=300, train=1_000, save=50, idle=20)], 2_740, 2_100),
        ("merge", [measured(load=300, evaluate=1_000, idle=20)], 2_640, 2_640),
        ("target", [measured(load=5)], 10_000, 8_000),  # found done: what was expected, dearest rate
        ("merge", [measured(load=5)], 10_000, 10_000),
        (
            "target",
            [
                measured(Outcome.LOST, lost=900),
                measured(Outcome.TRUNCATED, train=70),
                measured(train=30),
            ],
            200,
            200,
        ),
        ("target", [], 0, 0),
    ],
)
def test_a_stages_own_cost_is_all_but_loading_and_idling(kind, attempts, whole_ms, own_ms):
    cost = stage_cost(record(StageKind(kind), attempts), 2.0)
    assert (cost.whole.ms, cost.own.ms) == (whole_ms, own_ms)


def test_what_a_rung_is_worth_is_said_without_loading():
    (warm, _), (cold, _) = (search_played("halving", n_cold=n) for n in (0, 8))
    spec = small_tree("halving").spec
    trust = rung_trust(warm.state, spec)
    assert trust[0].times is not None
    assert rung_trust(cold.state, spec) == trust
