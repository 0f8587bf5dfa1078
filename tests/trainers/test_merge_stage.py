"""A worker scores a merged encoder as any other, and keeps nothing of it."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from tiny_model import tiny_encoder, tiny_tokenizer
from worker_bench import GRACE, OPTIMISATION, Bench, assert_same, tiny_mirror

import trainers.evaluation
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from trainers.encoder import load_encoder, save_encoder
from trainers.evaluate import evaluate
from trainers.order import Outcome
from trainers.stage import Half, IntermediateStage, MergePart, MergeStage, TaskShare, stage_name


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """A store with two single-task stages, the control's target stage, and one of a part."""
    bench = Bench(place, tmp_path_factory.mktemp("trained"))
    stages = {name: single(bench, name) for name in ("mnli", "qqp")}
    stages["control"] = bench.target(tokens=300)
    stages["after"] = bench.target(stages["mnli"], tokens=300)
    for stage in stages.values():
        measurement = bench.run(stage)
        assert measurement.outcome is Outcome.DONE, measurement.error
    return bench, stages


def single(bench, name, tokens=600):
    shares = (TaskShare(name, 1.0, bench.data(name)),)
    return IntermediateStage(bench.model, None, None, shares, 0, tokens, OPTIMISATION, 3)


def merge_of(bench, parts, target=None, *, scale=1.0, task="xnli", languages=("sw", "ur")):
    named = tuple(MergePart(stage_name(stage), weight) for stage, weight in parts)
    above = stage_name(target) if target else None
    return MergeStage(bench.model, None, named, scale, above, task, languages, Half.SEARCH, ())


def records(bench, stage):
    return pq.read_table(bench.store.open(stage_name(stage)) / "records.parquet")


def done(bench, stage, worker=None):
    measurement = bench.run(stage, worker=worker)
    assert measurement.outcome is Outcome.DONE, measurement.error
    return measurement


def test_one_part_of_weight_one_scores_as_the_part_itself_record_by_record(trained):
    bench, stages = trained
    merged = merge_of(bench, [(stages["mnli"], 1.0)], task="tatoeba", languages=("sw",))
    itself = bench.evaluation(stages["mnli"], "tatoeba", ("sw",))
    assert done(bench, merged).scores == done(bench, itself).scores
    assert records(bench, merged).equals(records(bench, itself))


def test_no_weight_at_all_scores_as_the_published_model(trained):
    bench, stages = trained
    merged = merge_of(bench, [(stages["mnli"], 0.0)], task="tatoeba", languages=("sw",))
    base = bench.evaluation(None, "tatoeba", ("sw",))
    assert done(bench, merged).scores == done(bench, base).scores
    assert records(bench, merged).equals(records(bench, base))


def test_a_target_alone_scores_with_its_encoder_and_its_head(trained):
    bench, stages = trained
    merged = merge_of(bench, [(stages["mnli"], 0.0)], stages["control"])
    itself = bench.evaluation(stages["control"])
    assert done(bench, merged).scores == done(bench, itself).scores
    assert records(bench, merged).equals(records(bench, itself))


