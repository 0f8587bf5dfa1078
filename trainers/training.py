"""A training stage: what is trained, from where, and what is saved.

Its legs (trainers/legs.py) are run one after the other. With an adapter, what is trained and saved is
the adapter and the heads: the encoder that it sits in stays with the stage that trained it.

A stage that is stopped leaves ``<name>.partial`` in the store: the state it was in and, in a branch,
the trunk. The next attempt goes on from there as if nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.bill import Purpose
from budgets.clock import Clock
from trainers.adapter_places import FULL
from trainers.checkpoints import PARTIAL, StageStore
from trainers.courses import courses_of, left_out, open_data
from trainers.encoder import save_encoder
from trainers.errors import InfeasibleError, ModelError
from trainers.fitting import Fits, Fitting
from trainers.kept_heads import save_heads
from trainers.legs import leg_of, n_legs
from trainers.loop import Losses, SaveRhythm, Training, train
from trainers.meter import Meter
from trainers.order import Outcome
from trainers.partial_saves import TRUNK, PartialSaves
from trainers.stage import (
    IntermediateStage,
    StageKind,
    TargetStage,
    TrainingStage,
    end_tokens,
    shares_of,
    stage_name,
)
from trainers.state import Learner, Progress, Snapshot
from trainers.warm import WarmCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FACTS = "facts.json"

_STATES = 3  # tensors that are saved per parameter: the weight and AdamW's two moments
_SAVE_BYTES_PER_S = 250e6  # copied, written and hashed, until a save has been timed
_SAVE_MARGIN = 2.0  # in a branch the trunk is saved as well


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training stage in one lease.

    Attributes:
        outcome: how it ended.
        n_tokens: trained on in this lease, without padding.
        facts: final loss, padding share, how often memory ran out, tokens of the largest part where
            batches are cut, rows and examples left out (``trainers/teaching.py``).
        rates: the share of steps each task got, over the whole chain.
        error: why it is infeasible.
    """

    outcome: Outcome
    n_tokens: int
    facts: dict[str, float]
    rates: dict[str, float]
    error: str


@dataclass(slots=True)
class Lease:
    """The worker's side of an order: where time is booked, and when work has to stop.

    Attributes:
        meter: started with the lease.
        clock: times saves.
        limit_s: of the order.
        grace_s: of the order.
        hurried: whether the user has asked to stop.
        save_s: what saving a partial state took last, or will by its size, 0 where neither is known;
            more than the grace where the model is large or the disk is slow.
    """

    meter: Meter
    clock: Clock
    limit_s: float
    grace_s: float
    hurried: Callable[[], bool]
    save_s: float = 0.0

    def over(self) -> bool:
        """Whether no more time is left than it takes to save, or none is wanted."""
        return self.hurried() or self.left_s() <= 0

    def left_s(self) -> float:
        """Seconds of work that are left before it is time to save; below zero once they are over."""
        kept_s = max(self.grace_s, _SAVE_MARGIN * self.save_s)
        return self.limit_s - kept_s - self.meter.elapsed_s()


def run_training(stage: TrainingStage, warm: WarmCache, store: StageStore, lease: Lease) -> Trained:
    """Carry out a training stage, or as much of it as the lease allows.

    Raises:
        TaskError: its data cannot be used.
        ModelError: its model cannot be used.
        StoreError: what it needs is not in the store, or it cannot be saved.
    """
    run = _Run(stage, warm, store, lease)
    try:
        with lease.meter.on(Purpose.LOAD):
            run.load()
        with lease.meter.on(Purpose.TRAIN):
            outcome = run.train()
        with lease.meter.on(Purpose.SAVE):
            run.finish(outcome)
        return run.trained(outcome)
    finally:
        run.let_go()


