"""The allocation benchmark: searches replayed on a made table, and the figures they add up to."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import Bench, begun, engine_on, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

import experiments
from budgets.amount import DeviceTime
from experiments.benchmarks import allocation
from experiments.benchmarks.allocation_figures import at, hypervolume, mean, ratio
from experiments.benchmarks.allocation_leases import Leases
from experiments.benchmarks.allocation_replay import Look, Method, Replay, replayed
from experiments.benchmarks.allocation_runs import (
    ANEW,
    LOOKING,
    OURS,
    UNSHARED,
    WITHOUT_RAY,
    Settings,
    caps_of,
    measured,
    methods,
)
from experiments.benchmarks.allocation_world import World, opened
from scheduler.drivers.table import drive_table
from scheduler.mix import Mix
from scheduler.spec import load
from scheduler.study import space_of
from scheduler.table import Table
from scheduler.trial import MERGED, Recipe
from trainers.order import Order
from trainers.stage import Half, StageKind
from trainers.tasks.spec import RETRIEVAL_METRICS

HOUR_MS = 3_600_000
RANDOM = Method("random", "random", "halving")
FULL = Method("random, full", "random", "uniform")
SMALL = {
    "intermediate.tasks": ["toy_text", "toy_entailment", "toy_roles"],
    "intermediate.count": [0, 3],
    "intermediate.mixing": {"rule": "uniform"},
    "final.max_seeds": 2,
    "search.eta": 2,
}


@pytest.fixture(scope="module")
def world():
    """Every mix of three tasks, two rungs, two seeds, recorded by formula."""
    tree = tree_of(spec_of({**SMALL, "search.policy": "grid"}))
    engine, _ = engine_on(begun(tree, DeviceTime.from_hours(50)), tree, 2)
    drive_table(engine, Bench(tree, costs=(0.6, 1.4)).run, 2)
    table = Table.of(tree, engine.state, {t.recipe for t in engine.state.trials.values()})
    return World("made", tree.spec, table, space_of(tree.spec), tree_of)


@pytest.fixture(scope="module")
def merged_world():
    """The same mixes with a merged rung that foretells."""
    tree = tree_of(spec_of({**SMALL, "intermediate.merged": {}, "search.policy": "grid"}))
    engine, _ = engine_on(begun(tree, DeviceTime.from_hours(50)), tree, 2)
    drive_table(engine, Bench(tree, costs=(0.6, 1.4)).run, 2)
    table = Table.of(tree, engine.state, {t.recipe for t in engine.state.trials.values()})
    return World("merged", tree.spec, table, space_of(tree.spec), tree_of)


@settings(max_examples=40)
@given(
    share=st.floats(0.01, 3.0),
    run=st.integers(0, 5),
    devices=st.integers(1, 12),
    method=st.sampled_from([RANDOM, FULL, OURS]),
)
def test_a_replay_never_charges_more_than_its_cap_nor_pays_for_a_stage_twice(
    world, share, run, devices, method
):
    cap = DeviceTime(round(world.whole_ms() * share))
    found = replayed(world, method, cap=cap, run=run, devices=devices)
    assert found.charged_ms <= cap.ms
    assert found.overspent_ms == 0
    assert found.repeated_ms == 0


@settings(max_examples=20)
@given(share=st.floats(0.05, 1.0), run=st.integers(0, 3), devices=st.integers(1, 4))
def test_the_same_seed_gives_the_same_curve(world, share, run, devices):
    cap = DeviceTime(round(world.whole_ms() * share))
    one, other = (replayed(world, RANDOM, cap=cap, run=run, devices=devices) for _ in range(2))
    assert one.looks == other.looks
    assert one.recommended(world) == other.recommended(world)


def test_a_table_that_was_saved_is_the_same_world_and_can_be_searched(world, tmp_path):
    world.table.save(tmp_path / "made.parquet")
    again = opened(tmp_path / "made.parquet")
    assert (again.name, again.best, again.whole_ms()) == ("made", world.best, world.whole_ms())
    cap = DeviceTime(world.whole_ms() // 2)
    assert replayed(again, RANDOM, cap=cap, run=0, devices=2).looks
    on_the_same_data = replace(again, opened=tree_of)  # stages of one name begin in one order
    searches = [replayed(one, RANDOM, cap=cap, run=0, devices=2) for one in (world, on_the_same_data)]
    assert searches[0].looks == searches[1].looks != ()


def test_another_run_takes_the_next_recorded_seed_and_other_draws(world):
    cap = DeviceTime(world.whole_ms())
    curves = [replayed(world, RANDOM, cap=cap, run=run, devices=1).looks for run in range(3)]
    assert curves[0] != curves[2]
    assert curves[0][0].score == world.score((Mix(), 0), world.seeds[0])
    assert curves[1][0].score == world.score((Mix(), 0), world.seeds[1])
    assert curves[2][0].score == world.score((Mix(), 0), world.seeds[0])


@pytest.mark.parametrize("method", [RANDOM, FULL, OURS], ids=lambda m: m.name)
def test_regret_is_never_negative_and_every_mix_reaches_the_top_when_everything_is_affordable(
    world, method
):
    cap = DeviceTime(3 * world.whole_ms())
    found = replayed(world, method, cap=cap, run=0, devices=2)
    seen = {look.choice for look in found.looks}
    top = {choice for choice in world.choices if choice[1] == world.n_rungs - 1 or not choice[0].count}
    assert seen == top if method is FULL else seen >= top
    steps = found.recommended(world)
    assert all(value <= world.best + 1e-9 for _, value in steps)
    best_seen = max(seen, key=lambda choice: world.score(choice, world.seeds[0]))
    assert steps[-1][1] == world.value(best_seen)


def test_regret_falls_to_nothing_where_the_search_cells_say_what_the_report_cells_say(world):
    rows = dict(world.table.rows)
    for place, row in world.table.rows.items():
        if place.kind is StageKind.EVALUATE:
            twin = replace(place, half=Half.SEARCH, seed=world.seeds[0])
            rows[place] = replace(row, scores=world.table.rows.get(twin, row).scores)
    exact = replace(world, table=replace(world.table, rows=rows))
    found = replayed(exact, RANDOM, cap=DeviceTime(3 * exact.whole_ms()), run=0, devices=1)
    assert found.recommended(exact)[-1][1] == pytest.approx(exact.best)


def test_before_anything_was_judged_the_control_is_recommended(world):
    found = replayed(world, RANDOM, cap=DeviceTime(1), run=0, devices=1)
    assert found.looks == ()
    assert found.recommended(world) == [(0, world.control)]


def test_full_fidelity_pays_for_no_look_below_the_top(world):
    found = replayed(world, FULL, cap=DeviceTime(3 * world.whole_ms()), run=0, devices=1)
    assert {choice[1] for choice in (look.choice for look in found.looks) if choice[0].count} == {1}
    seed = world.seeds[0]
    costs = [world.cost_ms(look.choice, seed) for look in found.looks]
    gaps = [b.charged_ms - a.charged_ms for a, b in pairwise(found.looks)]
    assert gaps == costs[1:]


@pytest.mark.parametrize("kind", [StageKind.TARGET, StageKind.EVALUATE])
def test_a_stage_recorded_longer_than_its_hold_stops_at_the_deadline_and_goes_on(world, kind):
    slow = {
        p: replace(m, bill=m.bill.scaled(40)) if p.kind is kind else m
        for p, m in world.table.rows.items()
    }
    there = replace(world, table=replace(world.table, rows=slow))
    cap = DeviceTime(there.whole_ms())
    found = replayed(there, RANDOM, cap=cap, run=0, devices=1)
    assert found.looks
    assert found.overspent_ms == 0
    assert (found.repeated_ms > 0) is (kind is StageKind.EVALUATE)  # training goes on where it was


def test_what_two_recipes_cost_is_what_their_stages_were_billed(world):
    seed, mix = world.seeds[0], world.space.all_mixes()[-1]
    text = next(text for text, known in world.by_text.items() if known == mix)
    bills = {
        (p.kind, p.rung): sum(
            m.bill.total.ms
            for q, m in world.table.rows.items()
            if (q.mix, q.seed, q.kind, q.rung) == (text, seed, p.kind, p.rung) and q.half != "report"
        )
        for p in world.table.rows
    }
    trunk, target, judge = StageKind.INTERMEDIATE, StageKind.TARGET, StageKind.EVALUATE
    assert world.cost_ms((mix, 1), seed) == sum(
        bills[at] for at in [(trunk, 0), (trunk, 1), (target, 1), (judge, 1)]
    )


def test_a_mix_without_report_cells_is_worth_its_search_cells_and_named(world):
    mix = world.space.all_mixes()[-1]
    text = next(text for text, known in world.by_text.items() if known == mix)
    rows = {
        p: m
        for p, m in world.table.rows.items()
        if not (p.mix == text and p.rung and p.half == "report")
    }
    there = replace(world, table=replace(world.table, rows=rows))
    scores = [world.score((mix, 1), seed) for seed in world.seeds]
    assert there.value((mix, 1)) == pytest.approx(sum(scores) / len(scores))
    assert there.left_out == (
        f"{mix} at rung 1: no report cells; it is worth what its search cells say",
    )


# -- figures by hand ---------------------------------------------------------------------------------


def test_the_ratio_of_two_curves_that_can_be_read_off():
    ours = [[(0, 10.0), (100, 20.0), (300, 40.0)], [(0, 10.0), (200, 30.0), (300, 40.0)]]
    theirs = [[(0, 10.0), (900, 24.0)], [(0, 10.0), (500, 26.0)]]
    # ours, mean: 10, 15 from 100 on, 25 from 200 on, 40 from 300 on; theirs after all: 25
    assert ratio(ours, theirs, 1000).value == pytest.approx(0.2)
    assert ratio(ours, theirs, 1000).low <= 0.2 <= ratio(ours, theirs, 1000).high
    assert ratio(theirs, ours, 1000).value == math.inf


def test_one_arm_alone_is_as_good_as_itself_when_it_last_got_better():
    steps = [[(0, 1.0), (250, 2.0), (500, 3.0)]]
    assert ratio(steps, steps, 1000).value == pytest.approx(0.5)


def test_the_interval_of_a_mean_of_equal_values_has_no_length():
    assert mean([2.0, 2.0, 2.0]) == pytest.approx(mean([2.0]))
    wide = mean([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    assert wide.low < wide.value == 0.5 < wide.high


def test_a_step_curve_holds_its_value_until_the_next_step():
    steps = [(0, 1.0), (10, 2.0)]
    assert [at(steps, ms) for ms in (0, 9, 10, 99)] == [1.0, 1.0, 2.0, 2.0]


def test_the_recommendation_follows_the_scores_and_is_valued_by_the_report(world):
    mixes = world.space.all_mixes()
    looks = (Look(5, (mixes[1], 0), 50.0), Look(7, (mixes[2], 0), 40.0), Look(9, (mixes[3], 1), 60.0))
    assert Replay(10, 9, 0, looks).recommended(world) == [
        (0, world.control),
        (5, world.value((mixes[1], 0))),
        (9, world.value((mixes[3], 1))),
    ]


def test_the_whole_table_dominates_all_of_its_hypervolume_and_nothing_none(world):
    assert hypervolume(world, world.choices) == pytest.approx(1.0)
    assert hypervolume(world, []) == 0.0
    some = hypervolume(world, world.choices[:6])
    assert 0.0 <= some <= hypervolume(world, world.choices[:12]) <= 1.0


# -- the command -------------------------------------------------------------------------------------


def test_every_budget_is_twice_the_one_before_and_the_last_a_quarter_of_everything(world):
    caps = [cap.ms for cap in caps_of(world, 5)]
    assert caps[-1] == pytest.approx(world.whole_ms() / 4, abs=1)
    assert all(b == pytest.approx(2 * a, abs=2) for a, b in pairwise(caps))


def test_the_shipped_table_has_every_subset_of_six_tasks_at_rungs_of_ashas_factor():
    spec, _ = load(Path(experiments.__file__).parent / "tables/toy.yaml")
    assert space_of(spec).n_mixes == 2**6
    assert [b / a for a, b in pairwise(spec.intermediate.rungs)] == [4, 4]
    assert spec.final.max_seeds == 3
    assert len(spec.target.tasks) == 3
    assert any(spec.catalogue[task].metric in RETRIEVAL_METRICS for task in spec.target.tasks)


def test_every_part_of_ours_is_taken_away_once_and_everything_else_kept(world):
    lacking = [method for method in methods(world) if method.lacks]
    assert len({method.lacks for method in lacking}) == len(lacking) == 5
    for method in lacking:
        differs = [
            name
            for name in ("sampler", "policy", "counts_cost", "continues", "per_hour")
            if getattr(method, name) != getattr(OURS, name)
        ]
        assert len(differs) == 1, method


def test_on_a_table_with_a_merged_rung_it_is_tried_with_and_without_what_it_shares(world, merged_world):
    assert {LOOKING, UNSHARED} == set(methods(merged_world)) - set(methods(world))


def leased(world, *, shares):
    """Device time of each stage of every merge of one seed, in the tree's order, a lease each."""
    tree, seed, model = world.opened(world.spec), world.seeds[0], world.spec.model
    leases, hour = Leases(world.bound(tree), shares=shares), DeviceTime(HOUR_MS)
    mixes = [mix for mix in world.space.all_mixes() if mix.count]
    nodes = {
        node.name: node
        for mix in mixes
        for node in tree.nodes(Recipe(mix, seed, model.name, model.tuning), MERGED, Half.SEARCH)
    }
    bills = {
        name: leases.run(Order(name, node.stage, 1, hour, DeviceTime(0))).bill.total.ms
        for name, node in nodes.items()
    }
    assert leases.repeated_ms == 0
    return mixes, [(nodes[name].stage, ms) for name, ms in bills.items()]


