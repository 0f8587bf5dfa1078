"""A worker carries out every kind of stage, within its lease, and bills all of it."""

import gc
import subprocess
import sys
import weakref
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch
from worker_bench import GRACE, OPTIMISATION, Bench, TickingClock, assert_same, tiny_mirror

import trainers.loop
import trainers.training
from budgets.amount import DeviceTime
from budgets.bill import Purpose
from trainers.checkpoints import StageStore
from trainers.legs import leg_of
from trainers.order import Order, Outcome
from trainers.partial_saves import PartialSaves
from trainers.stage import IntermediateStage, PretrainStage, TaskShare, stage_name
from trainers.state import Snapshot


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def bench(place, tmp_path):
    return Bench(place, tmp_path)


def test_a_chain_of_stages_ends_in_scores_and_every_bill_covers_its_lease(bench):
    clock = TickingClock()
    worker = bench.new_worker(clock)
    intermediate = bench.intermediate(2_000)
    target = bench.target(intermediate)
    evaluation = bench.evaluation(target)
    for stage in (intermediate, target, evaluation):
        started_s = clock.time_s
        measurement = bench.run(stage, worker=worker)
        assert measurement.outcome is Outcome.DONE, measurement.error
        assert measurement.stage == stage_name(stage)
        lease_ms = (clock.time_s - started_s) * 1000
        assert lease_ms - 2 <= measurement.bill.total.ms <= lease_ms
        assert bench.store.has(stage_name(stage))
    assert [(cell.task, cell.language, cell.metric) for cell in measurement.scores] == [
        ("xnli", "sw", "accuracy"),
        ("xnli", "ur", "accuracy"),
    ]
    assert all(0 <= cell.value <= 100 and cell.n_examples > 5 for cell in measurement.scores)
    records = pq.read_table(bench.store.open(stage_name(evaluation)) / "records.parquet")
    assert records.num_rows == sum(cell.n_examples for cell in measurement.scores)


def test_a_training_stage_says_how_it_went(bench):
    measurement = bench.run(bench.intermediate(2_000))
    # 2 000 tokens of trunk and 200 of branch, each ended by the step that reached it.
    assert 2_200 <= measurement.n_tokens < 2_200 + 2 * OPTIMISATION.batch_tokens
    assert set(measurement.facts) == {
        "final_loss",
        "padding_share",
        "tokens_per_s",
        "peak_rss_bytes",
    }
    assert 0 < measurement.facts["padding_share"] < 0.5
    assert measurement.facts["peak_rss_bytes"] > 1e7
    assert sum(measurement.rates.values()) == pytest.approx(1.0)
    assert set(measurement.rates) == {"mnli", "qqp"}
    assert {Purpose.LOAD, Purpose.TRAIN, Purpose.SAVE} <= set(measurement.bill.amounts)


def test_a_trunk_that_is_continued_equals_one_long_run(bench):
    short = bench.intermediate(1_500)
    longer = bench.intermediate(3_000, continues=short, before=1_500)
    # Warm-up happens once per chain, over a share of its first stage: the same number of tokens.
    half = replace(OPTIMISATION, warmup_share=OPTIMISATION.warmup_share / 2)
    at_once = bench.intermediate(3_000, optimisation=half)
    for stage in (short, longer, at_once):
        assert bench.run(stage, worker=bench.new_worker()).outcome is Outcome.DONE
    for file in ("trunk/state.safetensors", "model.safetensors", "heads.safetensors"):
        assert_same(bench.tensors(longer, file), bench.tensors(at_once, file))
    progress = [
        (bench.store.open(stage_name(stage)) / "trunk" / "progress.json").read_text()
        for stage in (longer, at_once)
    ]
    assert progress[0] == progress[1]


def test_the_model_of_an_intermediate_stage_is_the_end_of_its_branch_not_its_trunk(bench):
    stage = bench.intermediate(1_500)
    bench.run(stage)
    trunk = bench.tensors(stage, "trunk/state.safetensors")
    model = bench.tensors(stage)
    assert any(not torch.equal(trunk[f"weight/encoder.{name}"], model[name]) for name in model)


def leases_until_done(bench, stage, limit):
    """Measurements of one lease after another, each on a new process' worker."""
    measurements = []
    while len(measurements) < 200:
        measurements.append(bench.run(stage, limit, worker=bench.new_worker()))
        assert measurements[-1].outcome in {Outcome.DONE, Outcome.TRUNCATED}, measurements[-1].error
        if measurements[-1].outcome is Outcome.DONE:
            return measurements
    raise AssertionError("it never ends")


