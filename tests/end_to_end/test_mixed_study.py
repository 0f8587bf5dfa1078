"""A study on the toy world with weights, a share of masked text, and two languages to train in."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import yaml
from scipy.stats import chi2
from small_study import write_spec

from budgets.spec import read_yaml
from experiments.answer import Verdict, answer_of
from experiments.load import open_study
from experiments.recipe import recipe_yaml
from experiments.report import report_json
from scheduler.interrupt import Interrupt
from scheduler.run import run_study
from scheduler.spec import read
from scheduler.study import space_of
from trainers.mixing import task_at
from trainers.stage import IntermediateStage

TASKS = ("toy_entailment", "toy_roles", "toy_text")
PLANNED = {"toy_entailment": 0.5625, "toy_roles": 0.1875, "toy_text": 0.25}  # 3:1 of the other 3/4
LANGUAGES = ("qau", "qda")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder of the study, driven to its end in this process."""
    folder = tmp_path_factory.mktemp("mixing")
    mapping, _ = read_yaml(write_spec(folder, trials=1))
    mapping["intermediate"] |= {
        "tasks": list(TASKS),
        "languages": list(LANGUAGES),
        "text_languages": ["qda"],
        "count": [3, 3],
        "mixing": {
            "rule": "weights",
            "weights": {"toy_entailment": 3, "toy_roles": 1},
            "text": [0.25, 0.25],
        },
        "rungs": ["12K"],
        "batch_tokens": 256,
    }
    mapping["target"]["tasks"] = ["toy_tatoeba"]
    mapping["final"]["max_seeds"] = 1
    mapping["tracking"] = {"mlflow": None}
    spec = read(mapping, "test")
    run_study(spec, "", "inline", lambda state, balance: None, Interrupt())
    return folder / "runs" / "small"


@pytest.fixture(scope="module")
def trained(run):
    """The mix's intermediate stage and what was measured of it."""
    records = open_study(run).state.stages.values()
    (found,) = (r for r in records if isinstance(r.config, IntermediateStage) and r.config.seed == 7)
    return found.config, found.measurements[-1]


def test_a_stage_is_planned_with_the_rates_of_the_rule(trained):
    stage, _ = trained
    assert {share.task: share.rate for share in stage.shares} == pytest.approx(PLANNED)


def test_the_rates_that_were_drawn_are_those_of_the_formula(trained):
    stage, measurement = trained
    rates = [share.rate for share in stage.shares]
    drawn = [measurement.rates.get(share.task, 0.0) for share in stage.shares]

    def after(n_steps):
        counts = Counter(task_at(step, rates, seed=stage.seed) for step in range(n_steps))
        return [counts[i] / n_steps for i in range(len(rates))]

    (n_steps, *_) = [n for n in range(20, 200) if after(n) == pytest.approx(drawn, abs=1e-12)]
    statistic = n_steps * sum((d - r) ** 2 / r for d, r in zip(drawn, rates, strict=True))
    assert statistic < chi2.ppf(0.999, df=len(rates) - 1)


def test_supervised_tasks_and_text_are_each_trained_in_their_languages(trained):
    stage, _ = trained
    read_from = {share.task: [data.name for data in share.data] for share in stage.shares}
    assert read_from == {
        "toy_entailment": [f"toy/toy_entailment/{code}/train" for code in LANGUAGES],
        "toy_roles": [f"toy/toy_roles/{code}/train" for code in LANGUAGES],
        "toy_text": ["toy/toy_text/qda/train"],
    }


def test_the_report_shows_planned_and_drawn_rates_and_the_share_of_text(run, trained):
    shown = next(trial for trial in report_json(run)["trials"] if trial["k"] == 3)
    assert shown["text"] == 0.25
    assert {rate["task"]: rate["planned"] for rate in shown["rates"]} == pytest.approx(PLANNED)
    assert {rate["task"]: rate["drawn"] for rate in shown["rates"]} == trained[1].rates


def test_the_recipe_of_a_mix_is_a_spec_that_allows_that_mix_alone(run):
    study = open_study(run)
    answer = replace(answer_of(study), verdict=Verdict.GAIN)
    recipe = read(yaml.safe_load(recipe_yaml(study, answer)), "recipe")
    assert space_of(recipe).all_mixes() == (answer.best.trial.recipe.mix,)
    assert recipe.intermediate.mixing == study.spec.intermediate.mixing
    assert recipe.intermediate.text_languages == ("qda",)


def test_the_recipe_of_the_control_is_a_spec_too(run):
    study = open_study(run)
    answer = replace(answer_of(study), verdict=Verdict.CONTROL_BEST)
    assert read(yaml.safe_load(recipe_yaml(study, answer)), "recipe").intermediate.count == (0, 0)
