"""A plan stays within the cap, grows with it, and refuses a cap that buys no answer."""

from __future__ import annotations

import json

import pytest
from fakes import TOY_STUDY, spec_of

from budgets.amount import DeviceTime
from budgets.spec import read_yaml
from scheduler.errors import CapTooSmallError
from scheduler.plan import plan_study
from scheduler.spec import read

STUDY = TOY_STUDY.parents[2] / "experiments" / "studies" / "task-count-vs-budget.yaml"


def with_hours(hours):
    return spec_of({"budget.gpu_hours": hours}, small=False)


def test_a_plan_stays_within_the_cap_even_when_every_stage_takes_its_bound():
    for hours in (0.02, 0.05, 0.09, 0.3):
        plan = plan_study(with_hours(hours))
        assert DeviceTime(0) < plan.spent <= plan.cap == DeviceTime.from_hours(hours)
        assert DeviceTime(0) < plan.spent_at_most <= plan.cap
        assert plan.n_trials_at_least <= plan.n_trials


def test_twice_the_cap_never_gives_fewer_trials_or_repetitions():
    plans = [plan_study(with_hours(0.02 * 2**n)) for n in range(5)]
    trials, finals = ([getattr(p, key) for p in plans] for key in ("n_trials", "n_finals"))
    assert trials == sorted(trials)
    assert finals == sorted(finals)
    assert trials[-1] > trials[0]


def test_a_plan_of_the_quick_start_uses_nine_tenths_of_its_cap():
    plan = plan_study(with_hours(0.09))
    assert plan.spent.ms > 0.9 * plan.cap.ms
    assert plan.reason.startswith("cap reached")


def test_a_plan_adds_up():
    plan = plan_study(with_hours(0.09))
    assert sum(count.time.ms for count in plan.stages) == plan.spent.ms
    assert max(plan.by_rung) <= plan.n_trials <= sum(plan.by_rung)  # not all begin at the same rung
    assert plan.wall_s * 1000 <= plan.spent.ms <= 2 * plan.wall_s * 1000


def test_the_same_spec_gives_the_same_plan():
    assert plan_study(with_hours(0.05)) == plan_study(with_hours(0.05))


def test_a_cap_too_small_for_the_control_is_refused_with_both_amounts():
    with pytest.raises(CapTooSmallError) as refusal:
        plan_study(with_hours(0.001))
    least = plan_study(with_hours(0.09)).least
    assert "budget.gpu_hours is 0.001 (0.0010 device-hours)" in str(refusal.value)
    assert f"forecast at {least}. Raise the cap" in str(refusal.value)


def test_a_cap_of_exactly_the_least_can_be_planned():
    least = plan_study(with_hours(0.09)).least
    assert plan_study(with_hours((least.ms + 1) / 3_600_000)).n_finals == 1


def test_a_plan_says_what_the_cap_cannot_reach():
    plan = plan_study(with_hours(0.05))
    assert any("of 466 subsets" in line for line in plan.beyond)
    assert any("repetitions over seeds" in line for line in plan.beyond)


def test_a_plan_is_plain_json_in_whole_milliseconds():
    plan = plan_study(with_hours(0.05)).to_json()
    assert json.loads(json.dumps(plan)) == plan
    assert plan["cap_ms"] == 180_000
    assert all(isinstance(plan[key], int) for key in plan if key.endswith("_ms"))


def test_hub_data_without_a_pin_can_be_planned_and_the_plan_says_what_a_run_needs():
    mapping, _ = read_yaml(STUDY)
    mapping["budget"]["gpu_hours"] = 1
    mapping["intermediate"]["tasks"] = ["mnli", "qqp"]
    mapping["intermediate"]["count"] = [0, 2]
    mapping["target"] |= {"benchmark": "xtreme-r", "tasks": ["udpos"], "languages": ["yo", "wo"]}
    treebanks = "universal-dependencies/universal_dependencies"
    assert any(
        line == f"before a run, {treebanks} needs a commit under data.revisions"
        for line in plan_study(read(mapping, "test")).beyond
    )
    mapping["data"]["revisions"] = {treebanks: "a" * 40}
    pinned = plan_study(read(mapping, "test"))
    assert not any("before a run" in line for line in pinned.beyond)


@pytest.mark.parametrize(
    ("precision", "note"), [("fp32", None), ("bf16", "bf16 is asked for, and CPUs compute in fp32")]
)
def test_a_precision_that_the_devices_lack_is_said_beforehand(precision, note):
    spec = spec_of({"budget.gpu_hours": 0.02, "model.precision": precision}, small=False)
    notes = " ".join(plan_study(spec).notes)
    assert (note in notes) if note else ("fp32" not in notes)
