"""The training loop: one leg of a stage, from top to bottom.

A *leg* is a stretch of tokens under one learning-rate schedule. A step draws one task, takes its next
micro-batches, adds up their gradients, clips, and moves the weights. All randomness follows from
``(seed, step)``, so a leg that is stopped and continued gives the weights of one that was not.

Nothing inside a step waits for the device: losses stay there and are looked at every
``_CHECK_STEPS`` steps, where a loss that is not finite ends the leg as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from budgets.clock import Clock
from trainers.batches import Position, TaskBatches
from trainers.families.base import Batch, Family
from trainers.mixing import task_at
from trainers.schedule import Schedule
from trainers.seeding import seed_everything
from trainers.stage import Optimisation, Outcome
from trainers.state import Learner, Progress

_CHECK_STEPS = 16
_LAST_STEPS = 32  # whose mean is called the final loss
_SAVE_EVERY_S = 60.0
_SAVE_SHARE = 0.05  # of training time that periodic saves may take, where one takes long


@dataclass(frozen=True, slots=True)
class Course:
    """One task as it is trained on: its share of the steps and its batches."""

    task: str
    rate: float
    family: Family
    batches: TaskBatches


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of training.

    Attributes:
        end_tokens: it ends with the first step that reaches so many tokens.
        schedule: tokens of the chain -> share of the peak learning rate.
    """

    end_tokens: float
    schedule: Schedule


@dataclass(slots=True)
class Losses:
    """The loss of every step; the newest ones still on the device."""

    by_step: list[float] = field(default_factory=list)
    waiting: list[torch.Tensor] = field(default_factory=list)

    def all_finite(self) -> bool:
        """Fetch what waits on the device and say whether every loss of it is a number."""
        if not self.waiting:
            return True
        fetched = torch.stack(self.waiting).cpu()
        self.waiting.clear()
        self.by_step.extend(fetched.tolist())
        return bool(torch.isfinite(fetched).all())

    @property
    def final(self) -> float:
        """The mean of the last steps; NaN before the first."""
        last = self.by_step[-_LAST_STEPS:]
        return sum(last) / len(last) if last else float("nan")


class SaveRhythm:
    """When to save what a killed stage would lose: each minute, or less often where saving is slow."""

    def __init__(self, clock: Clock, save: Callable[[], None], every_s: float = _SAVE_EVERY_S) -> None:
        self._clock = clock
        self._save = save
        self._every_s = every_s
        self._next_s = clock.now_s() + every_s

    def beat(self) -> None:
        """Save if it is time."""
        started_s = self._clock.now_s()
        if started_s < self._next_s:
            return
        self._save()
        ended_s = self._clock.now_s()
        self._next_s = ended_s + max(self._every_s, (ended_s - started_s) / _SAVE_SHARE)


@dataclass(frozen=True, slots=True)
class Training:
    """What stays the same over the legs of a stage.

    Attributes:
        courses: the tasks trained together.
        optimisation: how to step.
        seed: of the stage.
        precision: ``bf16`` turns on autocast where the device has it.
        pad_id: of the tokenizer.
        until: says that the deadline has come.
        rhythm: periodic saves.
    """

    courses: Sequence[Course]
    optimisation: Optimisation
    seed: int
    precision: str
    pad_id: int
    until: Callable[[], bool]
    rhythm: SaveRhythm


def train(learner: Learner, leg: Leg, training: Training, progress: Progress, losses: Losses) -> Outcome:
    """Train until the leg's end, the deadline, or a loss that is not a number.

    ``learner``, ``progress`` and ``losses`` are moved along. After TRUNCATED they are at a whole step
    and the leg can be continued from there.
    """
    learner.assert_float32()
    learner.encoder.train()
    learner.heads.train()
    rates = [course.rate for course in training.courses]
    while progress.n_tokens < leg.end_tokens:
        if training.until():
            return Outcome.TRUNCATED if losses.all_finite() else Outcome.FAILED
        course = training.courses[task_at(progress.step, rates, seed=training.seed)]
        losses.waiting.append(_step(learner, course, leg, training, progress))
        if len(losses.waiting) >= _CHECK_STEPS:
            if not losses.all_finite():
                return Outcome.FAILED
            training.rhythm.beat()
    return Outcome.DONE if losses.all_finite() else Outcome.FAILED


def _step(
    learner: Learner, course: Course, leg: Leg, training: Training, progress: Progress
) -> torch.Tensor:
    """One optimiser step on one task; the mean loss, still on the device."""
    optimisation = training.optimisation
    seed_everything(training.seed, "step", progress.step)
    micro_batches, n_tokens, position = _draw(course, training, progress)
    middle_tokens = progress.n_tokens + n_tokens / 2
    for group in learner.optimiser.param_groups:
        group["lr"] = optimisation.learning_rate * leg.schedule(middle_tokens)

    head = learner.heads[course.task]
    total = torch.zeros((), device=learner.device)
    for batch in micro_batches:
        on_device = {
            name: tensor.to(learner.device, non_blocking=True) for name, tensor in batch.items()
        }
        with _autocast(training.precision, learner.device):
            loss = course.family.loss(learner.encoder, head, on_device)
        (loss / len(micro_batches)).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() / len(micro_batches)
    norm = torch.nn.utils.clip_grad_norm_(
        [parameter for _, parameter in learner.named_parameters()], optimisation.clip_norm
    )
    learner.optimiser.step()
    learner.optimiser.zero_grad(set_to_none=True)

    progress.step += 1
    progress.n_tokens += n_tokens
    progress.n_padded += sum(batch["input_ids"].numel() for batch in micro_batches)
    progress.positions[course.task] = position
    progress.steps_by_task[course.task] = progress.steps_by_task.get(course.task, 0) + 1
    # A gradient that is not finite has just spoilt the weights: it counts as such a loss.
    return torch.where(torch.isfinite(norm), total, torch.nan)


def _draw(course: Course, training: Training, progress: Progress) -> tuple[list[Batch], int, Position]:
    """A step's micro-batches, their tokens without padding, and where the task's next batch is."""
    position = progress.positions.get(course.task, Position())
    batches, n_tokens = [], 0
    for _ in range(training.optimisation.accumulation):
        rows, position = course.batches.take(position)
        batches.append(course.family.collate(rows, training.pad_id))
        n_tokens += sum(row["n_tokens"] for row in rows)
    return batches, n_tokens, position


def _autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    wanted = precision == "bf16" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)
