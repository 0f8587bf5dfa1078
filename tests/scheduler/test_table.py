"""A grid is recorded once, kept as a file, and any policy replayed on it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import Bench, KeptJournal, PaperSource, begun, engine_on, spec_of, tree_of

from budgets.amount import DeviceTime
from experiments.tables import grid_of
from scheduler.drivers.table import drive_table
from scheduler.errors import TableError
from scheduler.grid import points
from scheduler.study import space_of
from scheduler.table import Table, places
from scheduler.tree import StageTree
from scheduler.trial import Role, TrialState
from trainers.stage import EvaluateStage, StageKind

AMPLE = DeviceTime.from_hours(50)
SMALL = {
    "intermediate.tasks": ["toy_text", "toy_entailment", "toy_roles"],
    "intermediate.count": [0, 3],
    "intermediate.mixing": {"cap": [6000, 6000], "temperature": [1.0, 1.0]},
    "final.max_seeds": 2,
}


def tree_with(policy, **changes):
    return tree_of(spec_of({**SMALL, "search.policy": policy, "search.eta": 2, **changes}))


def recorded(tree, cap=AMPLE, slots=2):
    journal = begun(tree, cap)
    engine, account = engine_on(journal, tree, slots)
    drive_table(engine, Bench(tree).run, slots)
    return journal, engine, account


def table_of(tree, engine):
    return Table.of(tree, engine.state, {t.recipe for t in engine.state.trials.values()})


@pytest.fixture(scope="module")
def grid():
    tree = tree_with("grid")
    _, engine, _ = recorded(tree)
    return tree, engine, table_of(tree, engine)


def test_a_grid_runs_every_mix_with_every_seed_at_every_rung_on_both_halves(grid):
    tree, engine, table = grid
    recipes = {point.recipe for point in points(tree, space_of(tree.spec))}
    assert len(recipes) == 2**3 * 2
    assert set(table.rows) == set(places(tree, recipes).values())
    assert engine.state.ended.startswith("the grid of ")
    assert all(trial.state is TrialState.DONE for trial in engine.state.trials.values())


def test_a_grid_pays_for_each_distinct_stage_once(grid):
    tree, engine, _ = grid
    recipes = {point.recipe for point in points(tree, space_of(tree.spec))}
    leases = Counter(started.stage for started, _ in engine.state.measurements())
    assert set(leases) == set(places(tree, recipes))
    assert set(leases.values()) == {1}


def test_a_grid_that_the_cap_cuts_short_stays_inside_it_and_says_so():
    tree = tree_with("grid")
    cap = DeviceTime.from_hours(0.04)
    _, engine, account = recorded(tree, cap)
    assert account.balance.spent <= cap
    assert account.balance.held == DeviceTime(0)
    assert engine.state.ended.startswith("cap reached")
    seeds = {t.recipe.seed for t in engine.state.trials.values() if t.role is Role.SEARCH}
    assert min(seeds) == tree.spec.seed


def test_a_recording_that_was_killed_goes_on_and_pays_for_nothing_twice():
    tree = tree_with("grid", **{"final.max_seeds": 1})
    whole, engine, _ = recorded(tree, slots=1)
    for n in range(1, len(whole.transactions), 17):
        journal = KeptJournal.of(whole.transactions[:n])
        again, _ = engine_on(journal, tree)
        again.recover()
        drive_table(again, Bench(tree).run, 1)
        assert table_of(tree, again).rows.keys() == table_of(tree, engine).rows.keys()


def test_a_table_reads_back_as_it_was_written(grid, tmp_path):
    _, _, table = grid
    table.save(tmp_path / "sub/grid.parquet")
    again = Table.load(tmp_path / "sub/grid.parquet")
    assert again.left_out == ()
    assert again.spec == table.spec
    assert again.environment == table.environment
    assert again.rows.keys() == table.rows.keys()
    for place, measured in table.rows.items():
        read = again.rows[place]
        assert (read.bill, read.scores, read.n_tokens) == (
            measured.bill,
            measured.scores,
            measured.n_tokens,
        )


@pytest.mark.parametrize("policy", ["halving", "uniform", "random"])
@pytest.mark.parametrize("slots", [1, 50])
def test_a_policy_replayed_on_the_table_decides_as_it_does_on_the_devices(grid, policy, slots):
    _, _, table = grid
    tree = tree_with(policy)
    live = begun(tree, AMPLE)
    engine, _ = engine_on(live, tree, slots)
    drive_table(engine, Bench(tree).run, slots)
    journal = begun(tree, AMPLE)
    again, _ = engine_on(journal, tree, slots)
    drive_table(again, table.bound(tree).run, slots)
    assert again.state.trials == engine.state.trials
    assert again.state.ended == engine.state.ended


def test_a_table_serves_stages_whose_fingerprints_have_changed(grid):
    _, _, table = grid
    tree = tree_with("uniform")
    changed = StageTree(tree.spec, PaperSource(), lambda _: "another")
    recipe = next(point.recipe for point in points(changed, space_of(changed.spec)))
    names = set(places(changed, [recipe]))
    assert not names & set(places(tree, [recipe]))
    bound = table.bound(changed)
    assert names <= set(bound._measurements)


def test_a_table_of_another_study_is_refused_with_its_name(grid):
    _, _, table = grid
    tree = tree_with("halving", **{"target.tasks": ["toy_names"]})
    rows = {place: row for place, row in table.rows.items() if place.kind is StageKind.TARGET}
    with pytest.raises(TableError, match=f"none of the table's {len(rows)} stages"):
        replace(table, rows=rows).bound(tree)


def test_inference_is_left_out_of_a_recording_and_refused_in_a_replay(grid):
    _, _, table = grid
    asked = {
        "inference": {"min_duration_s": 1},
        "objectives": {"score": "max", "gpu_hours": "min", "latency_ms": "min"},
    }
    tree = tree_with("halving", **asked)
    with pytest.raises(TableError, match="Remove the key 'inference'"):
        table.bound(tree)
    recording = tree_of(grid_of(tree.spec))
    _, engine, _ = recorded(recording)
    assert set(table_of(recording, engine).rows) == set(table.rows)
    assert recording.spec.objectives.directions == ("max", "min")


def test_rows_that_cannot_be_used_are_named_with_what_counts_instead(grid, tmp_path):
    _, _, table = grid
    file = tmp_path / "grid.parquet"
    table.save(file)
    rows = pq.read_table(file)
    listed = rows.to_pylist()
    number = next(i for i, row in enumerate(listed) if row["kind"] == "evaluate")
    cells = json.loads(listed[number]["cells"])
    cells[0][2] = float("nan")
    listed[number]["cells"] = json.dumps(cells)
    listed[number + 1]["cells"] = "[]"
    listed.append({**listed[0], "bill_ms": json.dumps({"train": 5})})
    listed.append({**listed[-2], "seed": 99, "bill_ms": "{}"})
    broken = pa.Table.from_pylist(listed).replace_schema_metadata(rows.schema.metadata)
    pq.write_table(broken, file)
    again = Table.load(file)
    assert len(again.rows) == len(table.rows) - 2
    told = "\n".join(again.left_out)
    assert f"row {number}, evaluate" in told
    assert "scored nan; it counts as not recorded" in told
    assert "an evaluation without a score" in told
    assert f"billed {DeviceTime(5)} after" in told
    assert "a bill of 0 ms" in told


@pytest.mark.parametrize("content", [None, b"", b"words"])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    file = tmp_path / "grid.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TableError, match="is no recorded table"):
        Table.load(file)


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(TableError, match="is no recorded table"):
        Table.load(tmp_path / "x.parquet")


def test_a_stage_that_was_not_recorded_ends_its_trial_and_costs_nothing(grid):
    _, _, table = grid
    tree = tree_with("uniform", **{"final.max_seeds": 1})
    some = {p: m for p, m in table.rows.items() if p.rung < 1 or p.kind is not StageKind.EVALUATE}
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    drive_table(engine, replace(table, rows=some).bound(tree).run, 1)
    failed = [t for t in engine.state.trials.values() if t.state is TrialState.FAILED]
    assert failed
    assert all("was not recorded" in engine.state.reasons[t.name] for t in failed)
    charged = {
        m.stage: m.cost.total
        for started, m in engine.state.measurements()
        if isinstance(started.config, EvaluateStage) and m.error
    }
    assert set(charged.values()) == {DeviceTime(0)}
    assert account.balance.held == DeviceTime(0)
