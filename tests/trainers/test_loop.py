"""The loop trains the same weights whether or not it is stopped on the way.

The golden loss curve is rewritten on purpose only: REWRITE_GOLDEN=1 pytest tests/trainers/test_loop.py
"""

import json
import os
import time
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from small_loop import (
    MASKED,
    OPTIMISATION,
    PAIR,
    TRUNK,
    HandClock,
    assert_equal,
    learner,
    stop_after,
    training,
    weights,
)
from tiny_model import PAD_ID

from trainers.batches import TaskBatches
from trainers.courses import Course
from trainers.errors import InfeasibleError, StoreError
from trainers.families import family
from trainers.loop import Leg, Losses, SaveRhythm, Training, train
from trainers.order import Outcome
from trainers.schedule import branch, trunk
from trainers.stage import Optimisation
from trainers.state import Progress, Snapshot

GOLDEN = Path(__file__).parents[1] / "golden" / "loss_curve.json"


def test_the_loss_curve_of_fifty_steps_is_the_golden_one():
    losses, progress = Losses(), Progress()
    outcome = train(
        learner(), Leg(10**9, trunk(warmup_tokens=500)), training(until=stop_after(50)), progress, losses
    )
    assert outcome is Outcome.TRUNCATED
    assert progress.step == len(losses.by_step) == 50
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps([round(loss, 6) for loss in losses.by_step], indent=0) + "\n")
    assert losses.by_step == pytest.approx(json.loads(GOLDEN.read_text()), abs=1e-4)


@pytest.mark.parametrize("n_before", [1, 7, 20])
def test_a_leg_stopped_after_any_step_and_continued_from_disk_gives_the_same_weights(n_before, tmp_path):
    whole = learner()
    whole_progress = Progress()
    assert train(whole, TRUNK, training(), whole_progress, Losses()) is Outcome.DONE

    first = learner()
    progress = Progress()
    stopped = training(until=stop_after(n_before))
    assert train(first, TRUNK, stopped, progress, Losses()) is Outcome.TRUNCATED
    Snapshot.of(first, progress).save(tmp_path)

    second = learner()
    progress = Snapshot.load(tmp_path).restore(second)
    assert progress.step == n_before
    assert train(second, TRUNK, training(), progress, Losses()) is Outcome.DONE
    assert_equal(weights(second), weights(whole))
    assert progress == whole_progress


def test_a_trunk_goes_on_from_a_snapshot_as_if_no_branch_had_been_taken():
    straight = learner()
    progress = Progress()
    for end_tokens in (1_000, 2_000):
        train(straight, Leg(end_tokens, trunk(warmup_tokens=300)), training(), progress, Losses())

    branched = learner()
    progress = Progress()
    train(branched, Leg(1_000, trunk(warmup_tokens=300)), training(), progress, Losses())
    snapshot = Snapshot.of(branched, progress)
    at_branch = weights(branched)
    begin = progress.n_tokens
    decay = Leg(begin + 300, branch(start_tokens=begin, branch_tokens=300))
    train(branched, decay, training(), progress, Losses())
    with pytest.raises(AssertionError):
        assert_equal(weights(branched), at_branch)
    progress = snapshot.restore(branched)
    assert_equal(weights(branched), at_branch)
    train(branched, Leg(2_000, trunk(warmup_tokens=0)), training(), progress, Losses())
    assert_equal(weights(branched), weights(straight))


def test_training_lowers_the_loss():
    losses = Losses()
    train(learner(), Leg(16_000, trunk(warmup_tokens=500)), training(tasks=(PAIR,)), Progress(), losses)
    assert losses.final < 0.5 * losses.by_step[0]


def test_a_loss_that_is_not_a_number_ends_the_leg_at_once_and_names_step_and_task():
    broken, progress = learner(tasks=(PAIR,)), Progress()
    endless, setup = Leg(10**9, trunk(warmup_tokens=0)), training(tasks=(PAIR,), until=stop_after(3))
    train(broken, endless, setup, progress, Losses())
    with torch.no_grad():
        broken.encoder.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(InfeasibleError, match=f"step 3 on task {PAIR.name} had a loss of nan"):
        train(broken, endless, training(tasks=(PAIR,)), progress, Losses())
    assert progress.step == 4


def test_a_gradient_that_is_not_a_number_ends_the_leg_even_if_it_is_the_last(monkeypatch):
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(InfeasibleError, match="gradient norm of inf"):
        train(learner(), Leg(1, trunk(warmup_tokens=0)), training(), Progress(), Losses())


def full_memory_at(monkeypatch, *calls):
    """Let the loss of PAIR's family run out of memory at its n-th calls, counted from 0."""
    shape, n_calls = family(PAIR.family), iter(range(10**6))
    loss = type(shape).loss

    def limited(self, *given):
        if next(n_calls) in calls:
            raise torch.OutOfMemoryError("2 GiB wanted")
        return loss(self, *given)

    monkeypatch.setattr(type(shape), "loss", limited)


