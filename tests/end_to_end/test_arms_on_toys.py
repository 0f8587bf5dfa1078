"""Four arms of the toy world, run for real: a model tuned in full and by every kind of adapter."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from small_study import RATES

from experiments.load import open_study
from scheduler.trial import Role
from trainers.order import Outcome
from trainers.stage import IntermediateStage, PretrainStage, TargetStage


@pytest.fixture(scope="module")
def study(tuned_run):
    return open_study(tuned_run)


def test_every_arm_has_its_control_its_mix_and_their_repetitions(study):
    state = study.state
    assert state.ended.startswith("nothing left to try")
    by_arm = Counter((t.recipe.tuning, t.role) for t in state.trials.values())
    assert by_arm == {
        (tuning, role): 2 if role is Role.FINAL else 1 for tuning in RATES for role in Role
    }
    assert all(trial.scores for trial in state.trials.values())


def test_the_encoder_is_pretrained_once_and_tuned_in_four_ways(study):
    done = [record.config for record in study.state.stages.values() if record.done]
    assert sum(isinstance(stage, PretrainStage) for stage in done) == 1
    tuned = Counter(stage.model.tuning for stage in done if isinstance(stage, TargetStage))
    assert tuned == dict.fromkeys(RATES, 2)
    outcomes = {measurement.outcome for _, measurement in study.state.measurements()}
    assert outcomes == {Outcome.DONE}


def test_every_tuning_steps_at_its_own_rate(study):
    trained = [r.config for r in study.state.stages.values() if isinstance(r.config, IntermediateStage)]
    assert {stage.model.tuning: stage.optimisation.learning_rate for stage in trained} == RATES


def test_adapters_take_a_small_part_of_the_store(study, tuned_run):
    n_bytes: dict[str, list[int]] = {tuning: [] for tuning in RATES}
    for name, record in study.state.stages.items():
        if isinstance(record.config, TargetStage):
            manifest = tuned_run.parent / "stages" / name / "manifest.json"
            files = json.loads(manifest.read_text())["files"].values()
            n_bytes[record.config.model.tuning].append(sum(file["bytes"] for file in files))
    whole = n_bytes.pop("full")
    assert all(max(adapted) < 0.1 * min(whole) for adapted in n_bytes.values())