@pytest.mark.parametrize("kind", ["intermediate", "target"])
def test_a_stage_cut_into_many_leases_equals_one_that_ran_through(bench, place, tmp_path, kind):
    stage = getattr(bench, kind)(tokens=3_000)
    whole = bench.run(stage)
    other = Bench(place, tmp_path / "other")
    # The clock ticks a few times per step, so 12 ms before the grace is a step or two.
    measurements = leases_until_done(other, stage, GRACE + DeviceTime(12))
    assert len(measurements) > 2
    assert sum(measurement.n_tokens for measurement in measurements) == whole.n_tokens
    assert measurements[-1].rates == whole.rates
    assert not other.store.has(f"{stage_name(stage)}.partial")
    for file in ("model.safetensors", "heads.safetensors"):
        assert_same(other.tensors(stage, file), bench.tensors(stage, file))
    if kind == "intermediate":
        assert_same(
            other.tensors(stage, "trunk/state.safetensors"),
            bench.tensors(stage, "trunk/state.safetensors"),
        )


def test_a_stage_that_the_user_stops_saves_its_work_and_goes_on_to_the_same_weights(
    bench, place, tmp_path
):
    stage = bench.target(tokens=3_000)
    bench.run(stage)
    other = Bench(place, tmp_path / "other")
    asked = iter([False] * 6)
    order = Order("hold", stage, 1, DeviceTime(10**9), GRACE)
    stopped = other.worker.run(order, lambda: next(asked, True))
    assert stopped.outcome is Outcome.STOPPED
    assert stopped.n_tokens > 0
    rest = other.run(stage, worker=other.new_worker())
    assert rest.outcome is Outcome.DONE
    assert_same(other.tensors(stage, "model.safetensors"), bench.tensors(stage, "model.safetensors"))


def test_an_order_without_time_left_is_given_back_untouched(bench):
    order = Order("hold", bench.target(tokens=300), 1, GRACE, GRACE)
    measurement = bench.worker.run(order)
    assert (measurement.outcome, measurement.n_tokens) == (Outcome.TRUNCATED, 0)


def test_a_stopped_stage_leaves_its_worker_clean_for_the_next(bench):
    stopped = bench.run(bench.target(tokens=9_000), GRACE + DeviceTime(40))
    assert stopped.outcome is Outcome.TRUNCATED
    assert stopped.n_tokens > 0
    after = bench.target(tokens=300)
    bench.run(after)
    cold = Bench(bench.place, bench.folder / "cold")
    cold.run(after)
    assert_same(bench.tensors(after), cold.tensors(after))


def test_warm_up_happens_once_per_chain_however_long_the_next_stage_is(bench):
    first = bench.intermediate(1_000)
    much_longer = bench.intermediate(100_000, continues=first, before=1_000)
    assert leg_of(first, 0, 0).schedule(30) == 0.5
    assert leg_of(much_longer, 0, 0).schedule(1_000) == 1.0


class _KilledError(BaseException):
    pass


def saves_are_written(monkeypatch, *, beside):
    monkeypatch.setattr(
        "trainers.training.PartialSaves", lambda *given, **_: PartialSaves(*given, beside=beside)
    )


@pytest.mark.parametrize(("beside", "share"), [(False, 0.5), (True, 1.0)])
def test_a_killed_stage_goes_on_from_its_last_periodic_save(
    bench, place, tmp_path, monkeypatch, beside, share
):
    stage = replace(bench.target(tokens=10_000), optimisation=replace(OPTIMISATION, warmup_share=0.5))
    bench.run(stage)
    other = Bench(place, tmp_path / "other")
    clock = TickingClock()
    seeded = trainers.loop.seed_everything

    def killing(seed, *labels):
        clock.time_s += 5.0  # a slow step: a save is due every twelve
        if labels == ("step", 40):
            raise _KilledError
        seeded(seed, *labels)

    monkeypatch.setattr("trainers.loop.seed_everything", killing)
    saves_are_written(monkeypatch, beside=beside)
    with pytest.raises(_KilledError):
        other.run(stage, worker=other.new_worker(clock))
    monkeypatch.undo()
    assert other.store.has(f"{stage_name(stage)}.partial")
    rest = other.run(stage, worker=other.new_worker())
    assert rest.outcome is Outcome.DONE
    assert 0 < rest.n_tokens < share * 10_000
    assert_same(other.tensors(stage), bench.tensors(stage))