def test_who_shares_nothing_pays_for_every_part_of_every_merge(merged_world):
    mixes, shared = leased(merged_world, shares=True)
    _, alone = leased(merged_world, shares=False)
    trunk_ms = {s.shares[0].task: ms for s, ms in shared if s.kind is StageKind.INTERMEDIATE}
    target_ms = sum(ms for s, ms in shared if s.kind is StageKind.TARGET)
    parts_ms = sum(trunk_ms[task] for mix in mixes for task in mix.tasks)
    extra_ms = sum(ms for _, ms in alone) - sum(ms for _, ms in shared)
    assert extra_ms == parts_ms - sum(trunk_ms.values()) + len(mixes) * target_ms


def test_who_does_not_look_at_merges_has_no_such_rung_and_all_others(merged_world):
    seen = OURS.sees(merged_world)
    assert not seen.has_merged
    assert {place.rung for place in seen.table.rows} == {0, 1}
    assert seen.choices == merged_world.choices
    assert not FULL.sees(merged_world).has_merged


def test_a_table_whose_rungs_do_not_continue_has_no_search_without_continuing(world):
    assert ANEW in methods(world)
    assert ANEW not in methods(replace(world, rung_is_choice=False))


def test_a_rung_that_begins_anew_is_billed_for_the_way_below_it_too(world):
    seed, mix = world.seeds[0], world.space.all_mixes()[-1]
    lower, upper = (world.rung_ms((mix, rung), seed) for rung in (0, 1))
    assert world.anew.rung_ms((mix, 0), seed) == lower
    assert world.anew.rung_ms((mix, 1), seed) == world.cost_ms((mix, 1), seed) > upper


