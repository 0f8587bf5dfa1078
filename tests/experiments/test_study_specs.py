"""The ready-made studies: five questions, each at full size and at the size of the toy world."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import experiments
from scheduler.plan import plan_study
from scheduler.spec import load

STUDIES = Path(experiments.__file__).parent / "studies"
MODELS = STUDIES.parents[1] / "docs/models.md"
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


@pytest.fixture(scope="module")
def cut_encoders(mirror, tmp_path_factory):
    """A folder with the smaller encoders, made as the documentation says."""
    folder = tmp_path_factory.mktemp("cut")
    (code,) = re.findall(r"```python\n(.*?num_hidden_layers.*?)```", MODELS.read_text(), re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(code.replace("/data/mirror", mirror), {})
    return folder


@pytest.fixture(params=["toy", pytest.param("mini", marks=pytest.mark.mirror)])
def size(request, monkeypatch):
    """A size that a study is written for, where what it names is at hand."""
    if request.param == "mini":
        monkeypatch.chdir(request.getfixturevalue("cut_encoders"))
        monkeypatch.setenv("INTERLUDE_MIRROR", request.getfixturevalue("mirror"))
    return request.param


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_asked_in_the_same_way_at_every_size(question, size):
    full, small = spec_of(f"{question}.yaml"), spec_of(f"{size}/{question}.yaml")
    assert (full.name, small.name) == (question, f"{question}-{size}")
    assert varied(full) == varied(small)
    assert full.search.design == small.search.design
    assert full.preregistration is not None
    assert small.preregistration is not None
    assert [full.preregistration.primary.of, full.preregistration.primary.on] == [
        small.preregistration.primary.of,
        small.preregistration.primary.on,
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_toy_study_pays_for_every_arm_twice_over_and_is_done_in_five_minutes(question):
    spec = spec_of(f"toy/{question}.yaml")
    plan = plan_study(spec)
    assert plan.spent <= plan.cap
    assert plan.cap.hours * 3600 / spec.budget.devices.count < 300
    assert plan.n_trials >= 7 * len(spec.arms)
    assert plan.n_finals >= 4 * len(spec.arms)  # two seeds of each arm's control and best mix


@pytest.mark.mirror
@pytest.mark.parametrize("size", ["mini"], indirect=True)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_mini_study_pays_for_several_mixes_and_seeds_of_every_arm(question, size):
    spec = spec_of(f"{size}/{question}.yaml")
    plan = plan_study(spec)
    assert plan.spent <= plan.cap
    assert plan.cap.hours * 3600 / spec.budget.devices.count <= 1200
    assert plan.n_trials >= 2 * len(spec.arms)
    assert plan.n_finals >= 3 * len(spec.arms)
