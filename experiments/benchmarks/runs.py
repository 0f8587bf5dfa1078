"""One run of training, timed: what is trained, our loop over it, and what a run leaves to compare.

Trained tokens are the tokens of the features, special ones included, padding not. Every run of a
workload starts from the same weights; its seed decides the order of the data, masks and dropout.
"""

from __future__ import annotations

import ctypes
import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from experiments.benchmarks.cases import Case, features
from experiments.benchmarks.shapes import PAD_ID, Shape, encoder_of
from trainers.batches import TaskBatches
from trainers.courses import Course
from trainers.devices import uses_bf16
from trainers.families import family
from trainers.loop import Leg, Losses, SaveRhythm, Training, train
from trainers.memory import free_cached
from trainers.schedule import rise_and_fall
from trainers.stage import Optimisation
from trainers.state import Learner, Progress

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel

HEAD_SEED = 0
_DATA_SEED, _HELD_OUT_SEED, _MASK_SEED = 1, 2, 3
_HELD_OUT_ROWS = 256
_HELD_OUT_BATCH = 16


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of training left.

    Attributes:
        wall_s: from the first batch to the end of the last step.
        n_tokens: trained on.
        n_padded: the same with padding.
        peak_bytes: of the device's memory above what was held before; None where nobody can say.
        loss: after it, on rows that no run trains on.
    """

    wall_s: float
    n_tokens: int
    n_padded: int
    peak_bytes: int | None
    loss: float

    @property
    def tokens_per_s(self) -> float:
        """Trained tokens per second."""
        return self.n_tokens / self.wall_s

    @property
    def padding_share(self) -> float:
        """Of the tokens that went through the model, 0 to 1."""
        return 1.0 - self.n_tokens / self.n_padded


class Workload:
    """One family's task on one encoder on one device.

    Args:
        case: the task.
        shape: of the encoder.
        device: where it is trained.
        n_steps: optimiser steps of a run. ``Trainer`` sorts by length over up to 50 batches at a time, a
            quarter of the data at most: there is data for four times the steps, so that up to 50 steps,
            or a multiple of 50, go through whole sorted stretches.
    """

    def __init__(self, case: Case, shape: Shape, device: torch.device, n_steps: int) -> None:
        self.case, self.device, self.n_steps = case, device, n_steps
        self.family = family(case.family)
        self.bf16 = uses_bf16("bf16", device)
        self.optimisation = Optimisation(shape.learning_rate, batch_tokens=shape.batch_tokens)
        self.encoder: PreTrainedModel = encoder_of(shape, HEAD_SEED).to(device)
        self._initial = {key: value.clone() for key, value in self.encoder.state_dict().items()}
        probe = self._made(512, _DATA_SEED)
        mean_tokens = sum(probe["n_tokens"]) / len(probe)
        self.rows_per_batch = max(1, round(shape.batch_tokens / mean_tokens))
        self.features = self._made(4 * n_steps * self.rows_per_batch, _DATA_SEED)
        self.held_out = self._made(_HELD_OUT_ROWS, _HELD_OUT_SEED).to_list()

    def begin(self) -> None:
        """Put the first weights back."""
        self.encoder.load_state_dict(self._initial)
        self.encoder.train()

    def held_out_loss(self, head: nn.Module) -> float:
        """Mean over the held-out rows, masks the same every time."""
        self.encoder.eval()
        total = 0.0
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(_MASK_SEED)
            for start in range(0, len(self.held_out), _HELD_OUT_BATCH):
                rows = self.held_out[start : start + _HELD_OUT_BATCH]
                batch = {
                    name: tensor.to(self.device)
                    for name, tensor in self.family.collate(rows, PAD_ID).items()
                }
                total += float(self.family.loss(self.encoder, head, batch)) * len(rows)
        return total / len(self.held_out)

    def _made(self, n_rows: int, seed: int) -> Dataset:
        n_vocabulary = self.encoder.config.vocab_size
        return features(self.case, n_rows=n_rows, n_vocabulary=n_vocabulary, seed=seed)


def ours(work: Workload, seed: int, n_steps: int) -> Run:
    """Our stage loop over about as many tokens as ``n_steps`` batches hold."""
    work.begin()
    task, optimisation = work.case.task, work.optimisation
    learner = Learner(
        work.encoder,
        [task],
        width=work.encoder.config.hidden_size,
        optimisation=optimisation,
        seed=HEAD_SEED,
    )
    n_tokens = n_steps * optimisation.batch_tokens
    warmup_tokens = optimisation.warmup_share * n_tokens
    leg = Leg(n_tokens, rise_and_fall(warmup_tokens=warmup_tokens, total_tokens=n_tokens))
    progress, memory = Progress(), Peak(work.device)
    begun_s = time.perf_counter()
    batches = TaskBatches(
        [work.features], batch_tokens=optimisation.batch_tokens, seed=seed, task=task.name
    )
    training = Training(
        courses=[Course(task.name, 1.0, work.family, batches)],
        optimisation=optimisation,
        seed=seed,
        precision="bf16",
        pad_id=PAD_ID,
        until=lambda: False,
        rhythm=SaveRhythm(_Standing(), lambda: None),
    )
    train(learner, leg, training, progress, Losses())
    wait_for(work.device)
    return Run(
        wall_s=time.perf_counter() - begun_s,
        n_tokens=progress.n_tokens,
        n_padded=progress.n_padded,
        peak_bytes=memory.bytes_above(),
        loss=work.held_out_loss(learner.heads[task.name]),
    )


class _Standing:
    """A clock that stands still, so that nothing is saved in between."""

    def now_s(self) -> float:
        return 0.0


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Peak:
    """The most memory held since it was made, above what was held then.

    On a GPU what torch's allocator holds. On a CPU the resident set, which Linux alone lets a process
    watch from a chosen moment on; memory that is free is given back to the system first.
    """

    _STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        free_cached()
        self._before: int | None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
            return
        if not self._CLEAR.exists():
            self._before = None
            return
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
        self._CLEAR.write_text("5")  # the highest mark becomes what is resident now
        self._before = self._resident("VmRSS")

    def bytes_above(self) -> int | None:
        """Bytes above the beginning at the highest; None where nobody can say."""
        if self._before is None:
            return None
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        return self._resident("VmHWM") - self._before

    def _resident(self, name: str) -> int:
        lines = self._STATUS.read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
