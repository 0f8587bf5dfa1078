"""A study that crosses its mixes with every way to tune, on the toy world, from spec to report."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from small_study import write_spec

from budgets.spec import read_yaml
from experiments.load import open_study
from scheduler.interrupt import Interrupt
from scheduler.run import run_study
from scheduler.spec import read
from trainers.adapter_places import TUNINGS
from trainers.stage import IntermediateStage, PretrainStage, TargetStage
from trainers.stage import stage_name as name_of

RATES = {"full": 1e-3, "lora": 1e-2, "ia3": 5e-2, "bottleneck": 1e-2}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of the study, driven to its end in this process."""
    folder = tmp_path_factory.mktemp("tunings")
    mapping, _ = read_yaml(write_spec(folder, trials=1, hours=0.1))
    mapping["model"]["tuning"] = list(TUNINGS)
    mapping["pretrain"]["tokens"] = "4K"
    mapping["target"] |= {"tasks": ["toy_pos"], "tokens": "2K"}
    mapping["intermediate"] |= {"count": [2, 2], "rungs": ["4K"], "learning_rate": RATES}
    mapping["search"]["design"] = "factorial"
    mapping["final"]["max_seeds"] = 1
    mapping["tracking"] = {"mlflow": None}
    run_study(read(mapping, "test"), "", "inline", lambda state, balance: None, Interrupt())
    return folder / "runs" / "small"


@pytest.fixture(scope="module")
def stages(run):
    return [record.config for record in open_study(run).state.stages.values()]


def test_every_arm_has_a_control_and_a_mix_and_they_share_one_encoder(stages):
    (base,) = [stage for stage in stages if isinstance(stage, PretrainStage)]
    assert base.model.tuning == "full"
    trained = [stage for stage in stages if isinstance(stage, IntermediateStage)]
    assert {stage.model.tuning for stage in trained} == set(TUNINGS)
    targets = [stage for stage in stages if isinstance(stage, TargetStage)]
    controls = Counter(stage.model.tuning for stage in targets if stage.parent == name_of(base))
    assert controls.keys() == set(TUNINGS)
    parents = {name_of(stage): stage.model.tuning for stage in trained}
    on_mixes = [stage for stage in targets if stage.parent in parents]
    assert {stage.model.tuning for stage in on_mixes} == set(TUNINGS)
    assert all(stage.model.tuning == parents[stage.parent] for stage in on_mixes)


def test_every_tuning_steps_at_its_own_rate(stages):
    trained = [stage for stage in stages if isinstance(stage, IntermediateStage)]
    assert {s.model.tuning: s.optimisation.learning_rate for s in trained} == RATES


def test_adapters_take_a_small_part_of_the_store(run, stages):
    bytes_of: dict[str, list[int]] = {tuning: [] for tuning in TUNINGS}
    for stage in stages:
        if isinstance(stage, TargetStage):
            manifest = run.parent / "stages" / name_of(stage) / "manifest.json"
            files = json.loads(manifest.read_text())["files"].values()
            bytes_of[stage.model.tuning].append(sum(file["bytes"] for file in files))
    assert all(max(bytes_of[tuning]) < 0.1 * min(bytes_of["full"]) for tuning in TUNINGS[1:])
