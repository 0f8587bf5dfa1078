"""Three arms of the toy world, run for real: a model tuned in full and by two kinds of adapter."""

from __future__ import annotations

from collections import Counter

import pytest
from small_study import write_spec

from budgets.spec import read_yaml
from experiments.load import open_study
from scheduler.interrupt import Interrupt
from scheduler.run import run_study
from scheduler.spec import read
from scheduler.trial import Role
from trainers.order import Outcome
from trainers.stage import PretrainStage, TargetStage

TUNINGS = ("full", "lora", "bottleneck")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The study, driven to its end in this process."""
    folder = tmp_path_factory.mktemp("arms")
    mapping, _ = read_yaml(write_spec(folder, trials=1))
    mapping["model"] = {"name": "toy-mini", "tuning": list(TUNINGS)}
    mapping["intermediate"] |= {
        "tasks": ["toy_entailment"],
        "count": [1, 1],
        "rungs": ["4K"],
        "mixing": {"rule": "uniform"},
    }
    mapping["target"] |= {"tasks": ["toy_pos"], "languages": ["qda", "qes"]}
    mapping["search"] = {"sampler": "random", "max_trials": 1, "design": "factorial"}
    mapping["final"] |= {"max_seeds": 1}
    mapping["tracking"] = {"mlflow": None}
    spec = read(mapping, "test")
    run_study(spec, "", "inline", lambda state, balance: None, Interrupt())
    return open_study(folder / "runs" / "small")


def test_every_arm_has_its_control_its_mix_and_their_repetitions(study):
    state = study.state
    assert state.ended.startswith("nothing left to try")
    by_arm = Counter((t.recipe.tuning, t.role) for t in state.trials.values())
    assert by_arm == {
        (tuning, role): 2 if role is Role.FINAL else 1 for tuning in TUNINGS for role in Role
    }
    assert all(trial.scores for trial in state.trials.values())


def test_the_encoder_is_pretrained_once_and_tuned_in_three_ways(study):
    done = [record.config for record in study.state.stages.values() if record.done]
    assert sum(isinstance(stage, PretrainStage) for stage in done) == 1
    tuned = Counter(stage.model.tuning for stage in done if isinstance(stage, TargetStage))
    assert tuned == dict.fromkeys(TUNINGS, 2)
    outcomes = {measurement.outcome for _, measurement in study.state.measurements()}
    assert outcomes == {Outcome.DONE}
