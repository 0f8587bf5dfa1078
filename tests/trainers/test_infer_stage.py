"""An inference stage through a worker: asked plainly and by MLPerf's LoadGen, within its lease."""

import json
import threading
from dataclasses import replace

import mlperf_loadgen
import pyarrow.parquet as pq
import pytest
from worker_bench import GRACE, Bench, tiny_mirror

import trainers.inference.loadgen
import trainers.inference.measuring
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.clock import MonotonicClock
from budgets.codec import FactCodec
from scheduler.facts import StageEnded
from trainers.inference.answering import Predictor
from trainers.inference.load import Harness, Load, Scenario
from trainers.inference.loadgen import Hints, needed_ms
from trainers.order import Order, Outcome
from trainers.stage import InferStage, stage_name

LOAD = Load(
    harness=Harness.LOADGEN,
    scenarios=tuple(Scenario),
    min_duration_ms=150,
    max_duration_ms=1_000,
    min_queries=10,
    streams=4,
    server_latency_ms=200,
    server_queries_per_s=None,
    seed=3,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A bench with a finished target stage."""
    place = tiny_mirror(tmp_path_factory.mktemp("mirror"))
    bench = Bench(place, tmp_path_factory.mktemp("runs"))
    assert bench.run(bench.target()).outcome is Outcome.DONE
    return bench


def infer(bench, name="xnli", languages=("sw", "ur"), **changes):
    parent = stage_name(bench.target()) if name == "xnli" else None
    load = replace(LOAD, **changes)
    return InferStage(bench.model, parent, name, languages, (), load, max_examples=12)


def run(bench, stage, limit_s=60.0, hurried=lambda: False):
    worker = bench.new_worker(MonotonicClock())
    return worker.run(Order("hold", stage, 1, DeviceTime(round(limit_s * 1000)), GRACE), hurried)


@pytest.fixture(scope="module")
def measured(bench):
    return run(bench, infer(bench))


def test_every_scenario_is_measured_billed_and_explained(bench, measured):
    assert measured.outcome is Outcome.DONE, measured.error
    assert not measured.scores  # what the objective is made of stays with evaluations
    for word in ("single_stream", "multi_stream", "server", "offline"):
        assert measured.facts[f"{word}_valid"] in {0.0, 1.0}
        assert "MLPerf Results Summary" in measured.texts[word.replace("_", "-")]
    assert measured.facts["latency_ms"] == measured.facts["single_stream_p90_ms"] > 0
    assert measured.facts["offline_samples_per_s"] > 0
    assert measured.facts["memory_bytes"] > measured.facts["model_bytes"] > 0
    assert measured.facts["n_samples"] == 24
    folder = bench.store.open(stage_name(infer(bench))) / "loadgen"
    for test in (*Scenario, "accuracy"):
        assert (folder / test / "mlperf_log_detail.txt").read_text().startswith(":::MLLOG")
    # Four scenarios and the throughput, none shorter than asked.
    assert measured.bill.amounts[Purpose.EVALUATE].ms > 4 * LOAD.min_duration_ms


def test_the_lengths_of_each_language_are_reported(bench, measured):
    table = pq.read_table(bench.store.open(stage_name(infer(bench))) / "latencies.parquet").to_pylist()
    assert len(table) == 24
    for language in ("sw", "ur"):
        lengths = [row["n_tokens"] for row in table if row["language"] == language]
        assert measured.facts[f"tokens_per_sample/{language}"] == pytest.approx(sum(lengths) / 12)
        assert measured.facts[f"plain_p50_ms/{language}"] > 0


def test_accuracy_mode_gives_the_points_of_an_evaluation_of_the_same_examples(bench, measured):
    evaluation = replace(bench.evaluation(bench.target()), max_examples=12)
    scores = {cell.language: cell.value for cell in bench.run(evaluation).scores}
    assert set(scores) == {"sw", "ur"}
    for language, points in scores.items():
        assert measured.facts[f"accuracy_points/{language}"] == pytest.approx(points)
        assert measured.facts[f"plain_points/{language}"] == pytest.approx(points)


def test_retrieval_answers_with_vectors_that_score_as_an_evaluation_does(bench):
    stage = infer(bench, "tatoeba", ("sw",), scenarios=(Scenario.SINGLE_STREAM,))
    measured = run(bench, stage)
    assert measured.outcome is Outcome.DONE, measured.error
    assert measured.facts["n_samples"] == 12  # the queries; documents are indexed beforehand
    evaluation = replace(bench.evaluation(None, "tatoeba", ("sw",)), max_examples=12)
    (cell,) = bench.run(evaluation).scores
    assert cell.value > 0
    assert measured.facts["accuracy_points"] == pytest.approx(cell.value)


def test_the_plain_harness_needs_no_load_generator(bench, monkeypatch):
    monkeypatch.setattr(trainers.inference.loadgen, "loadgen_installed", lambda: False)
    measured = run(bench, infer(bench, harness=Harness.PLAIN))
    assert measured.outcome is Outcome.DONE, measured.error
    assert measured.facts["latency_ms"] == measured.facts["plain_p90_ms"]
    assert not measured.texts


def test_a_worker_without_loadgen_says_what_to_install_and_what_works_without_it(bench, monkeypatch):
    monkeypatch.setattr(trainers.inference.loadgen, "loadgen_installed", lambda: False)
    measured = run(bench, infer(bench, seed=99))
    assert measured.outcome is Outcome.FAILED
    assert "interlude-scheduler[inference]" in measured.error
    assert "inference.harness: plain" in measured.error


def test_a_lease_too_short_for_a_test_keeps_the_parts_it_had_time_for(bench, monkeypatch):
    stage = infer(bench, seed=5, scenarios=(Scenario.SINGLE_STREAM,))
    name, real = stage_name(stage), trainers.inference.measuring.needed_ms
    with monkeypatch.context() as patched:
        patched.setattr(
            trainers.inference.measuring,
            "needed_ms",
            lambda load, scenario, *rest: 10**9 if scenario else real(load, scenario, *rest),
        )
        short = run(bench, stage)
    assert short.outcome is Outcome.TRUNCATED
    kept = json.loads((bench.store.open(f"{name}.partial") / "facts.json").read_text())
    assert kept["done"] == ["plain", "points"]
    done = run(bench, stage)
    assert done.outcome is Outcome.DONE
    assert done.facts["plain_p90_ms"] == kept["facts"]["plain_p90_ms"]  # not measured anew
    assert not bench.store.has(f"{name}.partial")


def test_no_test_lasts_longer_than_what_is_left_of_its_lease(bench):
    load = replace(LOAD, min_duration_ms=60_000, max_duration_ms=90_000)
    settings = trainers.inference.loadgen._settings(
        mlperf_loadgen, load, Scenario.SINGLE_STREAM, Hints(1.0, 100.0), 1_234
    )
    assert settings.max_duration_ms == 1_234
    assert needed_ms(load, Scenario.SINGLE_STREAM, Hints(1.0, 100.0), 10) > 60_000


def test_a_stop_in_the_middle_of_a_test_discards_it_and_the_next_test_is_sound(bench, monkeypatch):
    stage = infer(bench, seed=6, scenarios=(Scenario.SINGLE_STREAM,))
    begun, real = [], trainers.inference.measuring.run_loadgen

    def noted(model, load, scenario, **more):
        begun.extend([scenario] if scenario else [])
        return real(model, load, scenario, **more)

    with monkeypatch.context() as patched:
        patched.setattr(trainers.inference.measuring, "run_loadgen", noted)
        stopped = run(bench, stage, hurried=lambda: begun.count(Scenario.SINGLE_STREAM) > 0)
    assert begun == [Scenario.SINGLE_STREAM]
    assert stopped.outcome is Outcome.STOPPED
    assert not stopped.texts
    assert run(bench, stage).outcome is Outcome.DONE


def test_an_error_of_the_model_inside_loadgen_is_raised_outside_of_it(bench, monkeypatch):
    stage = infer(bench, seed=7, scenarios=(Scenario.SERVER,))
    real, calls = Predictor.answers, []

    def breaks(self, numbers):
        calls.append(numbers)
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError("in the server's thread")
        return real(self, numbers)

    monkeypatch.setattr(Predictor, "answers", breaks)
    with pytest.raises(ZeroDivisionError, match="server's thread"):
        run(bench, stage)
    assert calls
    monkeypatch.undo()
    assert run(bench, stage).outcome is Outcome.DONE


def test_a_stage_found_done_gives_the_same_figures_and_summaries(bench, measured):
    again = run(bench, infer(bench))
    assert again.texts == measured.texts
    assert again.facts["latency_ms"] == measured.facts["latency_ms"]


def test_a_measurement_with_summaries_comes_back_from_the_journal(measured):
    facts = FactCodec((StageEnded,))
    ended = StageEnded("t0000", measured)
    assert facts.read(*facts.write(ended)) == ended


def test_a_measurement_of_before_has_no_summaries(measured):
    facts = FactCodec((StageEnded,))
    kind, payload = facts.write(StageEnded("t0000", measured))
    older = json.loads(payload)
    del older["measurement"]["texts"]
    assert facts.read(kind, json.dumps(older)).measurement.texts == {}


def test_a_folded_adapter_answers_alike_with_fewer_bytes(bench):
    model = replace(bench.model, tuning="lora")
    target = replace(bench.target(), model=model)
    assert bench.run(target).outcome is Outcome.DONE
    beside = replace(infer(bench, harness=Harness.PLAIN), model=model, parent=stage_name(target))
    folded = replace(beside, folded=True)
    found = {stage.folded: run(bench, stage).facts for stage in (beside, folded)}
    assert found[True]["plain_points"] == pytest.approx(found[False]["plain_points"])
    assert found[True]["model_bytes"] < found[False]["model_bytes"]
    assert found[True]["memory_bytes"] < found[False]["memory_bytes"]
    in_full = run(bench, infer(bench, harness=Harness.PLAIN)).facts
    assert found[True]["model_bytes"] == in_full["model_bytes"]