def test_without_continuing_the_same_search_is_charged_more_and_stays_in_its_cap(world):
    cap = DeviceTime(3 * world.whole_ms())
    ours, anew = (replayed(world, one, cap=cap, run=0, devices=1) for one in (OURS, ANEW))
    top = {(mix, world.n_rungs - 1 if mix.count else 0) for mix in world.space.all_mixes()}
    assert all({look.choice for look in one.looks} >= top for one in (ours, anew))
    assert ours.charged_ms < anew.charged_ms <= cap.ms


SMALLEST = Settings(runs=2, budgets=2, largest=0.5, devices=1, peers="none")


@pytest.fixture(scope="module")
def outcome(world):
    return measured(world, SMALLEST, lambda text: None)


def test_processes_change_nothing_but_the_time(world, outcome):
    spread = measured(world, replace(SMALLEST, processes=2), lambda text: None)
    for name, by_cap in outcome.replays.items():
        for one, other in zip(by_cap, spread.replays[name], strict=True):
            assert [run.looks for run in one] == [run.looks for run in other]
    assert set(spread.search_s) == {method.name for method in methods(world)}


def test_what_a_part_brings_is_regret_without_it_less_regret_with_it(world, outcome):
    regrets = {(row.method, row.budget_ms): row.regret.value for row in outcome.rows}
    for part in outcome.parts:
        more = regrets[part.method, part.budget_ms] - regrets[OURS.name, part.budget_ms]
        assert part.regret.value == pytest.approx(more)
        assert part.regret.low - 1e-9 <= part.regret.value <= part.regret.high + 1e-9
    assert len(outcome.parts) == 2 * sum(bool(method.lacks) for method in methods(world))


