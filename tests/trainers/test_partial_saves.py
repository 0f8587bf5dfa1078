"""Partial states that are written while training goes on: whole, one at a time, never another one."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from fakes import HandClock
from tiny_model import WIDTH, tiny_encoder

from budgets.bill import Purpose
from budgets.clock import MonotonicClock
from trainers.checkpoints import PARTIAL, StageStore
from trainers.errors import StoreError
from trainers.meter import Meter
from trainers.partial_saves import TRUNK, PartialSaves
from trainers.stage import ModelRef, Optimisation, TargetStage, stage_name
from trainers.state import Learner, Progress, Snapshot
from trainers.tasks.catalog import TASKS
from trainers.training import Lease

OPTIMISATION = Optimisation(learning_rate=1e-3, batch_tokens=256)
STAGE = TargetStage(ModelRef("tiny", "1"), None, "xnli", (), 1_000, OPTIMISATION, 1)


def learner():
    return Learner(tiny_encoder(), [TASKS.task("xnli")], width=WIDTH, optimisation=OPTIMISATION, seed=1)


class Saving:
    """Partial saves on a hand clock, whose writing waits until it may go on."""

    def __init__(self, folder, monkeypatch, *, limit_s=1_000.0):
        self.clock, self.may_write = HandClock(), threading.Event()
        self.store, self.meter = StageStore(str(folder)), Meter(self.clock)
        self.lease = Lease(self.meter, self.clock, limit_s, 1.0, lambda: False)
        self.saves = PartialSaves(STAGE, self.store, self.lease, beside=True)
        self.learner = learner()
        self.write = Snapshot.save

        def slow(snapshot, folder):
            if not self.may_write.wait(timeout=20):
                raise AssertionError("it was never let go on")
            self.write(snapshot, folder)

        monkeypatch.setattr(Snapshot, "save", slow)

    def at(self, step, value):
        """Bring the learner to a step at which every weight has one value."""
        with torch.no_grad():
            for _, weight in self.learner.named_parameters():
                weight.fill_(value)
        return self.learner, Progress(step=step)

    @property
    def saved(self):
        """Step and weights of the partial state that lies in the store."""
        state = Snapshot.load(self.store.open(stage_name(STAGE) + PARTIAL, thorough=True))
        return state.progress.step, {float(tensor.max()) for tensor in state.tensors.values()}


@pytest.fixture
def saving(tmp_path, monkeypatch):
    made = Saving(tmp_path, monkeypatch)
    yield made
    made.may_write.set()
    made.saves.wait()


def test_what_is_written_beside_training_is_the_state_at_its_beginning(saving):
    saving.saves.begin(*saving.at(3, 0.25), None)
    saving.at(4, 0.75)  # training goes on
    assert not saving.store.has(stage_name(STAGE) + PARTIAL)
    saving.may_write.set()
    saving.saves.wait()
    assert saving.saved == (3, {0.25})


def test_only_one_save_is_under_way(saving):
    saving.saves.begin(*saving.at(3, 0.25), None)
    saving.saves.begin(*saving.at(4, 0.5), None)
    saving.may_write.set()
    saving.saves.wait()
    assert saving.saved == (3, {0.25})
    saving.saves.begin(*saving.at(5, 0.5), None)
    saving.saves.wait()
    assert saving.saved == (5, {0.5})


def test_the_last_save_waits_for_the_one_under_way_and_replaces_it(saving):
    saving.saves.begin(*saving.at(3, 0.25), None)
    threading.Timer(0.1, saving.may_write.set).start()
    trunk = Snapshot.of(*saving.at(2, 0.125))
    saving.saves.save(*saving.at(4, 0.75), trunk)
    assert saving.saved == (4, {0.75})
    with saving.store.reading(stage_name(STAGE) + PARTIAL) as folder:
        assert Snapshot.load(folder / TRUNK).progress.step == 2


def test_the_copy_is_billed_and_what_is_written_beside_training_is_not(saving, monkeypatch):
    copied = Snapshot.of

    def slow_copy(*given):
        saving.clock.forward(2.0)
        return copied(*given)

    monkeypatch.setattr(Snapshot, "of", slow_copy)
    with saving.meter.on(Purpose.TRAIN):
        saving.saves.begin(*saving.at(3, 0.25), None)
        saving.clock.forward(30.0)
        saving.may_write.set()
        saving.saves.wait()
    assert {str(p): amount.ms for p, amount in saving.meter.bill().items()} == {
        "save": 2_000,
        "train": 30_000,
    }
    assert saving.lease.save_s == 32.0  # copied and written: so long before its end a lease must save


def test_a_save_that_would_not_be_over_in_time_is_not_begun(tmp_path, monkeypatch):
    saving = Saving(tmp_path, monkeypatch, limit_s=100.0)
    monkeypatch.setattr(Snapshot, "save", lambda *_: pytest.fail("it was begun"))
    saving.lease.save_s = 20.0  # and twice that is kept for the last one
    saving.clock.forward(41.0)
    saving.saves.begin(*saving.at(3, 0.25), None)
    saving.saves.wait()
    assert not saving.store.has(stage_name(STAGE) + PARTIAL)


def test_what_kept_a_save_from_being_written_is_raised_once_and_leaves_the_state_before(
    saving, monkeypatch
):
    saving.may_write.set()
    saving.saves.begin(*saving.at(3, 0.25), None)
    saving.saves.wait()

    def full(snapshot, folder):
        saving.write(snapshot, folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Snapshot, "save", full)
    saving.saves.begin(*saving.at(4, 0.5), None)
    assert saving.saves._written.exception() is not None
    with pytest.raises(StoreError, match="No space left on device"):
        saving.saves.check()
    saving.saves.check()
    assert saving.saved == (3, {0.25})


def test_on_a_cpu_training_waits_until_the_state_is_written(tmp_path):
    clock = HandClock()
    lease = Lease(Meter(clock), clock, 1_000.0, 1.0, lambda: False)
    store = StageStore(str(tmp_path))
    PartialSaves(STAGE, store, lease, beside=False).begin(learner(), Progress(step=3), None)
    assert Snapshot.load(store.open(stage_name(STAGE) + PARTIAL)).progress.step == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_beside_a_gpu_a_periodic_save_takes_training_less_than_half_its_time(tmp_path):
    """XLM-R base's shape: 3.3 GB are copied, written and hashed; the GPU waits for the copy alone."""
    from experiments.benchmarks.shapes import SHAPES, encoder_of

    encoder = encoder_of(SHAPES["base"], 0).cuda()
    width = encoder.config.hidden_size
    large = Learner(encoder, [TASKS.task("xnli")], width=width, optimisation=OPTIMISATION, seed=1)
    for parameter in encoder.parameters():
        parameter.grad = torch.zeros_like(parameter)
    large.optimiser.step()
    clock, store = MonotonicClock(), StageStore(str(tmp_path))
    lease = Lease(Meter(clock), clock, 10_000.0, 1.0, lambda: False)
    saves = PartialSaves(STAGE, store, lease, beside=True)
    saves.save(large, Progress(step=1), None)  # and the files' pages are there
    begun_s = time.perf_counter()
    saves.begin(large, Progress(step=2), None)
    copied_s = time.perf_counter() - begun_s
    saves.wait()
    assert copied_s < 0.5 * (time.perf_counter() - begun_s)
    partial = Snapshot.load(store.open(stage_name(STAGE) + PARTIAL, thorough=True))
    assert partial.progress.step == 2
