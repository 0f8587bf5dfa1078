"""A recommended recipe as a folder: what AutoModel loads from it is what the study scored."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file
from small_study import RATES
from transformers import AutoModel, AutoTokenizer

from experiments.answer import Verdict
from experiments.arms import findings_of
from experiments.card import card
from experiments.chosen import chosen, chosen_of
from experiments.cli import main
from experiments.export import export
from experiments.load import open_study
from experiments.recipe import recipe_yaml
from scheduler.errors import NoRunError
from scheduler.run import worker_settings
from scheduler.spec import load, read
from trainers.checkpoints import StageStore
from trainers.errors import ModelError, StoreError
from trainers.stage import IntermediateStage, TargetStage
from trainers.warm import WarmCache


@pytest.fixture(scope="module")
def best_mixes(tuned_run):
    """Tuning -> the best mix of its arm, as if it had been recommended."""
    findings = findings_of(open_study(tuned_run))
    return {
        one.arm.tuning: chosen(one.study, replace(one.answer, verdict=Verdict.GAIN), one.answer.best)
        for one in findings
    }


def hidden(encoder, tokenizer):
    batch = tokenizer(["mi ta ku", "so le"], return_tensors="pt", padding=True)
    with torch.no_grad():
        return encoder.eval()(**batch).last_hidden_state


@pytest.mark.parametrize("tuning", ["full", "lora", "ia3"])
def test_automodel_loads_what_the_stages_left(best_mixes, tmp_path, tuning):
    one, place = best_mixes[tuning], tmp_path / f"{tuning}-model"
    export(one, place)
    settings = replace(worker_settings(one.study.spec), store=one.study.store)
    warm = WarmCache(settings, StageStore(one.study.store))
    tokenizer = AutoTokenizer.from_pretrained(place)
    assert len(tokenizer) == len(warm.tokenizer(one.model))
    assert set(one.targets) == {"toy_pos"}
    for where, stage in ((place, one.encoder), (place / "targets/toy_pos", one.targets["toy_pos"])):
        config = one.study.state.stages[stage].config
        assert isinstance(config, IntermediateStage if where is place else TargetStage)
        loaded = AutoModel.from_pretrained(where)
        beside = warm.encoder(one.model, stage)
        torch.testing.assert_close(hidden(loaded, tokenizer), hidden(beside, tokenizer))
    head = warm.heads.head(warm.task("toy_pos"), loaded.config.hidden_size, one.targets["toy_pos"])
    kept = load_file(place / "targets/toy_pos/heads.safetensors")
    assert {name.removeprefix("toy_pos.") for name in kept} == set(head.state_dict())


def test_a_bottleneck_is_refused_and_nothing_is_written(best_mixes, tmp_path):
    with pytest.raises(ModelError, match=r"tuned with a bottleneck adapter, which is not linear"):
        export(best_mixes["bottleneck"], tmp_path / "bottleneck-model")
    assert not (tmp_path / "bottleneck-model").exists()


def test_the_card_names_task_languages_and_licence_of_all_data_that_was_seen(best_mixes):
    one = best_mixes["lora"]
    text = card(one)
    front = yaml.safe_load(text.split("---")[1])
    assert "base_model" not in front
    assert {seen.role for seen in one.seen} == {"pretraining", "intermediate", "target"}
    assert set(front["language"]) == {code for seen in one.seen for code in seen.languages}
    for seen in one.seen:
        row = next(line for line in text.splitlines() if line.startswith(f"| {seen.task} | {seen.role}"))
        assert seen.licence in row
        assert all(data.name in row for data in seen.data)
    for (task, language), value in one.one.cells.items():
        assert f"| {task} | {language} |" in text
        assert f"| {value:.1f} |".replace("-", "−") in text


def test_the_command_writes_a_folder_that_holds_its_own_spec(tuned_run, tmp_path, monkeypatch):
    study = open_study(tuned_run)
    found = chosen_of([one for one in findings_of(study) if one.arm.tuning == "lora"])
    monkeypatch.setattr("experiments.export.chosen_of", lambda findings: found)
    words = ["export", str(tuned_run), "--best", str(tmp_path / "best")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    assert found.one.trial.name in done.stdout
    spec, _ = load(tmp_path / "best/recipe.yaml")
    assert spec.intermediate.count == (found.one.trial.recipe.mix.count,) * 2
    assert AutoModel.from_pretrained(tmp_path / "best").config.hidden_size
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert "is there and not empty" in again.stderr


@pytest.mark.parametrize("tuning", list(RATES))
def test_the_recipe_of_every_arm_is_a_spec_of_that_arm_alone(best_mixes, tuning):
    one = best_mixes[tuning]
    spec = read(yaml.safe_load(recipe_yaml(one.study, one.answer)), "recipe")
    assert spec.arms == (one.one.trial.recipe.arm,)
    assert (spec.intermediate.learning_rate, spec.target.learning_rate) == (RATES[tuning],) * 2


def test_a_stage_that_was_dropped_is_named_and_no_half_folder_is_left(best_mixes, tmp_path):
    one = replace(best_mixes["full"], encoder="0" * 40)
    with pytest.raises(StoreError, match="has no stage 0000"):
        export(one, tmp_path / "best")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_exported_before_anything_is_recommended(best_mixes):
    study = best_mixes["full"].study
    empty = replace(study, state=replace(study.state, trials={}))
    with pytest.raises(NoRunError, match="recommends no recipe yet"):
        chosen_of(findings_of(empty))
