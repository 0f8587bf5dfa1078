"""A target task that another is trained before: its encoder and its head go on from there."""

from dataclasses import replace

import pytest
import torch
from worker_bench import GRACE, OPTIMISATION, Bench, TickingClock, assert_same, tiny_mirror

from budgets.amount import DeviceTime
from trainers.order import Outcome
from trainers.stage import EvaluateStage, Half, TargetStage, stage_name
from trainers.tasks.catalog import TASKS
from trainers.worker import Worker, WorkerSettings

LATER = replace(TASKS["xnli"], name="later", after="mnli")
OTHER_SHAPE = replace(TASKS["xnli"], name="other", after="qqp")
STILL = replace(OPTIMISATION, learning_rate=1e-12)


class ChainBench(Bench):
    """Workers that have the two chained tasks beside those of the catalogue."""

    def new_worker(self, clock=None):
        cache = str(self.folder / "cache")
        settings = WorkerSettings(
            self.url, self.kind, self.place, "cpu", 1, cache, tasks=(LATER, OTHER_SHAPE)
        )
        return Worker(settings, clock or TickingClock())

    def later(self, before, *, head_of, name="later", optimisation=OPTIMISATION, tokens=1_500):
        data = self.data("xnli")
        above = stage_name(before)
        return TargetStage(
            self.model, above, name, data, tokens, optimisation, 3, LATER.definition, head_of
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def bench(place, tmp_path):
    return ChainBench(place, tmp_path)


def head(bench, stage, task):
    tensors = bench.tensors(stage, "heads.safetensors")
    return {key.removeprefix(f"{task}."): weight for key, weight in tensors.items()}


def is_close(left, right):
    return left.keys() == right.keys() and all(
        torch.allclose(left[key], right[key], atol=1e-6) for key in left
    )


@pytest.mark.parametrize("fresh_process", [False, True])
def test_a_later_task_s_head_begins_as_the_earlier_one_s_ended(bench, fresh_process):
    before = bench.target(name="mnli")
    goes_on = bench.later(before, head_of="mnli", optimisation=STILL)
    anew = bench.later(before, head_of="", optimisation=STILL)
    for stage in (before, goes_on, anew):
        worker = bench.new_worker() if fresh_process else None
        assert bench.run(stage, worker=worker).outcome is Outcome.DONE
    ended = head(bench, before, "mnli")
    assert is_close(head(bench, goes_on, "later"), ended)
    assert not is_close(head(bench, anew, "later"), ended)
    assert is_close(bench.tensors(goes_on), bench.tensors(before))


def test_a_head_of_another_shape_is_a_new_one(bench):
    before = bench.target(name="qqp")
    later = bench.later(before, head_of="qqp", name="other")
    for stage in (before, later):
        measurement = bench.run(stage)
        assert measurement.outcome is Outcome.DONE, measurement.error
    n_labels = [
        min(weight.shape[0] for weight in head(bench, stage, name).values())
        for stage, name in ((before, "qqp"), (later, "other"))
    ]
    assert n_labels == [len(TASKS["qqp"].labels), len(OTHER_SHAPE.labels)] == [2, 3]


def test_a_chain_cut_into_many_leases_equals_one_that_ran_through(bench, place, tmp_path):
    before = bench.target(name="mnli")
    later = bench.later(before, head_of="mnli", tokens=3_000)
    for stage in (before, later):
        bench.run(stage)
    other = ChainBench(place, tmp_path / "other")
    other.run(before)
    outcomes = []
    while Outcome.DONE not in outcomes:
        assert len(outcomes) < 200
        lease = GRACE + DeviceTime(12)  # a step or two of the ticking clock
        outcomes.append(other.run(later, lease, worker=other.new_worker()).outcome)
    assert outcomes.count(Outcome.TRUNCATED) == len(outcomes) - 1 > 1
    for file in ("model.safetensors", "heads.safetensors"):
        assert_same(other.tensors(later, file), bench.tensors(later, file))


def test_the_later_task_is_scored_with_its_own_head(bench):
    before = bench.target(name="mnli")
    later = bench.later(before, head_of="mnli")
    evaluation = EvaluateStage(
        bench.model, stage_name(later), "later", ("sw",), Half.SEARCH, (), None, LATER.definition
    )
    for stage in (before, later, evaluation):
        measurement = bench.run(stage)
        assert measurement.outcome is Outcome.DONE, measurement.error
    assert [(cell.task, cell.language) for cell in measurement.scores] == [("later", "sw")]
