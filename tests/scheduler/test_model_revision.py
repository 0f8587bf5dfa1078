"""``model.revision``: a commit of the user's own goes before the pin, where a hub can give it."""

from pathlib import Path

import pytest

from budgets.errors import SpecError
from budgets.spec import read_yaml
from scheduler.spec import read

ROOT = Path(__file__).parents[2] / "experiments"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def mapping(spec, model, source):
    found = read_yaml(ROOT / spec)[0]
    return {**found, "model": {**found["model"], **model}, "data": {"source": source}}


def problems(*changed):
    with pytest.raises(SpecError) as refusal:
        read(mapping(*changed), source="s.yaml")
    return [problem for problem in refusal.value.problems if problem.startswith("model.revision")]


STUDY = "studies/task-count-vs-budget.yaml"


def test_a_commit_of_a_model_on_the_hub_is_taken():
    spec = read(mapping(STUDY, {"name": "rembert", "revision": COMMIT}, "hub"), source="s.yaml")
    assert spec.model.revision == COMMIT


def test_a_commit_is_forty_hex_digits():
    assert problems(STUDY, {"name": "rembert", "revision": "main"}, "hub")


def test_a_mirror_and_the_toy_world_have_no_commits():
    (problem,) = problems(STUDY, {"name": "rembert", "revision": COMMIT}, "mirror")
    assert "only a model on the hub" in problem
    (problem,) = problems("quickstart.yaml", {"revision": COMMIT}, "toy")
    assert "Remove the key" in problem