def steps_of(n_steps, **kinds):
    """Weights, progress and losses after so many steps on PAIR without dropout."""
    a_learner, progress, losses = learner(tasks=(PAIR,), dropout=0.0), Progress(), Losses()
    setup = training(tasks=(PAIR,), until=stop_after(n_steps), **kinds)
    train(a_learner, Leg(10**9, trunk(warmup_tokens=0)), setup, progress, losses)
    return weights(a_learner), progress, losses.by_step


@pytest.mark.parametrize("accumulation", [1, 2])
def test_memory_that_runs_out_once_halves_the_batches_and_changes_no_weight(monkeypatch, accumulation):
    optimisation = Optimisation(learning_rate=3e-3, batch_tokens=128, accumulation=accumulation)
    whole, progress, losses = steps_of(4, optimisation=optimisation)
    full_memory_at(monkeypatch, 2 * accumulation - 1)  # the last micro-batch of the second step
    split, split_progress, split_losses = steps_of(4, optimisation=optimisation)
    assert split_progress.oom_splits == 1
    assert split_progress.part_tokens[PAIR.name] < 128
    split_progress.begin_stage()
    assert split_progress == progress
    assert split_losses == pytest.approx(losses, abs=1e-5)
    for name in whole:
        torch.testing.assert_close(split[name], whole[name], rtol=0, atol=1e-4)


def a_device_for(monkeypatch, most_tokens):
    """Let the loss of PAIR's family run out of memory above so many tokens; the sizes it is given."""
    loss, sizes = type(family(PAIR.family)).loss, []

    def limited(self, encoder, head, batch):
        sizes.append(batch["input_ids"].numel())
        if sizes[-1] > most_tokens:
            raise torch.OutOfMemoryError("2 GiB wanted")
        return loss(self, encoder, head, batch)

    monkeypatch.setattr(type(family(PAIR.family)), "loss", limited)
    return sizes


@pytest.mark.parametrize("most_tokens", [100, 60, 25])
def test_parts_get_as_small_as_the_device_wants_and_change_no_weight(monkeypatch, most_tokens):
    whole, progress, losses = steps_of(4)
    sizes = a_device_for(monkeypatch, most_tokens)
    split, split_progress, split_losses = steps_of(4)
    assert split_progress.oom_splits == sum(size > most_tokens for size in sizes) > 0
    assert 0 < split_progress.part_tokens[PAIR.name] <= most_tokens
    split_progress.begin_stage()
    assert split_progress == progress
    assert split_losses == pytest.approx(losses, abs=1e-5)
    for name in whole:
        torch.testing.assert_close(split[name], whole[name], rtol=0, atol=1e-4)


def test_a_stage_that_is_stopped_after_memory_ran_out_goes_on_as_if_it_had_not_been(
    monkeypatch, tmp_path
):
    a_device_for(monkeypatch, 60)
    whole, whole_progress = learner(tasks=(PAIR,)), Progress()
    train(whole, TRUNK, training(tasks=(PAIR,)), whole_progress, Losses())

    first, progress = learner(tasks=(PAIR,)), Progress()
    train(first, TRUNK, training(tasks=(PAIR,), until=stop_after(7)), progress, Losses())
    assert progress.part_tokens
    Snapshot.of(first, progress).save(tmp_path)
    second = learner(tasks=(PAIR,))
    progress = Snapshot.load(tmp_path).restore(second)
    train(second, TRUNK, training(tasks=(PAIR,)), progress, Losses())
    assert_equal(weights(second), weights(whole))
    assert progress == whole_progress


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("2 GiB"), MemoryError()])
def test_memory_that_is_too_small_for_one_row_ends_the_leg_and_frees_its_gradients(monkeypatch, error):
    def full(self, *_):
        raise error

    monkeypatch.setattr(type(family(PAIR.family)), "loss", full)
    a_learner, progress = learner(tasks=(PAIR,)), Progress()
    setup = training(tasks=(PAIR,))
    with pytest.raises(InfeasibleError, match=f"memory at step 0 on task {PAIR.name}, with 1 rows of"):
        train(a_learner, TRUNK, setup, progress, Losses())
    assert progress.step == 0
    assert progress.oom_splits > 1
    assert all(parameter.grad is None for _, parameter in a_learner.named_parameters())


def test_a_leg_past_its_deadline_stops_within_one_step_on_the_real_clock(monkeypatch):
    loss, begun_s = type(family(PAIR.family)).loss, []

    def past():
        return bool(begun_s) and time.monotonic() >= begun_s[0] + 0.35

    def slow(self, *given):
        begun_s.append(time.monotonic())
        time.sleep(0.1)
        return loss(self, *given)

    monkeypatch.setattr(type(family(PAIR.family)), "loss", slow)
    setup = training(tasks=(PAIR,), until=past)
    progress, endless = Progress(), Leg(10**9, trunk(warmup_tokens=0))
    assert train(learner(tasks=(PAIR,)), endless, setup, progress, Losses()) is Outcome.TRUNCATED
    assert progress.step == len(begun_s) >= 1
    assert sum(at_s >= begun_s[0] + 0.35 for at_s in begun_s) <= 1


