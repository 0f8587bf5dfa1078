"""The recorded table that is shipped: whole, and every look of it can be replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

import experiments
from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_replay import replayed
from experiments.benchmarks.allocation_runs import OURS
from experiments.benchmarks.allocation_world import opened
from scheduler.grid import points
from scheduler.spec import load
from scheduler.study import space_of, tree_of
from scheduler.table import Table, places

TABLES = Path(experiments.__file__).parent / "tables"


@pytest.fixture(scope="module")
def table():
    return Table.load(TABLES / "toy.parquet")


def test_every_mix_was_recorded_at_every_rung_with_every_seed(table):
    spec, _ = load(TABLES / "toy.yaml")
    tree = tree_of(spec)
    recipes = dict.fromkeys(point.recipe for point in points(tree, space_of(spec)))
    assert len(recipes) == 64 * 3
    assert set(table.rows) == set(places(tree, recipes).values())
    assert table.left_out == ()


def test_a_search_on_it_stays_inside_its_cap_and_finds_a_mix_better_than_none():
    world = opened(TABLES / "toy.parquet")
    cap = DeviceTime(world.whole_ms() // 8)
    replay = replayed(world, OURS, cap=cap, run=0, devices=2)
    assert 0 < replay.charged_ms <= cap.ms
    assert replay.recommended(world)[-1][1] > world.control