class _Run:
    """One lease of a training stage in progress."""

    def __init__(self, stage: TrainingStage, warm: WarmCache, store: StageStore, lease: Lease) -> None:
        self._stage = stage
        self._name = stage_name(stage)
        self._warm = warm
        self._store = store
        self._lease = lease
        self._losses = Losses()
        self._trunk: Snapshot | None = None
        self._saves = PartialSaves(stage, store, lease, beside=warm.device.type != "cpu")
        self._encoder: PreTrainedModel
        self._learner: Learner
        self._training: Training
        self._fitting: Fitting
        self._progress = Progress()
        self._error = ""
        self._tokens_at_start = 0

    def load(self) -> None:
        """Bring encoder, heads, optimiser and data to where the stage begins or was stopped."""
        stage, warm = self._stage, self._warm
        self._training = Training(
            courses=courses_of(stage, warm),
            optimisation=stage.optimisation,
            seed=stage.seed,
            precision=stage.model.precision,
            pad_id=warm.tokenizer(stage.model).pad_token_id,
            until=self._over,
            rhythm=SaveRhythm(self._lease.clock, self._begin_save, lambda: self._lease.save_s),
        )
        encoder = self._encoder = self._encoder_to_train()
        width = encoder.config.hidden_size
        head_of = stage.head_of if isinstance(stage, TargetStage) else ""
        earlier = warm.heads.head(warm.task(head_of), width, stage.parent) if head_of else None
        self._learner = Learner(
            encoder,
            [warm.task(share.task) for share in shares_of(stage)],
            width=width,
            optimisation=stage.optimisation,
            seed=stage.seed,
        )
        if earlier is not None:
            self._learner.take_head(shares_of(stage)[0].task, earlier)
        if not self._lease.save_s:
            weights = (parameter for _, parameter in self._learner.named_parameters())
            n_bytes = _STATES * sum(weight.numel() * weight.element_size() for weight in weights)
            self._lease.save_s = n_bytes / _SAVE_BYTES_PER_S
        goes_on = self._restored()
        open_data(self._training.courses, self._progress, end_tokens(stage) - self._progress.n_tokens)
        fits = Fits(warm.cache_dir, warm.device)
        self._fitting = Fitting(stage.model, self._learner, self._training, fits)
        self._fitting.begin(self._progress, fresh=not goes_on)
        self._tokens_at_start = self._progress.n_tokens

    def _encoder_to_train(self) -> PreTrainedModel:
        stage, warm = self._stage, self._warm
        if stage.kind is not StageKind.PRETRAIN:
            return warm.to_train(stage.model, stage.parent, stage.seed)
        if stage.model.tuning != FULL:
            raise ModelError(
                f"{stage.model.name} starts from random weights, and tuning {stage.model.tuning} would "
                "leave them as they are. Pretrain it in full; stages above may have an adapter."
            )
        return warm.fresh_encoder(stage.model, stage.seed)

    def train(self) -> Outcome:
        """The legs that are left, in order."""
        try:
            return self._train_legs()
        except InfeasibleError as error:
            self._error = str(error)
            return Outcome.INFEASIBLE
        finally:
            self._fitting.note(self._progress)

    def _train_legs(self) -> Outcome:
        outcome = Outcome.DONE
        for number in range(self._progress.leg, n_legs(self._stage)):
            leg = leg_of(self._stage, number, self._progress.leg_start_tokens)
            outcome = train(self._learner, leg, self._training, self._progress, self._losses)
            if outcome is not Outcome.DONE:
                return outcome
            if number + 1 < n_legs(self._stage):
                self._progress.begin_leg(number + 1)
                self._trunk = Snapshot.of(self._learner, self._progress)
        return outcome

    def finish(self, outcome: Outcome) -> None:
        """Save what the outcome leaves: the stage, a partial state, or nothing."""
        if outcome is Outcome.TRUNCATED:
            self._saves.save(self._learner, self._progress, self._trunk)
            return
        self._saves.wait()
        if outcome is Outcome.DONE:
            with self._store.write(self._name, self._stage) as folder:
                self._write_stage(folder)
            self._warm.keep(self._name, self._learner.heads, self._base())
        self._store.drop(self._name + PARTIAL)

    def trained(self, outcome: Outcome) -> Trained:
        """The lease's numbers."""
        n_steps = max(1, self._progress.step)
        return Trained(
            outcome=outcome,
            n_tokens=self._progress.n_tokens - self._tokens_at_start,
            facts=self._facts(),
            rates={task: steps / n_steps for task, steps in self._progress.steps_by_task.items()},
            error=self._error,
        )

    def let_go(self) -> None:
        """Free the optimiser's state now: the save rhythm refers back to this object."""
        self._saves.wait()
        self.__dict__.clear()

    def _restored(self) -> bool:
        """Go back to where an earlier stage ended, or, and then it is true, where this one stopped."""
        stage = self._stage
        with self._store.reading(self._name + PARTIAL) as folder:
            if folder is not None:
                self._progress = Snapshot.load(folder).restore(self._learner)
                if (folder / TRUNK).is_dir():
                    self._trunk = Snapshot.load(folder / TRUNK)
                return True
        if isinstance(stage, IntermediateStage) and stage.continues is not None:
            folder = self._store.open(stage.continues)
            self._progress = Snapshot.load(folder / TRUNK).restore(self._learner)
            self._progress.begin_stage()
        return False

    def _over(self) -> bool:
        """Whether to stop between two steps; what kept the last save from being written is raised."""
        self._saves.check()
        return self._lease.over()

    def _begin_save(self) -> None:
        self._saves.begin(self._learner, self._progress, self._trunk)

    def _write_stage(self, folder: Path) -> None:
        if self._warm.adapter is None:
            save_encoder(self._encoder, self._warm.tokenizer(self._stage.model), folder)
        else:
            self._warm.adapter.save(folder, self._base())
        save_heads(self._learner.heads, folder)
        if self._trunk is not None:
            self._trunk.save(folder / TRUNK)
        trained = self.trained(Outcome.DONE)
        record = {"facts": trained.facts, "rates": trained.rates}
        (folder / FACTS).write_text(json.dumps(record, indent=1, sort_keys=True))

    def _base(self) -> str | None:
        """The stage whose encoder the adapter sits in, if one is trained."""
        return self._warm.base_of(self._stage.parent)

    def _facts(self) -> dict[str, float]:
        facts = {"padding_share": 1.0 - self._progress.n_tokens / max(1, self._progress.n_padded)}
        if self._losses.by_step:
            facts["final_loss"] = self._losses.final
        if self._progress.oom_splits:
            facts["oom_splits"] = float(self._progress.oom_splits)
        if self._progress.part_tokens:
            facts["part_tokens"] = float(min(self._progress.part_tokens.values()))
        return facts | left_out(self._training.courses, self._progress)
