"""Arms compared: registered contrasts, what may be called confirmatory, slopes and equivalence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from armed_study import BASE, LARGE, SAID, SHRINKS, ArmedStudy
from hypothesis import given
from hypothesis import strategies as st

from budgets.journal import MemoryJournal, SqlJournal
from experiments.arms import findings_of, label
from experiments.contrast_words import threats_of
from experiments.contrasts import SECONDARY, Contrast, contrasts_of, shares
from experiments.load import FACT_TYPES, study_of
from experiments.report import report_json
from experiments.stats import Interval
from scheduler.facts import Preregistered
from scheduler.registration import ContrastSpec
from scheduler.trial import Arm
from trainers.models import MODELS


@pytest.fixture(scope="module")
def told(armed):
    return report_json(armed)


def facts_of(folder):
    with SqlJournal(f"sqlite:///{folder / 'journal.db'}", FACT_TYPES) as journal:
        return [line.fact for line in journal.lines()]


def contrasts_after(facts, store):
    journal = MemoryJournal(FACT_TYPES)
    journal.append(*facts)
    study = study_of(journal.lines(), store)
    return study, contrasts_of(study, findings_of(study))


def test_the_registered_slope_is_found_with_an_interval_that_covers_its_truth(told):
    primary = told["contrasts"][0]
    assert (primary["kind"], primary["verdict"], primary["confirmatory"]) == ("primary", "shown", True)
    doublings = math.log2(
        MODELS["xlm-roberta-large"].n_parameters / MODELS["xlm-roberta-base"].n_parameters
    )
    truth = -1.1 * SHRINKS / doublings  # languages and tasks stretch a gain by about 1.1
    assert primary["estimate"]["low"] - 0.3 < truth < primary["estimate"]["high"] + 0.3
    assert told["headline"][0].startswith("Primary contrast, gain per doubling")
    assert "confirmatory" in told["headline"][0]


def test_tunings_that_do_the_same_are_equivalent_within_the_margin_said_beforehand(told):
    (secondary,) = (one for one in told["contrasts"] if one["kind"] == "secondary")
    assert (secondary["verdict"], secondary["confirmatory"]) == ("equivalent", True)
    assert secondary["claim"] == "within 1.50 points of 0"


def test_a_contrast_that_was_not_registered_is_never_called_confirmatory(told):
    others = [one for one in told["contrasts"] if one["kind"] == "exploratory"]
    assert {one["asked"]["of"] for one in others} == {"control", "best", "gain", "mixes"}
    for one in others:
        assert not one["confirmatory"]
        assert one["why_not"] == "it was not registered before the first stage"
        assert one["adjusted_p"] >= one["p"]


def test_arms_are_compared_mix_by_mix_on_what_all_of_them_tried(told):
    by_factor = {
        tuple(selector.popitem()[1] for selector in one["asked"]["arms"]): one["estimate"]
        for one in told["contrasts"]
        if one["asked"]["of"] == "mixes"
    }
    sizes, tunings = by_factor[LARGE, BASE], by_factor["lora", "full"]
    assert sizes["low"] < -1.1 * SHRINKS < sizes["high"]
    assert sizes["high"] < 0 < tunings["high"]
    assert tunings["low"] < 0
    assert sizes["n_seeds"] == 5  # mixes


def test_each_arm_is_compared_with_its_own_control(told, armed):
    assert [part["arm"]["label"] for part in told["by_arm"]] == [
        "xlm-roberta-base, full",
        "xlm-roberta-base, lora",
        "xlm-roberta-large, full",
        "xlm-roberta-large, lora",
    ]
    controls = [part["answer"]["control"] for part in told["by_arm"]]
    assert controls == ["t0000", "t0006", "t0012", "t0018"]
    trials = {trial["trial"]: trial for trial in told["trials"]}
    for part in told["by_arm"]:
        assert {trials[one["trial"]]["arm"] for one in part["contenders"]} == {part["arm"]["label"]}


def test_a_registration_that_came_late_or_was_changed_makes_nothing_confirmatory(armed):
    facts = facts_of(armed)
    (said,) = (fact for fact in facts if isinstance(fact, Preregistered))
    place = facts.index(said)
    late = [*facts[:place], *facts[place + 1 :], said]
    other = replace(said, plan={**said.plan, "hypothesis": "It grows."})
    changed = [*facts[:place], other, *facts[place + 1 :]]
    for altered, why in ((late, "after the first stage"), (changed, "SHA-256")):
        study, found = contrasts_after(altered, armed.parent)
        assert why in study.registration.problem
        assert found[0].estimate is not None
        assert not any(one.confirmatory for one in found)
        assert why in found[0].why_not


def test_a_study_that_goes_on_shows_contrasts_on_search_examples_and_confirms_nothing(tmp_path):
    folder = ArmedStudy(
        tmp_path, changes={"model.name": [BASE, LARGE]}, preregistration=SAID, ended=False
    ).write()
    told = report_json(folder)
    assert told["interim"]
    assert told["contrasts"][0]["estimate"] is not None
    assert told["contrasts"][0]["why_not"].startswith("no finals were run")
    assert not any(one["confirmatory"] for one in told["contrasts"])


def test_an_arm_without_a_scored_mix_leaves_contrasts_untold_and_says_which(armed):
    facts = facts_of(armed)
    study, found = contrasts_after(facts[: len(facts) // 4], armed.parent)
    assert found[0].estimate is None
    assert "no mix and control were scored in" in found[0].why_not
    assert label(study.spec.arms[-1], study.spec.arms) == "xlm-roberta-large, lora"


def test_the_page_compares_the_arms_and_has_a_part_for_each(armed_report):
    html = armed_report.read_text()
    for heading in (
        "Said before the first stage",
        "Arms compared",
        "Who gains: xlm-roberta-large, lora",
    ):
        assert heading in html
    assert html.count("<svg") == 3 + 4 * 6
    ids = [part.split('"')[0] for part in html.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_a_contrast_of_latencies_is_said_to_depend_on_what_else_the_machine_did():
    interval = Interval(1.0, 0.5, 1.5, 3)
    on_score = Contrast(ContrastSpec(of="best"), SECONDARY, interval)
    timed = Contrast(ContrastSpec(of="best", on="inference plain_p50_ms"), SECONDARY, interval)
    warning = "what else the machine did"
    assert warning in " ".join(threats_of([on_score, timed]))
    assert warning not in " ".join(threats_of([on_score, replace(timed, estimate=None)]))


@given(st.floats(-5, 5), st.floats(-5, 5))
def test_the_slope_of_gains_on_a_line_is_that_of_the_line(slope, level):
    arms = [Arm(name) for name in ("xlm-roberta-base", "xlm-roberta-large", "rembert")]
    weights = shares(ContrastSpec(of="gain-per-doubling"), arms)
    gains = {arm: level + slope * math.log2(MODELS[arm.model].n_parameters) for arm in arms}
    assert sum(weights[arm] * gains[arm] for arm in arms) == pytest.approx(slope, abs=1e-9)
    assert sum(weights.values()) == pytest.approx(0, abs=1e-12)
