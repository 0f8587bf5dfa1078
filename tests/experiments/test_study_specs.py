"""The ready-made studies: five questions, each at full size and at the size of the toy world."""

from __future__ import annotations

from pathlib import Path

import pytest

import experiments
from scheduler.plan import plan_study
from scheduler.spec import load

STUDIES = Path(experiments.__file__).parent / "studies"
QUESTIONS = (
    "adapters-inference",
    "english-vs-multilingual-efficiency",
    "model-size-diminishing",
    "retrieval-scaling",
    "task-count-vs-budget",
)


def spec_of(path):
    return load(STUDIES / path)[0]


def varied(spec):
    """The factors that a study has several levels of, and whether it measures inference."""
    arms = spec.arms
    levels = {name: {getattr(arm, name) for arm in arms} for name in ("model", "tuning", "languages")}
    return {name for name, found in levels.items() if len(found) > 1}, spec.inference is not None


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_asked_in_the_same_way_at_both_sizes(question):
    full, toy = spec_of(f"{question}.yaml"), spec_of(f"toy/{question}.yaml")
    assert (full.name, toy.name) == (question, f"{question}-toy")
    assert varied(full) == varied(toy)
    assert full.search.design == toy.search.design
    assert full.preregistration is not None
    assert toy.preregistration is not None
    assert [full.preregistration.primary.of, full.preregistration.primary.on] == [
        toy.preregistration.primary.of,
        toy.preregistration.primary.on,
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_toy_study_pays_for_every_arm_twice_over_and_is_done_in_five_minutes(question):
    spec = spec_of(f"toy/{question}.yaml")
    plan = plan_study(spec)
    assert plan.spent <= plan.cap
    assert plan.cap.hours * 3600 / spec.budget.devices.count < 300
    assert plan.n_trials >= 7 * len(spec.arms)
    assert plan.n_finals >= 4 * len(spec.arms)  # two seeds of each arm's control and best mix
