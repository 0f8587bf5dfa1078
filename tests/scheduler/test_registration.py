"""What a study says before its first stage: checked, recorded with its hash, and kept."""

from __future__ import annotations

import pytest
from fakes import Bench, spec_of

from budgets.errors import SpecError
from scheduler.drivers.table import drive_table
from scheduler.errors import SpecChangedError
from scheduler.facts import Preregistered, StageStarted, StudyBegun
from scheduler.registration import digest, preregistered
from scheduler.study import open_study

BLOCK = {
    "hypothesis": "A mix gains more than nothing.",
    "primary": {"of": "gain", "claim": "above"},
    "secondary": [{"of": "gain", "on": "without retrieval"}],
    "analysis": "Score over all cells.",
}


def registered_spec(folder, **block):
    changes = {"store": str(folder), "search.max_trials": 2, "final.max_seeds": 1}
    return spec_of({**changes, "preregistration": {**BLOCK, **block}})


def test_the_plan_is_on_record_with_its_hash_and_cells_before_any_stage(tmp_path):
    spec = registered_spec(tmp_path)
    with open_study(spec, "") as study:
        drive_table(study.engine, Bench(study.tree).run, 1)
        facts = study.account.facts()
    kinds = [type(fact) for fact in facts]
    assert kinds.index(StudyBegun) < kinds.index(Preregistered) < kinds.index(StageStarted)
    (said,) = (fact for fact in facts if isinstance(fact, Preregistered))
    assert said == preregistered(spec)
    assert said.sha256 == digest(said.plan)
    assert said.plan["hypothesis"] == BLOCK["hypothesis"]
    assert said.plan["cells"] == {task: list(codes) for task, codes in spec.cells}


def test_a_study_that_registers_nothing_records_nothing(tmp_path):
    with open_study(spec_of({"store": str(tmp_path)}), "") as study:
        assert not [fact for fact in study.account.facts() if isinstance(fact, Preregistered)]


def test_the_hash_knows_every_value_and_no_order():
    plan = {"hypothesis": "a", "cells": {"pos": ["sw"]}}
    assert digest(plan) == digest(dict(reversed(plan.items())))
    assert digest(plan) != digest({**plan, "cells": {"pos": ["te"]}})


def test_what_was_registered_cannot_be_changed_once_the_study_has_begun(tmp_path):
    with open_study(registered_spec(tmp_path), ""):
        pass
    other = registered_spec(tmp_path, primary={"of": "gain", "claim": "below"})
    with pytest.raises(SpecChangedError, match=r"preregistration\.primary\.claim: was 'above'"):
        open_study(other, "").__enter__()
    late = spec_of({"store": str(tmp_path), "search.max_trials": 2, "final.max_seeds": 1})
    with pytest.raises(SpecChangedError, match=r"preregistration"):
        open_study(late, "").__enter__()


@pytest.mark.parametrize(
    ("primary", "said"),
    [
        ({"claim": "equivalent"}, "primary.margin: belongs to the claim 'equivalent'"),
        ({"claim": "above", "margin": 1.0}, "primary.margin: belongs to the claim 'equivalent'"),
        ({"of": "best"}, "primary.arms: a contrast of 'best' is between two; 0 given"),
        ({"on": "group reading"}, "primary.on: 'group reading' is nothing this study measures"),
        ({"on": "task toy_pso"}, "task toy_pos"),
    ],
)
def test_a_contrast_that_cannot_be_computed_is_refused(tmp_path, primary, said):
    with pytest.raises(SpecError) as refusal:
        registered_spec(tmp_path, primary=primary)
    assert any(said in problem for problem in refusal.value.problems)


def test_a_contrast_listed_twice_is_refused(tmp_path):
    with pytest.raises(SpecError, match="is listed twice"):
        registered_spec(tmp_path, secondary=[BLOCK["primary"]])
