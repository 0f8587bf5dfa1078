"""Earlier runs of a store teach a study; whatever else lies there does not stop it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from functools import cache

import pytest
from fakes import Bench, begun, engine_on, small_tree, spec_of

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import SqlJournal
from scheduler import lessons
from scheduler.drivers.table import drive_table
from scheduler.facts import STUDY_FACTS, StudyBegun
from scheduler.lessons import lesson_of, lessons_for
from scheduler.mix import Mix
from scheduler.plan import plan_study
from scheduler.trial import Recipe
from trainers.order import Measurement, Order, Outcome
from trainers.stage import Half, TargetStage, stage_name

HERE = "Processor of this machine"


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    monkeypatch.setattr(lessons, "cpu_name", lambda: HERE)
    monkeypatch.setattr(lessons, "gpu_models", list)


@pytest.fixture
def spec(tmp_path):
    return spec_of({"store": str(tmp_path), "name": "now"})


@cache
def finished(slower=2.0, device="cpu", cpu=HERE):
    """The facts of a small study that was run to its end, each stage ``slower`` than first guessed."""
    tree = small_tree()
    bench = Bench(tree, costs=(slower, slower))

    def run(order: Order) -> Measurement:
        return replace(bench.run(order), device=device, cpu=cpu)

    journal = begun(tree, DeviceTime.from_hours(9))
    engine, _ = engine_on(journal, tree)
    drive_table(engine, run, 1)
    return tuple(journal.facts)


def keep(store, name, facts):
    place = store if isinstance(store, str) else store / name / "journal.db"
    with SqlJournal(place, STUDY_FACTS, name=name, writer=True) as journal:
        journal.append(*(replace(f, name=name) if isinstance(f, StudyBegun) else f for f in facts))
    return place


def target():
    tree = small_tree()
    recipe = Recipe(Mix(), tree.spec.seed, tree.spec.model.name, tree.spec.model.tuning)
    nodes = tree.nodes(recipe, 0, Half.SEARCH)
    return next(node for node in nodes if isinstance(node.stage, TargetStage))


def ratio(found):
    """Forecast of a target stage over its first guess."""
    work = target().work
    return found.forecast(small_tree()).estimate(work).expected.ms / work.prior_ms


def test_a_store_without_runs_teaches_nothing(spec):
    found = lessons_for(spec)
    assert (found.lessons, found.notes) == ((), ())
    assert ratio(found) == 1


def test_an_earlier_run_on_such_a_processor_teaches_what_its_stages_took(spec, tmp_path):
    keep(tmp_path, "before", finished(2.0))
    found = lessons_for(spec)
    assert ratio(found) == pytest.approx(2, rel=0.01)
    (note,) = found.notes
    assert note == f"the forecast learned from {len(found.lessons)} bills of 1 run on {HERE}"


@pytest.mark.parametrize(
    ("device", "cpu"), [("cpu", "Another processor"), ("cpu", ""), ("NVIDIA H200", ""), ("", "")]
)
def test_another_device_or_one_that_nobody_named_teaches_nothing(spec, tmp_path, device, cpu):
    keep(tmp_path, "before", finished(2.0, device, cpu))
    assert lessons_for(spec).lessons == ()


def test_the_study_s_own_journal_is_not_read_twice(spec, tmp_path):
    keep(tmp_path, "now", finished(2.0))
    assert lessons_for(spec).lessons == ()


def test_a_copy_of_the_study_in_another_folder_is_no_earlier_run(spec, tmp_path):
    keep(tmp_path, "now", finished(2.0))
    shutil.copytree(tmp_path / "now", tmp_path / "copy")
    assert lessons_for(spec).lessons == ()


def test_a_run_whose_trials_hold_more_devices_teaches_nothing(spec, tmp_path):
    begun_fact, *rest = finished(2.0)
    wide = {**begun_fact.spec, "budget": {**begun_fact.spec["budget"], "devices": {"per_trial": 2}}}
    keep(tmp_path, "wide", [replace(begun_fact, spec=wide), *rest])
    assert lessons_for(spec).lessons == ()


def test_a_gpu_study_without_a_gpu_here_goes_by_the_device_of_the_newest_bill(tmp_path):
    spec = spec_of({"store": str(tmp_path), "name": "now", "budget.devices.kind": "gpu"})
    keep(tmp_path, "before", finished(3.0, "NVIDIA H200", ""))
    assert {one.device for one in lessons_for(spec).lessons} == {"NVIDIA H200"}


def test_a_gpu_that_is_here_goes_before_what_others_ran_on(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "gpu_models", lambda: ["NVIDIA A100"])
    spec = spec_of({"store": str(tmp_path), "name": "now", "budget.devices.kind": "gpu"})
    keep(tmp_path, "before", finished(3.0, "NVIDIA H200", ""))
    assert lessons_for(spec).lessons == ()


def test_damaged_and_foreign_files_are_skipped_and_named(spec, tmp_path):
    keep(tmp_path, "before", finished(2.0))
    for name, content in (("empty", b""), ("text", b"no database at all" * 400)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.db").write_bytes(content)
    damaged = keep(tmp_path, "damaged", finished(2.0))
    damaged.write_bytes(damaged.read_bytes()[:6000])
    found = lessons_for(spec)
    assert ratio(found) == pytest.approx(2, rel=0.01)
    for name in ("empty", "text", "damaged"):
        assert any(f"no bills were read from {tmp_path / name / 'journal.db'}" in n for n in found.notes)


def test_stages_of_tasks_that_this_study_does_not_know_are_passed_over(spec, tmp_path):
    keep(tmp_path, "before", finished(2.0))
    found = lessons_for(spec)
    first = next(one for one in found.lessons if isinstance(one.stage, TargetStage))
    strange = replace(first, stage=replace(first.stage, task="somebody_s_own"))
    more = replace(found, lessons=(strange, *found.lessons))
    assert ratio(more) == ratio(found)


def test_a_run_of_four_hundred_stages_is_read_in_a_moment(spec, tmp_path):
    facts = list(finished(2.0))
    while len(facts) < 1800:
        facts += finished(2.0)[2:]
    keep(tmp_path, "before", facts)
    lessons_for(spec)
    begun_s = time.process_time()
    lessons_for(spec)
    assert time.process_time() - begun_s < 0.3


def test_the_other_studies_of_a_postgresql_database_teach(tmp_path, postgres):
    spec = spec_of({"store": str(tmp_path), "name": "now", "journal": postgres})
    for name in ("now", "before", "a-name-so-long-that-its-schema-has-a-digest-of-it-instead"):
        keep(postgres, name, finished(2.0))
    found = lessons_for(spec)
    assert "bills of 2 runs" in found.notes[0]
    assert ratio(found) == pytest.approx(2, rel=0.01)


def test_a_database_that_cannot_be_reached_is_named_and_stops_nothing(tmp_path):
    away = "postgresql+psycopg://nobody@127.0.0.1:9/none"
    spec = spec_of({"store": str(tmp_path), "name": "now", "journal": away})
    found = lessons_for(spec)
    assert found.lessons == ()
    assert "no bills were read: postgresql+psycopg://nobody@127.0.0.1:9/none" in found.notes[0]


def test_a_plan_goes_by_what_was_learned_and_says_from_what(spec, tmp_path):
    keep(tmp_path, "before", finished(2.0))
    plain, learned = plan_study(spec), plan_study(spec, lessons_for(spec))
    assert learned.least > plain.least
    assert learned.n_trials <= plain.n_trials
    assert any("bills of 1 run" in note for note in learned.to_json()["notes"])


# -- which bills count ----------------------------------------------------------------------------


def measured(outcome, purpose=Purpose.TRAIN, ms=1000, load=100):
    stage = target().stage
    bill = Bill({Purpose.LOAD: DeviceTime(load), purpose: DeviceTime(ms)})
    return Measurement("h", stage_name(stage), outcome, bill, device="cpu", cpu=HERE)


def lesson(*measurements):
    return lesson_of(target().stage, measurements)


def test_a_stage_done_at_once_counts_whole():
    found = lesson(measured(Outcome.DONE))
    assert (found.total.ms, found.load.ms, found.device) == (1100, 100, HERE)


def test_attempts_that_ended_at_their_deadline_are_part_of_the_work_but_for_their_loading():
    found = lesson(measured(Outcome.TRUNCATED, ms=700, load=400), measured(Outcome.DONE, ms=300))
    assert (found.total.ms, found.load.ms) == (1100, 100)


@pytest.mark.parametrize(
    "measurements",
    [
        (),
        (measured(Outcome.FAILED),),
        (measured(Outcome.TRUNCATED),),
        (measured(Outcome.DONE, Purpose.SAVE),),
        (measured(Outcome.LOST), measured(Outcome.DONE)),
        (measured(Outcome.STOPPED), measured(Outcome.DONE)),
    ],
)
def test_a_stage_that_was_lost_failed_stopped_or_found_done_teaches_nothing(measurements):
    assert lesson(*measurements) is None
