"""Whatever breaks under a stage becomes an outcome with its bill, and nothing is silently made anew."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from worker_bench import GRACE, Bench, TickingClock, tiny_mirror

import trainers.evaluation
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from trainers.evaluate import evaluate
from trainers.families.pair import PairFamily
from trainers.order import Outcome
from trainers.stage import stage_name
from trainers.state import Snapshot


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def bench(place, tmp_path):
    return Bench(place, tmp_path)


@pytest.fixture(scope="module")
def judged(place, tmp_path_factory):
    """A bench with a finished target stage, its evaluation, and the evaluation's scores."""
    bench = Bench(place, tmp_path_factory.mktemp("judged"))
    target = bench.target(tokens=300)
    assert bench.run(target).outcome is Outcome.DONE
    return bench, bench.evaluation(target)


def full_memory(monkeypatch, owner, name, *calls):
    """Let a function run out of memory at its n-th calls, counted from 0; all when none is given."""
    n_calls, real = iter(range(10**6)), getattr(owner, name)

    def limited(*given, **named):
        number = next(n_calls)
        if not calls or number in calls:
            raise torch.OutOfMemoryError("2 GiB wanted")
        return real(*given, **named)

    monkeypatch.setattr(owner, name, limited)


def in_a_process(script, place, folder, *given):
    """What a script prints as JSON in its last line."""
    here = Path(__file__).parent
    ran = subprocess.run(
        [sys.executable, *script, place, str(folder), *given],
        cwd=here,
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


# -- memory ------------------------------------------------------------------------------------------


def test_memory_that_runs_out_once_is_noted_and_the_stage_is_done(bench, monkeypatch):
    full_memory(monkeypatch, PairFamily, "loss", 3)
    measurement = bench.run(bench.target(tokens=900))
    assert measurement.outcome is Outcome.DONE
    assert measurement.facts["oom_splits"] == 1


def test_memory_that_is_too_small_for_one_row_is_infeasible_and_billed(bench, monkeypatch):
    full_memory(monkeypatch, PairFamily, "loss")
    stage = bench.target(tokens=900)
    measurement = bench.run(stage)
    assert measurement.outcome is Outcome.INFEASIBLE
    assert "out of memory at step 0 on task xnli, with 1 rows of" in measurement.error
    assert measurement.facts["oom_splits"] > 1
    assert measurement.bill.amounts[Purpose.TRAIN]
    assert not bench.store.has(stage_name(stage))
    monkeypatch.undo()
    assert bench.run(bench.target(tokens=300)).outcome is Outcome.DONE


def test_memory_that_is_full_before_training_fails_the_attempt(bench, monkeypatch):
    full_memory(monkeypatch, trainers.training, "Learner")
    measurement = bench.run(bench.target())
    assert measurement.outcome is Outcome.FAILED
    assert "out of memory (2 GiB wanted)" in measurement.error


def test_an_evaluation_without_memory_goes_on_with_batches_of_half_the_size(judged, monkeypatch):
    bench, evaluation = judged
    shutil.rmtree(bench.folder / "cache" / "fits", ignore_errors=True)
    sizes = []

    def limited(*given, batch_tokens, **named):
        sizes.append(batch_tokens)
        if batch_tokens > 2_048:
            raise torch.OutOfMemoryError("2 GiB wanted")
        return evaluate(*given, batch_tokens=batch_tokens, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", limited)
    measurement = bench.run(replace(evaluation, max_examples=7))
    assert measurement.outcome is Outcome.DONE
    assert sizes == [4_096, 2_048, 2_048]
    assert measurement.facts["oom_splits"] == 1
    sizes.clear()
    again = bench.run(replace(evaluation, max_examples=6), worker=bench.new_worker())
    assert sizes == [2_048, 2_048]  # of another worker, which has read what was found
    assert "oom_splits" not in again.facts


def test_an_evaluation_without_memory_for_one_text_is_infeasible(judged, monkeypatch):
    bench, evaluation = judged
    full_memory(monkeypatch, trainers.evaluation, "evaluate")
    cache = bench.folder / "cache" / "fits"
    shutil.rmtree(cache, ignore_errors=True)
    measurement = bench.run(replace(evaluation, max_examples=8))
    assert measurement.outcome is Outcome.INFEASIBLE
    assert "while scoring xnli in sw, with batches of 512 tokens" in measurement.error
    assert measurement.bill.amounts[Purpose.EVALUATE]
    assert len(list(cache.iterdir())) == 1


# -- deadlines ---------------------------------------------------------------------------------------


def test_a_stage_past_its_deadline_begins_no_step_and_its_save_fits_its_hold(bench, monkeypatch):
    """A slow step of 5 s on a hand clock: the stage ends in the step that passes its deadline."""
    clock, began_s = TickingClock(), []
    loss = PairFamily.loss

    def slow(*given):
        began_s.append(clock.time_s)
        clock.time_s += 5.0
        return loss(*given)

    monkeypatch.setattr(PairFamily, "loss", slow)
    grace = DeviceTime(8_000)
    monkeypatch.setattr("worker_bench.GRACE", grace)
    limit = DeviceTime(30_000)
    stage = bench.target(tokens=10**6)
    measurement = bench.run(stage, limit, worker=bench.new_worker(clock))
    assert measurement.outcome is Outcome.TRUNCATED
    assert max(began_s) < limit.less(grace).ms / 1000
    assert measurement.bill.total.ms < limit.ms
    assert bench.store.has(f"{stage_name(stage)}.partial")


def slowed(monkeypatch, clock):
    """Let a step take one second of ``clock`` and a save twenty; the list of when steps began."""
    began_s, loss, saved = [], PairFamily.loss, Snapshot.save

    def slow_step(*given):
        began_s.append(clock.time_s)
        clock.time_s += 1.0
        return loss(*given)

    def slow_save(*given):
        clock.time_s += 20.0
        saved(*given)

    monkeypatch.setattr(PairFamily, "loss", slow_step)
    monkeypatch.setattr(Snapshot, "save", slow_save)
    return began_s


def test_a_save_that_is_slower_than_the_grace_is_begun_so_much_earlier(bench, monkeypatch):
    """A save of 20 s and a grace of 1 s: known from a periodic save, the last one still fits."""
    clock = TickingClock()
    began_s = slowed(monkeypatch, clock)
    limit = DeviceTime(200_000)
    measurement = bench.run(bench.target(tokens=10**6), limit, worker=bench.new_worker(clock))
    assert measurement.outcome is Outcome.TRUNCATED
    assert measurement.bill.total.ms < limit.ms
    assert max(began_s) < 200 - 2 * 20
    assert max(began_s) > 200 - 2 * 20 - 5


def test_a_slow_save_of_a_whole_encoder_does_not_keep_an_adapter_from_training(bench, monkeypatch):
    clock, saved = TickingClock(), Snapshot.save
    slowed(monkeypatch, clock)
    whole, worker = bench.target(tokens=10**6), bench.new_worker(clock)
    assert bench.run(whole, DeviceTime(100_000), worker).n_tokens > 0
    monkeypatch.setattr(Snapshot, "save", saved)
    adapted = replace(whole, model=replace(whole.model, tuning="lora"))
    assert bench.run(adapted, DeviceTime(30_000), worker).n_tokens > 0


def test_an_evaluation_that_was_stopped_scores_only_the_cells_that_are_missing(judged, monkeypatch):
    bench, evaluation = judged
    evaluation = replace(evaluation, languages=("sw", "ur"), max_examples=9)
    scored = []

    def noted(stage, *given, until, **named):
        scored.append(stage.languages)
        past = len(scored) == 2
        return evaluate(stage, *given, until=lambda: past, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", noted)
    first = bench.run(evaluation)
    assert (first.outcome, first.scores) == (Outcome.TRUNCATED, ())
    second = bench.run(evaluation, worker=bench.new_worker())
    assert second.outcome is Outcome.DONE
    assert scored == [("sw",), ("ur",), ("ur",)]
    assert not bench.store.has(f"{stage_name(evaluation)}.partial")

    monkeypatch.undo()
    other = Bench(bench.place, bench.folder / "other")
    target = bench.target(tokens=300)
    other.run(target)
    whole = other.run(evaluation)
    assert whole.scores == second.scores
    tables = [b.store.open(stage_name(evaluation)) / "records.parquet" for b in (bench, other)]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_an_evaluation_that_is_killed_goes_on_from_its_last_save(judged, monkeypatch):
    bench, evaluation = judged
    evaluation = replace(evaluation, max_examples=10)
    clock, scored = TickingClock(), []

    def killed(stage, *given, **named):
        scored.append(stage.languages)
        clock.time_s += 100.0
        if len(scored) == 2:
            raise KeyboardInterrupt
        return evaluate(stage, *given, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        bench.run(evaluation, worker=bench.new_worker(clock))
    assert bench.run(evaluation, worker=bench.new_worker()).outcome is Outcome.DONE
    assert scored == [("sw",), ("ur",), ("ur",)]


def test_a_stage_that_hangs_anywhere_is_ended_before_its_hold_is(place, tmp_path):
    """No driver here: in a save, in a step, while data is read and in evaluation, from outside."""
    limit_s = 2.0
    ran = in_a_process(["hanging_worker.py"], place, tmp_path, str(limit_s))
    assert len(ran) == 4
    for where, (code, took_s, there, outcome, error) in ran.items():
        assert code == -signal.SIGKILL, where
        assert 0.85 * limit_s < took_s < limit_s, where
        assert not there, where
        assert outcome == Outcome.DONE, error


# -- the store ---------------------------------------------------------------------------------------


def test_a_stage_whose_manifest_does_not_match_is_an_error_and_is_not_made_anew(bench):
    target = bench.target(tokens=300)
    bench.run(target)
    model = bench.store.open(stage_name(target)) / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-8])
    for stage in (target, bench.evaluation(target)):
        measurement = bench.run(stage, worker=bench.new_worker())
        assert measurement.outcome is Outcome.FAILED
        assert measurement.error.startswith(f"ManifestMismatchError: {model} has")
        assert measurement.n_tokens == 0
        assert Purpose.TRAIN not in measurement.bill.amounts


def test_a_partial_state_whose_manifest_does_not_match_is_an_error(bench):
    stage = bench.target(tokens=9_000)
    assert bench.run(stage, GRACE + DeviceTime(40)).outcome is Outcome.TRUNCATED
    progress = bench.store.open(f"{stage_name(stage)}.partial") / "progress.json"
    progress.write_text(progress.read_text().replace('"step": ', '"step": 1'))
    measurement = bench.run(stage, worker=bench.new_worker())
    assert measurement.outcome is Outcome.FAILED
    assert measurement.error.startswith(f"ManifestMismatchError: {progress} ")


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": 3}', "\x00"])
def test_a_manifest_that_is_no_record_is_an_error(bench, text):
    target = bench.target(tokens=300)
    bench.run(target)
    (bench.store.open(stage_name(target)) / "manifest.json").write_text(text)
    measurement = bench.run(target, worker=bench.new_worker())
    assert (measurement.outcome, measurement.error[:22]) == (Outcome.FAILED, "ManifestMismatchError:")


# -- a full disk -------------------------------------------------------------------------------------


FULL_DISK = """
import json, resource, sys
from pathlib import Path
from worker_bench import Bench
from trainers.stage import stage_name

bench = Bench(sys.argv[1], Path(sys.argv[2]))
bench.run(bench.target(tokens=400))  # tokenised data is cached
stage = bench.target(tokens=300)
found = []
for n_bytes in (60_000, 6_000, 100, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
    measurement = bench.run(stage)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    left = [p.name for p in (bench.folder / "runs" / "stages").glob(f"*{stage_name(stage)}*")]
    found.append([measurement.outcome, measurement.error, measurement.bill.total.ms, left])
print(json.dumps(found))
"""


def test_a_disk_that_is_full_at_any_file_fails_the_stage_with_its_bill_and_names_place_and_room(
    place, tmp_path
):
    """The largest file that a process may write stands for the room on its disk."""
    *full, free_again = in_a_process(["-c", FULL_DISK], place, tmp_path)
    for outcome, error, cost_ms, left in full:
        assert outcome == Outcome.FAILED
        assert error.startswith("StoreError: cannot write stage")
        assert str(tmp_path) in error
        assert "GB are free" in error
        assert cost_ms > 0
        assert left == []
    assert free_again[0] == Outcome.DONE


def test_a_full_disk_under_the_tokenised_data_fails_the_stage_with_its_bill(bench, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "cache/features.arrow")

    monkeypatch.setattr("trainers.shards.tokenised", full)
    measurement = bench.run(bench.target())
    assert measurement.outcome is Outcome.FAILED
    assert "the disk is full" in measurement.error
    assert "cache/features.arrow" in measurement.error
    assert "GB are free" in measurement.error
