"""A plan's error is measured against bills that the plan has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
from click.testing import CliRunner
from fakes import Bench, begun, engine_on, small_tree

from budgets.amount import DeviceTime
from budgets.journal import SqlJournal
from experiments.benchmarks.plan_error import main, plan_errors
from scheduler.drivers.table import drive_table
from scheduler.facts import STUDY_FACTS, StudyBegun
from trainers.order import Order


@cache
def run_of(salt, low, high, cpu="one"):
    """A finished small study whose stages cost between ``low`` and ``high`` times the first guess."""
    tree = small_tree()
    bench = Bench(tree, salt, (low, high))

    def run(order: Order):
        return replace(bench.run(order), device="cpu", cpu=cpu)

    journal = begun(tree, DeviceTime.from_hours(9))
    engine, _ = engine_on(journal, tree)
    drive_table(engine, run, 1)
    return tuple(journal.facts)


def test_a_machine_that_stays_as_it_is_is_planned_without_error():
    *kinds, every = plan_errors(small_tree(), run_of(1, 2.0, 2.0), run_of(2, 2.0, 2.0))
    assert {one.kind for one in kinds} == {"pretrain", "intermediate", "target", "evaluate"}
    assert every.n == sum(one.n for one in kinds)
    for one in (*kinds, every):
        assert one.median_error == pytest.approx(0, abs=0.05)
        assert one.total == pytest.approx(1, abs=0.05)
        assert one.over == 0


def test_a_machine_that_became_a_quarter_slower_is_planned_a_fifth_too_low():
    errors = plan_errors(small_tree(), run_of(1, 1.0, 1.0), run_of(2, 1.25, 1.25))
    assert errors[-1].median_error == pytest.approx(0.2, abs=0.01)
    assert errors[-1].total == pytest.approx(0.8, abs=0.01)


def test_stages_above_their_bound_are_counted():
    slow = plan_errors(small_tree(), run_of(1, 0.5, 0.5), run_of(2, 8.0, 8.0))
    assert slow[-1].over > 0.5


def test_the_median_is_that_of_the_noise():
    errors = plan_errors(small_tree(), run_of(1, 0.8, 1.2), run_of(2, 0.8, 1.2))
    assert 0.02 < errors[-1].median_error < 0.2


@pytest.mark.parametrize("later", [(), run_of(2, 1.0, 1.0, "another")])
def test_runs_of_different_devices_and_runs_without_bills_are_refused(later):
    with pytest.raises(ValueError, match="give two finished runs of one kind of device"):
        plan_errors(small_tree(), run_of(1, 1.0, 1.0), later)


def keep(store, name, facts):
    with SqlJournal(store / name / "journal.db", STUDY_FACTS, name=name, writer=True) as journal:
        journal.append(*(replace(f, name=name) if isinstance(f, StudyBegun) else f for f in facts))
    return str(store / name)


def test_the_command_prints_a_line_for_each_kind_of_stage(tmp_path):
    runs = [keep(tmp_path, f"run-{n}", run_of(n, 1.0, 1.0)) for n in (1, 2)]
    shown = CliRunner().invoke(main, runs)
    assert shown.exit_code == 0, shown.output
    assert "evaluate" in shown.output
    told = json.loads(CliRunner().invoke(main, [*runs, "--json"]).output)
    assert [one["kind"] for one in told][-1] == "all"


def test_a_folder_without_a_journal_is_refused_by_name(tmp_path):
    run = keep(tmp_path, "run", run_of(1, 1.0, 1.0))
    (tmp_path / "nothing").mkdir()
    refused = CliRunner().invoke(main, [run, str(tmp_path / "nothing")])
    assert refused.exit_code == 1
    assert "nothing/journal.db: there is no journal here" in refused.output