def test_a_damaged_training_state_is_told_as_such(tmp_path):
    with pytest.raises(StoreError, match="no training state"):
        Snapshot.load(tmp_path)
    Snapshot.of(learner(), Progress()).save(tmp_path)
    (tmp_path / "state.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="cannot read the training state"):
        Snapshot.load(tmp_path)


def test_tokens_are_counted_without_padding_and_steps_by_task():
    progress = Progress()
    train(learner(), TRUNK, training(), progress, Losses())
    assert TRUNK.end_tokens <= progress.n_tokens < TRUNK.end_tokens + OPTIMISATION.batch_tokens
    assert progress.n_tokens < progress.n_padded < 1.3 * progress.n_tokens
    assert sum(progress.steps_by_task.values()) == progress.step
    assert set(progress.steps_by_task) == {PAIR.name, MASKED.name}


def test_accumulation_takes_so_many_smaller_batches_for_one_step():
    optimisation = Optimisation(learning_rate=1e-3, batch_tokens=128, accumulation=4)
    progress = Progress()
    train(
        learner(),
        Leg(10**9, trunk(warmup_tokens=0)),
        training(optimisation, until=stop_after(2), tasks=(PAIR,)),
        progress,
        Losses(),
    )
    assert progress.step == 2
    assert progress.positions[PAIR.name].index == 8
    assert progress.n_padded <= 2 * 128


def test_accumulated_gradients_are_the_mean_over_micro_batches():
    """With equal micro-batches, four of them move the weights as one does."""
    moved = []
    same = Dataset.from_dict(
        {"input_ids": [[0, 9, 8, 2]] * 4, "n_tokens": [4] * 4, "example": [0] * 4, "label": [1] * 4}
    )
    for accumulation in (1, 4):
        optimisation = Optimisation(
            learning_rate=1e-3, batch_tokens=4 * accumulation, accumulation=accumulation
        )
        batches = TaskBatches([same], batch_tokens=4, seed=0, task=PAIR.name)
        course = Course(PAIR.name, 1.0, family(PAIR.family), batches)
        rhythm = SaveRhythm(HandClock(), lambda: None)
        setup = Training([course], optimisation, 5, "fp32", PAD_ID, stop_after(3), rhythm)
        a_learner = learner(tasks=(PAIR,), dropout=0.0)
        train(a_learner, Leg(10**9, trunk(warmup_tokens=0)), setup, Progress(), Losses())
        moved.append(weights(a_learner))
    for name in moved[0]:
        torch.testing.assert_close(moved[0][name], moved[1][name], rtol=0, atol=2e-4)


def test_a_large_gradient_is_clipped(monkeypatch):
    norms = []
    clip = torch.nn.utils.clip_grad_norm_

    def watched(parameters, largest):
        before = clip(parameters, largest)
        after = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        norms.append((float(before), float(after)))
        return before

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    optimisation = Optimisation(learning_rate=1e-3, batch_tokens=128, clip_norm=0.01)
    train(
        learner(),
        Leg(10**9, trunk(warmup_tokens=0)),
        training(optimisation, until=stop_after(3)),
        Progress(),
        Losses(),
    )
    assert all(before > 0.01 and after <= 0.01001 for before, after in norms)
    assert len(norms) == 3


def test_biases_and_layer_norms_have_no_weight_decay():
    groups = learner().optimiser.param_groups
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert all(parameter.ndim <= 1 for parameter in groups[1]["params"])
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (0.01, 0.0)


def test_half_precision_weights_are_refused():
    half = learner()
    half.encoder.half()
    with pytest.raises(TypeError, match="float16"):
        train(half, TRUNK, training(), Progress(), Losses())


def test_nothing_inside_a_step_waits_for_the_device(monkeypatch):
    def waits(self, *_):
        raise AssertionError("a step read a value from the device")

    a_learner, setup = learner(tasks=(PAIR,)), training(until=stop_after(3), tasks=(PAIR,))
    losses = Losses()
    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "cpu", "__bool__", "__float__", "__int__"):
            patch.setattr(torch.Tensor, name, waits)
        patch.setattr(Losses, "fetch", lambda _: None)
        train(a_learner, TRUNK, setup, Progress(), losses)
    assert len(losses.waiting) == 3


def test_a_snapshot_is_not_changed_by_later_steps():
    a_learner = learner()
    snapshot = Snapshot.of(a_learner, Progress())
    before = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
    train(a_learner, TRUNK, training(), Progress(), Losses())
    assert_equal(snapshot.tensors, before)


def test_heads_do_not_depend_on_what_else_is_trained():
    alone, together = learner(tasks=(PAIR,)), learner(tasks=(MASKED, PAIR))
    assert_equal(
        dict(alone.heads[PAIR.name].named_parameters()),
        dict(together.heads[PAIR.name].named_parameters()),
    )


def test_periodic_saves_keep_to_their_share_of_the_time():
    clock, saved_at = HandClock(), []

    def slow_save():
        saved_at.append(clock.time_s)
        clock.time_s += 10.0

    rhythm = SaveRhythm(clock, slow_save)
    for _ in range(600):
        clock.time_s += 1.0
        rhythm.beat()
    assert saved_at == [60.0, 270.0, 480.0]