def test_the_baseline_needs_no_more_than_all_of_the_budget_to_reach_itself(outcome):
    own = [row.reached for row in outcome.rows if row.method == outcome.baseline == WITHOUT_RAY.name]
    assert len(own) == 2
    assert all(share.value <= 1 for share in own)


def test_the_command_prints_figures_as_json_and_draws_them(world, tmp_path, monkeypatch):
    monkeypatch.setattr(allocation, "opened", lambda path: world)
    arguments = [
        "--table",
        str(tmp_path),
        "--quick",
        "--peers",
        "none",
        "--out",
        str(tmp_path / "drawn"),
    ]
    done = CliRunner().invoke(
        allocation.main, [*arguments, "--json", "--processes", "1"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert {row["method"] for row in found["rows"]} == {method.name for method in methods(world)}
    assert {part["part"] for part in found["parts"]} >= {"halving", "plain gain (per hour instead)"}
    assert all(row["overspent_ms"] == 0 for row in found["rows"])
    assert all(len(row[name]) == 3 for row in found["rows"] for name in ("regret", "reached"))
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    kinds = ("regret", "ratio", "methods", "parts")
    assert names == {f"{kind}-made.{suffix}" for kind in kinds for suffix in ("png", "svg")}


def test_the_command_shows_a_grid_per_budget_what_was_enough_and_what_parts_bring(outcome, capsys):
    from rich.console import Console

    allocation.show(outcome, Console(width=150))
    shown = capsys.readouterr().out
    assert shown.count(f"{OURS.name} is worth what random, halving is") == 2
    assert shown.count("NSGA-II, full") == 3  # in each grid, and in what the searches took
    assert shown.count("continued rungs") == 2


def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.parquet").write_text("words")
    done = CliRunner().invoke(allocation.main, ["--table", str(tmp_path / "x.parquet")])
    assert done.exit_code == 1
    assert "is no recorded table" in done.output