def test_a_disk_that_is_full_when_a_save_is_written_beside_training_fails_the_stage(bench, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    clock, seeded = TickingClock(), trainers.loop.seed_everything

    def slow(*given):
        clock.time_s += 5.0
        seeded(*given)

    monkeypatch.setattr("trainers.loop.seed_everything", slow)
    monkeypatch.setattr(Snapshot, "save", full)
    saves_are_written(monkeypatch, beside=True)
    stage, limit = bench.target(tokens=10**7), DeviceTime.from_hours(1_000)
    measurement = bench.run(stage, limit, worker=bench.new_worker(clock))
    assert measurement.outcome is Outcome.FAILED
    assert "No space left on device" in measurement.error


def test_only_the_encoder_crosses_to_a_target_and_in_float32(bench):
    intermediate = bench.intermediate(1_500)
    bench.run(intermediate)
    parents = bench.tensors(intermediate)
    assert {tensor.dtype for tensor in parents.values()} == {torch.float32}
    target = bench.target(intermediate, tokens=300)
    still = replace(target, optimisation=replace(OPTIMISATION, learning_rate=0.0))
    bench.run(still, worker=bench.new_worker())
    assert_same(bench.tensors(still), parents)
    assert {key.partition(".")[0] for key in bench.tensors(still, "heads.safetensors")} == {"xnli"}


def test_an_evaluation_right_after_its_target_reads_nothing_and_scores_as_a_cold_one(bench, monkeypatch):
    target = bench.target()
    bench.run(target)
    cold = bench.run(replace(bench.evaluation(target), max_examples=30), worker=bench.new_worker())

    def read(*_, **__):
        raise AssertionError("weights were read again")

    monkeypatch.setattr("trainers.warm.load_encoder", read)
    monkeypatch.setattr("trainers.kept_heads.load_file", read)
    warm = bench.run(bench.evaluation(target))
    assert warm.outcome is Outcome.DONE
    assert warm.scores == cold.scores


def test_going_back_to_the_published_model_gives_its_weights_again(bench):
    first, second = bench.target(tokens=300), replace(bench.target(tokens=300), seed=4)
    warm = bench.new_worker()
    for stage in (first, second):
        bench.run(stage, worker=warm)
    cold = Bench(bench.place, bench.folder / "cold")
    cold.run(second)
    assert_same(bench.tensors(second), cold.tensors(second))


def test_retrieval_is_scored_on_a_published_model_and_on_an_intermediate_one(bench):
    intermediate = bench.intermediate(1_500)
    bench.run(intermediate)
    for parent in (None, intermediate):
        measurement = bench.run(bench.evaluation(parent, "tatoeba", ("sw",)))
        assert measurement.outcome is Outcome.DONE, measurement.error
        assert measurement.scores[0].metric == "accuracy_at_1"


def test_a_stage_that_is_already_there_costs_no_training(bench):
    target = bench.target()
    bench.run(target)
    evaluation = bench.evaluation(target)
    first = bench.run(evaluation)
    again = bench.run(evaluation, worker=bench.new_worker())
    assert again.outcome is Outcome.DONE
    assert again.scores == first.scores
    assert Purpose.EVALUATE not in again.bill.amounts
    assert bench.run(target, worker=bench.new_worker()).n_tokens == 0


def test_an_evaluation_past_its_deadline_is_truncated_and_leaves_nothing(bench):
    target = bench.target(tokens=300)
    bench.run(target)
    evaluation = bench.evaluation(target)
    measurement = bench.run(evaluation, limit=GRACE)
    assert measurement.outcome is Outcome.TRUNCATED
    assert not bench.store.has(stage_name(evaluation))


def test_data_that_changed_since_the_plan_fails_the_stage_and_is_billed(bench):
    target = bench.target()
    stale = replace(target, data=tuple(replace(data, revision="other") for data in target.data))
    measurement = bench.run(stale)
    assert measurement.outcome is Outcome.FAILED
    assert measurement.error.startswith("MalformedDataError: the stage was planned with")
    assert "\n" not in measurement.error
    assert measurement.bill.total
    assert not bench.store.has(stage_name(stale))


def test_a_missing_parent_and_a_missing_head_fail_the_stage(bench):
    missing = bench.run(replace(bench.target(), parent="0" * 16))
    assert (missing.outcome, missing.error[:11]) == (Outcome.FAILED, "StoreError:")
    headless = bench.run(bench.evaluation(None))
    assert (headless.outcome, headless.error[:11]) == (Outcome.FAILED, "ModelError:")


def test_a_worker_goes_on_after_a_failure(bench):
    bench.run(replace(bench.target(), parent="0" * 16))
    assert bench.run(bench.target(tokens=300)).outcome is Outcome.DONE


def test_a_diverging_stage_is_infeasible_billed_and_leaves_nothing(bench):
    wild = replace(bench.target(), optimisation=replace(OPTIMISATION, learning_rate=1e38))
    measurement = bench.run(wild)
    assert measurement.outcome is Outcome.INFEASIBLE
    assert "on task xnli had a loss of" in measurement.error
    assert measurement.bill.amounts[Purpose.TRAIN]
    assert not bench.store.has(stage_name(wild))
    assert not bench.store.has(f"{stage_name(wild)}.partial")


def test_a_device_out_of_memory_fails_the_stage_and_a_bug_is_raised(bench, monkeypatch):
    def raising(error):
        def train(*_):
            raise error

        return train

    monkeypatch.setattr("trainers.training.train", raising(torch.OutOfMemoryError("2 GiB wanted")))
    measurement = bench.run(bench.target())
    assert measurement.outcome is Outcome.FAILED
    assert "out of memory (2 GiB wanted)" in measurement.error
    monkeypatch.setattr("trainers.training.train", raising(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes"):
        bench.run(bench.target())


def test_the_toy_encoder_is_pretrained_from_nothing_and_fine_tuned(tmp_path):
    bench = Bench(None, tmp_path, "toy", "toy-tiny")
    text = TaskShare("toy_text", 1.0, bench.data("toy_text")[:1])
    pretrain = PretrainStage(bench.model, (text,), 3_000, OPTIMISATION, 1)
    measurement = bench.run(pretrain)
    assert measurement.outcome is Outcome.DONE, measurement.error
    target = replace(bench.target(name="toy_xnli", tokens=600), parent=stage_name(pretrain))
    assert bench.run(target).outcome is Outcome.DONE
    orphan = bench.run(bench.target(name="toy_xnli"))
    assert (orphan.outcome, orphan.error[:11]) == (Outcome.FAILED, "ModelError:")


def test_stages_in_a_remote_store_are_read_back_by_another_worker(bench):
    bench.url = f"memory://{bench.folder.name}/runs"
    target = bench.target(tokens=300)
    first = bench.run(target, worker=bench.new_worker())
    assert first.outcome is Outcome.DONE, first.error
    scored = bench.run(bench.evaluation(target), worker=bench.new_worker())
    assert scored.outcome is Outcome.DONE, scored.error
    assert StageStore(bench.url).has(stage_name(target))


def test_a_worker_that_has_not_begun_has_not_loaded_torch():
    code = (
        "import sys; from budgets.clock import MonotonicClock; from trainers.worker import *; "
        "Worker(WorkerSettings('runs', 'toy', None, 'cpu', 1, 'cache'), MonotonicClock()); "
        "sys.exit(bool({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.mirror
def test_real_data_and_a_real_encoder_go_through_all_stages(mirror, tmp_path):
    bench = Bench(mirror, tmp_path)
    shares = (TaskShare("anli", 1.0, bench.data("anli")),)
    intermediate = IntermediateStage(bench.model, None, None, shares, 0, 600, OPTIMISATION, 1)
    target = bench.target(intermediate, tokens=600, name="panx")
    evaluation = replace(bench.evaluation(target, "panx", ("yo", "ta")), max_examples=20)
    retrieval = replace(bench.evaluation(None, "tatoeba", ("sw",)), max_examples=50)
    for stage in (intermediate, target, evaluation, retrieval):
        measurement = bench.run(stage)
        assert measurement.outcome is Outcome.DONE, measurement.error
    # A random encoder finds 2 % of 50 sentences; this one was really loaded.
    assert measurement.scores[0].value > 8


def test_a_finished_stage_leaves_no_optimiser_behind(bench, monkeypatch):
    learners = []

    class Remembered(trainers.training.Learner):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            learners.append(weakref.ref(self))

    monkeypatch.setattr("trainers.training.Learner", Remembered)
    gc.disable()
    try:
        assert bench.run(bench.target(tokens=300)).outcome is Outcome.DONE
        assert [learner() for learner in learners] == [None]
    finally:
        gc.enable()