def test_a_merge_in_a_worker_is_the_equation_over_the_encoders_in_the_store(trained, monkeypatch):
    bench, stages = trained
    seen = {}

    def watched(stage, task, encoder, head, **named):
        seen.update({name: weight.clone() for name, weight in encoder.state_dict().items()})
        return evaluate(stage, task, encoder, head, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", watched)
    parts = [(stages["mnli"], 0.3), (stages["qqp"], 0.7)]
    done(bench, merge_of(bench, parts, stages["control"], scale=1.5), bench.new_worker())
    base = bench.tensors(bench_still(bench))
    found = {name: bench.tensors(stage) for name, stage in stages.items()}
    for name, weight in base.items():
        mix = 0.3 * (found["mnli"][name] - weight) + 0.7 * (found["qqp"][name] - weight)
        expected = weight + 1.5 * mix + found["control"][name] - weight
        torch.testing.assert_close(seen[name], expected, atol=1e-6, rtol=1e-5)


def bench_still(bench):
    """A stage whose encoder is the published one: trained with a learning rate of zero."""
    stage = replace(single(bench, "mnli"), optimisation=replace(OPTIMISATION, learning_rate=0.0))
    done(bench, stage)
    return stage


def test_a_merge_leaves_scores_and_records_and_its_bill_covers_loading_and_scoring(trained):
    bench, stages = trained
    merged = merge_of(bench, [(stages["mnli"], 0.5), (stages["qqp"], 0.5)], stages["control"])
    measurement = done(bench, merged)
    assert [(cell.task, cell.language) for cell in measurement.scores] == [
        ("xnli", "sw"),
        ("xnli", "ur"),
    ]
    files = {file.name for file in bench.store.open(stage_name(merged)).iterdir()}
    assert files == {"manifest.json", "records.parquet", "facts.json"}
    bill = measurement.bill.amounts
    assert {Purpose.LOAD, Purpose.EVALUATE, Purpose.SAVE} <= set(bill)
    assert Purpose.TRAIN not in bill
    again = done(bench, merged, bench.new_worker())
    assert again.scores == measurement.scores
    assert Purpose.EVALUATE not in again.bill.amounts


def test_a_merge_cut_into_many_leases_scores_as_one_that_ran_through(trained):
    bench, stages = trained
    parts = [(stages["mnli"], 0.6), (stages["qqp"], 0.4)]
    whole = merge_of(bench, parts, stages["control"], scale=0.8)
    scores = done(bench, whole).scores
    kept = records(bench, whole)
    bench.store.drop(stage_name(whole))
    outcomes = []
    for limit_ms in range(3, 200, 3):  # a tick of the clock more or less per batch
        measurement = bench.run(whole, GRACE + DeviceTime(limit_ms), bench.new_worker())
        outcomes.append(measurement.outcome)
        if measurement.outcome is Outcome.DONE:
            break
    assert Outcome.TRUNCATED in outcomes
    assert measurement.scores == scores
    assert records(bench, whole).equals(kept)
    assert not bench.store.has(f"{stage_name(whole)}.partial")


@pytest.mark.parametrize("following", ["after", "evaluate part", "evaluate base", "new target"])
def test_the_stage_after_a_merge_is_what_it_is_on_a_cold_worker(trained, following):
    bench, stages = trained
    merged = merge_of(bench, [(stages["mnli"], 0.5), (stages["qqp"], 0.5)], stages["control"])
    stage = {
        "after": stages["after"],
        "evaluate part": bench.evaluation(stages["qqp"], "tatoeba", ("sw",)),
        "evaluate base": bench.evaluation(None, "tatoeba", ("sw",)),
        "new target": bench.target(stages["qqp"], tokens=300),
    }[following]
    bench.store.drop(stage_name(merged))
    bench.store.drop(stage_name(stage))
    cold = done(bench, stage, bench.new_worker())
    tensors = None if cold.scores else bench.tensors(stage)
    bench.store.drop(stage_name(stage))
    warm = bench.new_worker()
    bench.store.drop(stage_name(bench.evaluation(stages["mnli"], "tatoeba", ("sw",))))
    done(bench, bench.evaluation(stages["mnli"], "tatoeba", ("sw",)), warm)
    done(bench, merged, warm)
    assert done(bench, stage, warm).scores == cold.scores
    if tensors is not None:
        assert_same(bench.tensors(stage), tensors)


def test_parts_that_many_mixes_share_are_read_once(trained, monkeypatch):
    bench, stages = trained
    read = []

    def counted(entry, where):
        read.append(str(where))
        return load_encoder(entry, where)

    monkeypatch.setattr("trainers.warm.load_encoder", counted)
    worker = bench.new_worker()
    for weight in (0.2, 0.4, 0.6, 0.9):
        parts = [(stages["mnli"], weight), (stages["qqp"], 0.8 - weight / 2)]
        done(bench, merge_of(bench, parts, stages["control"]), worker)
    assert len(read) == len(set(read)) == 4  # the base, two parts and the control


def test_a_part_that_is_not_there_fails_the_merge_and_the_worker_goes_on(trained):
    bench, stages = trained
    missing = bench.run(merge_of(bench, [(single(bench, "mnli", tokens=999), 1.0)]))
    assert (missing.outcome, missing.error[:11]) == (Outcome.FAILED, "StoreError:")
    merged = merge_of(bench, [(stages["mnli"], 0.25)], task="tatoeba", languages=("sw",))
    done(bench, merged)


def test_a_part_of_another_vocabulary_fails_the_merge_with_stage_and_tensor(trained):
    bench, stages = trained
    other = single(bench, "qqp", tokens=777)
    with bench.store.write(stage_name(other), other) as folder:
        save_encoder(tiny_encoder(n_vocabulary=99), tiny_tokenizer(), folder)
    found = bench.run(merge_of(bench, [(stages["mnli"], 0.5), (other, 0.5)], stages["control"]))
    assert found.outcome is Outcome.FAILED
    assert f"ModelError: the encoder of stage {stage_name(other)} cannot be merged" in found.error
    assert "embeddings.word_embeddings.weight" in found.error


def test_a_merge_without_a_target_has_no_head_for_a_task_that_needs_one(trained):
    bench, stages = trained
    found = bench.run(merge_of(bench, [(stages["mnli"], 1.0)]))
    assert found.outcome is Outcome.FAILED
    assert "xnli needs a head that was trained" in found.error


@pytest.mark.mirror
def test_a_real_encoder_is_merged_with_real_tasks(mirror, tmp_path):
    bench = Bench(mirror, tmp_path)
    parts = [(single(bench, "ccg"), 0.5), (single(bench, "cosmosqa"), 0.5)]
    control = bench.target(tokens=300, name="panx")
    for stage in (*(part for part, _ in parts), control):
        done(bench, stage)
    pan = merge_of(bench, parts, control, task="panx", languages=("yo",))
    assert done(bench, pan).scores[0].metric == "span_f1"
    found = {}
    for scale in (0.0, 1.0):
        merged = merge_of(bench, parts, task="tatoeba", languages=("sw",), scale=scale)
        found[scale] = done(bench, merged).scores[0].value
    base = done(bench, bench.evaluation(None, "tatoeba", ("sw",)))
    assert found[0.0] == base.scores[0].value
    assert found[1.0] > 2  # a random encoder finds none
