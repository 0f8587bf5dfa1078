"""Runs side by side: same cells only, differences with intervals, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from synthetic_study import FACT_TYPES

from budgets.journal import SqlJournal
from experiments.cli import main
from experiments.compare import NothingCommonError, compare
from experiments.report import report_json
from scheduler.facts import StageEnded, StageStarted
from trainers.tasks.source import DataIdentity


def compared(*runs):
    done = CliRunner().invoke(main, ["compare", *map(str, runs), "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def rewritten(folder, to, change):
    """The run's journal with every fact changed, beside the same stages."""
    target = folder.parent / to
    target.mkdir()
    with SqlJournal(f"sqlite:///{folder / 'journal.db'}", FACT_TYPES) as journal:
        facts = [line.fact for line in journal.lines()]
    with SqlJournal(f"sqlite:///{target / 'journal.db'}", FACT_TYPES, writer=True) as journal:
        journal.append(*map(change, facts))
    return target


def test_a_run_beside_itself_differs_by_nothing_and_keeps_its_gain(whole_study):
    found = compared(whole_study, whole_study)
    first, second = found["runs"]
    assert second["against_first"] == {**second["against_first"], "value": 0, "low": 0, "high": 0}
    assert second["gain_against_first"]["value"] == 0
    told = report_json(whole_study)["answer"]["gain"]
    assert first["gain"]["value"] == pytest.approx(told["value"])
    assert first["against_first"] is None


def test_a_run_of_mixes_that_do_nothing_is_below_one_whose_mixes_help(whole_study, vain_study):
    found = compared(whole_study, vain_study)
    assert found["examples"] == "report"
    assert len(found["cells"]) == 28
    below = found["runs"][1]["gain_against_first"]
    assert below["high"] < 0
    shown = CliRunner().invoke(main, ["compare", str(whole_study), str(vain_study)]).stdout
    assert "On the 28 cells that all runs have, report examples" in shown


def test_a_run_without_finals_is_compared_on_search_examples_and_marked_interim(
    whole_study, interim_study
):
    found = compared(whole_study, interim_study)
    assert found["examples"] == "search"
    assert [run["interim"] for run in found["runs"]] == [False, True]


def only(languages):
    """A change that leaves evaluations no scores but those of these languages."""

    def change(fact):
        if not isinstance(fact, StageEnded):
            return fact
        kept = tuple(cell for cell in fact.measurement.scores if cell.language in languages)
        return replace(fact, measurement=replace(fact.measurement, scores=kept))

    return change


def test_only_cells_that_all_runs_have_are_compared(whole_study):
    fewer = rewritten(whole_study, "fewer", only({"vi", "de"}))
    found = compared(whole_study, fewer)
    assert {cell.split("/")[1] for cell in found["cells"]} == {"vi", "de"}
    assert all("not scored in this run" in why for why in found["left_out"].values())


def test_runs_with_no_common_cells_are_refused_with_what_each_has(whole_study):
    some = rewritten(whole_study, "some", only({"vi"}))
    others = rewritten(whole_study, "others", only({"de"}))
    with pytest.raises(NothingCommonError, match="have no cell in common on report examples") as refusal:
        compare([(some, None, "synthetic"), (others, None, "synthetic")])
    assert "synthetic: 5 cells of panx, tatoeba, udpos, xnli, xquad" in str(refusal.value)
    done = CliRunner().invoke(main, ["compare", str(some), str(others)])
    assert done.exit_code == 2
    assert "interlude: these runs have no cell in common" in done.stderr


def test_data_of_another_revision_is_not_compared(whole_study):
    def revised(revision):
        def change(fact):
            if isinstance(fact, StageStarted) and getattr(fact.config, "task", "") == "xnli":
                data = (DataIdentity("facebook/xnli/test", revision, 400),)
                return replace(fact, config=replace(fact.config, data=data))
            return fact

        return change

    found = compared(
        rewritten(whole_study, "old", revised("a")), rewritten(whole_study, "new", revised("b"))
    )
    assert not [cell for cell in found["cells"] if cell.startswith("xnli")]
    assert "another revision" in found["left_out"]["xnli/vi"]


def test_one_run_is_no_comparison(whole_study):
    done = CliRunner().invoke(main, ["compare", str(whole_study)])
    assert done.exit_code == 2
    assert "two runs or more" in done.stderr
