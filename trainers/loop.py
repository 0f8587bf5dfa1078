"""The training loop: one leg of a stage, from top to bottom.

A *leg* is a stretch of tokens under one learning-rate schedule. A step draws one task, takes its next
micro-batches, adds up their gradients, clips, and moves the weights. All randomness follows from
``(seed, step)``, so a leg that is stopped and continued gives the weights of one that was not.

Nothing inside a step waits for a GPU: losses and gradient norms stay there and are looked at every
``_CHECK_STEPS`` steps, on a CPU after each. One that is not finite makes the recipe infeasible. So
does memory that is too small for the fewest rows that a task can be trained on; where it is too small
for more, the task's micro-batches are trained in smaller parts from then on, which changes neither the
optimiser's batch nor, but for dropout, the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch

from budgets.clock import Clock
from trainers.courses import Course
from trainers.devices import uses_bf16
from trainers.drawing import Draw, Drawing
from trainers.errors import InfeasibleError
from trainers.families.base import Batch
from trainers.memory import Parts, free_cached, ran_out
from trainers.order import Outcome
from trainers.schedule import Schedule
from trainers.seeding import seed_everything
from trainers.stage import Optimisation
from trainers.state import Learner, Progress

_CHECK_STEPS = 16
_LAST_STEPS = 32  # whose mean is called the final loss
_SAVE_EVERY_S = 60.0
_SAVE_SHARE = 0.05  # of training time that periodic saves may take, where one takes long


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of training.

    Attributes:
        end_tokens: it ends with the first step that reaches so many tokens.
        schedule: tokens of the chain -> share of the peak learning rate.
    """

    end_tokens: float
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Of one step: its number, its task, and on the device (loss, gradient norm before clipping)."""

    step: int
    task: str
    values: torch.Tensor


@dataclass(slots=True)
class Losses:
    """The loss of every step; the newest ones still on the device."""

    by_step: list[float] = field(default_factory=list)
    waiting: list[StepLoss] = field(default_factory=list)

    def fetch(self) -> None:
        """Fetch what waits on the device.

        Raises:
            InfeasibleError: a loss or a gradient of it is not a finite number.
        """
        if not self.waiting:
            return
        waited, self.waiting = self.waiting, []
        for known, (loss, norm) in zip(
            waited, torch.stack([known.values for known in waited]).tolist(), strict=True
        ):
            self.by_step.append(loss)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise InfeasibleError(
                    f"step {known.step} on task {known.task} had a loss of {loss:g} and a gradient norm "
                    f"of {norm:g}: not a finite number. Lower the learning rate or clip_norm."
                )

    @property
    def final(self) -> float:
        """The mean of the last steps; NaN before the first."""
        last = self.by_step[-_LAST_STEPS:]
        return sum(last) / len(last) if last else float("nan")


class SaveRhythm:
    """When to save what a killed stage would lose: each minute, or less often where saving is slow.

    Args:
        clock: that tells.
        save: saves, or begins to.
        took_s: seconds that a save takes in all, where a part of it goes on after ``save`` has returned.
    """

    def __init__(
        self, clock: Clock, save: Callable[[], None], took_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._clock = clock
        self._save = save
        self._took_s = took_s
        self._next_s = clock.now_s() + _SAVE_EVERY_S

    def beat(self) -> None:
        """Save if it is time."""
        started_s = self._clock.now_s()
        if started_s < self._next_s:
            return
        self._save()
        ended_s = self._clock.now_s()
        took_s = max(ended_s - started_s, self._took_s())
        self._next_s = ended_s + max(_SAVE_EVERY_S, took_s / _SAVE_SHARE)


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
    """Train until the leg's end (DONE) or the deadline (TRUNCATED).

    ``learner``, ``progress`` and ``losses`` are moved along. After TRUNCATED they are at a whole step
    and the leg can be continued from there.

    Raises:
        InfeasibleError: a loss or a gradient is not a finite number, or memory ran out under as few
            rows as the task can be trained on.
    """
    learner.assert_float32()
    learner.encoder.train()
    learner.heads.train()
    check_steps = 1 if learner.device.type == "cpu" else _CHECK_STEPS
    with _drawing(training, learner.device) as drawing:
        while progress.n_tokens < leg.end_tokens:
            if training.until():
                losses.fetch()
                return Outcome.TRUNCATED
            draw = drawing.take(progress)
            losses.waiting.append(_step_within_memory(learner, draw, leg, training, progress))
            if len(losses.waiting) >= check_steps:
                losses.fetch()
                training.rhythm.beat()
    losses.fetch()
    return Outcome.DONE


def _drawing(training: Training, device: torch.device) -> Drawing:
    return Drawing(
        training.courses,
        n_batches=training.optimisation.accumulation,
        seed=training.seed,
        pad_id=training.pad_id,
        device=device,
    )


def _step_within_memory(
    learner: Learner, draw: Draw, leg: Leg, training: Training, progress: Progress
) -> StepLoss:
    """The next step, again in smaller parts while memory runs out; one that failed changed nothing."""
    while True:
        task, least_rows = draw.course.task, draw.course.family.least_rows
        parts = Parts(progress.part_tokens.get(task, 0), least_rows)
        try:
            return _step(learner, draw, leg, training, progress, parts=parts)
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            text = " ".join(str(error).split())[:200]
        # Only here, past the traceback that held them, are the failed step's tensors free.
        learner.optimiser.zero_grad(set_to_none=True)
        free_cached()
        progress.oom_splits += 1
        fewer_tokens = parts.halved()
        if not fewer_tokens:
            raise InfeasibleError(
                f"out of memory at step {progress.step} on task {task}, with {parts.n_rows} "
                f"rows of {parts.row_tokens} tokens, fewer cannot be trained ({text}). Use a larger "
                "device, or leave the task out."
            )
        progress.part_tokens[task] = fewer_tokens


def _step(
    learner: Learner, draw: Draw, leg: Leg, training: Training, progress: Progress, *, parts: Parts
) -> StepLoss:
    """One optimiser step on one task."""
    optimisation, course = training.optimisation, draw.course
    seed_everything(training.seed, "step", draw.step)
    torch.set_rng_state(draw.random_state)
    middle_tokens = progress.n_tokens + draw.n_tokens / 2
    for group in learner.optimiser.param_groups:
        group["lr"] = optimisation.learning_rate * leg.schedule(middle_tokens)

    head = learner.heads[course.task]
    total = torch.zeros((), device=learner.device)
    for batch, share in _parts(draw.batches, parts):
        on_device = {
            name: tensor.to(learner.device, non_blocking=True) for name, tensor in batch.items()
        }
        with _autocast(training.precision, learner.device):
            loss = course.family.loss(learner.encoder, head, on_device) * share
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    norm = torch.nn.utils.clip_grad_norm_(
        [parameter for _, parameter in learner.named_parameters()], optimisation.clip_norm
    )
    learner.optimiser.step()
    learner.optimiser.zero_grad(set_to_none=True)

    known = StepLoss(draw.step, course.task, torch.stack([total, norm]))
    progress.step += 1
    progress.n_tokens += draw.n_tokens
    progress.n_padded += sum(batch["input_ids"].numel() for batch, _ in draw.batches)
    progress.positions[course.task] = draw.position
    progress.steps_by_task[course.task] = progress.steps_by_task.get(course.task, 0) + 1
    return known


def _parts(micro_batches: Sequence[tuple[Batch, int]], parts: Parts) -> Iterator[tuple[Batch, float]]:
    """What goes through the model at once, with its share of the step's loss."""
    for batch, n_rows in micro_batches:
        for part, share in parts.of(batch, n_rows):
            yield part, share / len(micro_batches)


def _autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    wanted = uses_bf16(precision, device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)
