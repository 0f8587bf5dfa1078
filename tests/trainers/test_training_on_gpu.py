"""The stage loop on a GPU: it waits for nothing inside a step, and learns what it learns on a CPU."""

from dataclasses import replace

import pytest
import torch
from small_loop import MASKED, OPTIMISATION, PAIR, TRUNK, stop_after, training
from tiny_model import PAD_ID, WIDTH, tiny_encoder

from trainers.drawing import Drawing
from trainers.loop import Losses, train
from trainers.state import Learner, Progress

pytestmark = pytest.mark.gpu


def learner(device):
    encoder = tiny_encoder()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return Learner(encoder.to(device), (PAIR, MASKED), width=WIDTH, optimisation=OPTIMISATION, seed=5)


def losses_of(device, precision="fp32"):
    losses = Losses()
    setup = replace(training(), precision=precision)
    train(learner(device), TRUNK, setup, Progress(), losses)
    return losses.by_step


def test_a_step_never_waits_for_the_gpu(monkeypatch):
    a_learner, losses = learner("cuda"), Losses()
    train(a_learner, TRUNK, training(until=stop_after(2)), Progress(), Losses())  # warm
    monkeypatch.setattr(Losses, "fetch", lambda _: None)
    torch.cuda.set_sync_debug_mode("error")
    try:
        train(a_learner, TRUNK, training(until=stop_after(5)), Progress(), losses)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(losses.waiting) == 5


def test_batches_for_a_gpu_lie_in_pinned_memory():
    setup = training()
    with Drawing(
        setup.courses, n_batches=1, seed=5, pad_id=PAD_ID, device=torch.device("cuda")
    ) as drawing:
        draw = drawing.take(Progress())
    assert all(tensor.is_pinned() for batch, _ in draw.batches for tensor in batch.values())


def test_the_loss_curve_without_dropout_is_that_of_a_cpu():
    assert losses_of("cuda") == pytest.approx(losses_of("cpu"), rel=1e-2)


def test_bf16_follows_the_loss_curve_of_fp32():
    assert losses_of("cuda", "bf16") == pytest.approx(losses_of("cuda"), rel=0.05)
