"""Arms of a study: one for each combination of model, tuning and languages of the intermediate data."""

from __future__ import annotations

import pytest
from fakes import mapping_of, spec_of

from budgets.errors import SpecError
from scheduler.mix import Mix
from scheduler.spec import read
from scheduler.trial import Arm, Recipe


def problems(changes):
    with pytest.raises(SpecError) as refusal:
        read(mapping_of(changes), source="s.yaml")
    return refusal.value.problems


def test_a_study_without_lists_has_one_arm():
    assert spec_of().arms == (Arm("toy-tiny", "full", ""),)


def test_a_recipe_says_its_arm_and_is_made_of_it():
    arm = Arm("toy-tiny", "lora", "english")
    assert Recipe.of(Mix(), 7, arm).arm == arm


def test_a_model_that_is_listed_twice_is_named():
    (problem,) = [p for p in problems({"model": {"name": ["toy-tiny"] * 2}}) if "twice" in p]
    assert problem.startswith("model.name.1: 'toy-tiny'")


def test_a_tuning_that_nobody_knows_is_refused_with_those_that_are():
    said = problems({"model.tuning": ["full", "lara"]})
    assert any(one.startswith("model.tuning.1: ") and "'lora'" in one for one in said)


@pytest.mark.parametrize("changes", [{"model.name": []}, {"intermediate.languages": {}}])
def test_an_empty_list_of_a_factor_is_refused(changes):
    assert problems(changes)


def test_comparing_arms_of_a_study_with_one_is_refused():
    (problem,) = problems({"search.design": "factorial"})
    assert problem.startswith("search.design: 'factorial' compares arms, and this study has one")


def test_one_commit_cannot_be_of_two_models():
    changes = {"model": {"name": ["xlm-roberta-base", "rembert"], "revision": "a" * 40}}
    assert any(p.startswith("model.revision: a commit is of one model") for p in problems(changes))
