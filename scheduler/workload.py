"""How much a stage does, in the forecast's terms: what costs alike, how much of it, and a first guess.

Work that costs alike has one key, from the general to the particular: the kind of stage, its family
and task, the model, and how it is computed, so that the forecast finds the nearest relative of what it
has never seen.

    pretrain, intermediate     tokens                    masked text costs a projection more
    target                     tokens
    evaluate                   rows that are read        each task has its own tokens a row
    merge                      the same                  and the encoders that it is made of are read
    infer                      ms that its load asks     scheduler/inference.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from budgets.forecast import Work
from scheduler.inference import duration_ms
from scheduler.readings import UNKNOWN_ROWS, readings
from trainers.candidates import MOST_BYTES
from trainers.models import ModelEntry, entry
from trainers.stage import (
    EvaluateStage,
    Half,
    InferStage,
    IntermediateStage,
    MergeStage,
    ModelRef,
    Optimisation,
    PretrainStage,
    ScoringStage,
    Stage,
    TargetStage,
)
from trainers.tasks.catalog import Catalogue
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import FamilyName, Split, TaskSpec

# Operations per second that a stage of this code reaches on one device before anything was
# measured. Deliberately low (docs/measurements.md, "first forecast"): a first hold that is too
# long is released, one that is too short ends a stage early.
_PRIOR_OPS_PER_S = {"cpu": 2.0e10, "gpu": 3.0e13}
_PRIOR_FIXED_MS = 400
_PRIOR_READ_BYTES_PER_S = 5.0e8  # of an encoder that is merged: from disk, and added
_BYTES_PER_WEIGHT = 4
_PRIOR_TOKENS_PER_ROW = 48
_MASKED_SHARE = 0.15  # of masked text's tokens that are predicted (trainers/families/masked.py)


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of stages.

    Attributes:
        tasks: that stages may name.
        models: of the study, by the names that its stages use.
        device_kind: ``gpu`` or ``cpu``.
        identity: what data a split has in a language.
    """

    tasks: Catalogue
    models: Mapping[str, ModelEntry]
    device_kind: str
    identity: Callable[[Split, str], DataIdentity]
    _others: dict[str, ModelEntry] = field(default_factory=dict)

    def of(self, stage: Stage) -> Work:
        """The work of ``stage``, which may be another study's.

        Raises:
            KeyError: its task is not among ``tasks``.
            ModelError, TaskError: its model or data are not there.
        """
        model = self._model(stage.model.name)
        weights = 12 * model.n_layers * model.width**2
        how = _how(stage.model)
        match stage:
            case EvaluateStage(task=name) | MergeStage(task=name):
                task, rows = self.tasks[name], self._rows_read(stage, model)
                ops = 2 * weights * _tokens_a_row(task) * rows
                read_ms = _n_read(stage) * _read_ms(model.n_parameters or weights)
                key = f"{stage.kind}/{task.family}/{name}/{how}"
                return Work(key, rows, self._prior_ms(ops) + read_ms)
            case InferStage(task=name, load=load):
                task, rows = self.tasks[name], self._rows_read(stage, model)
                sample_ms = 1000 * self._seconds(2 * weights * _tokens_a_row(task))
                asked_ms = duration_ms(load, rows, sample_ms)
                key = f"infer/{task.family}/{name}/{how}/{load.harness}"
                return Work(key, asked_ms, _PRIOR_FIXED_MS + asked_ms)
            case TargetStage(task=name, tokens=tokens):
                what, n_units = f"target/{self.tasks[name].family}/{name}", tokens
            case IntermediateStage():
                what, n_units = "intermediate", _trained(stage)
            case PretrainStage(tokens=tokens):
                what, n_units = "pretrain", tokens
        # Masked tokens are compared with the whole vocabulary: its weights count for their share.
        embeddings = max(0, (model.n_parameters or weights) - weights)
        masked = self._masked_share(stage) * _MASKED_SHARE * embeddings / weights
        n_units = round(n_units * (1 + masked))
        key = f"{what}/{how}/{_batch(stage.optimisation)}"
        return Work(key, n_units, self._prior_ms(6 * weights * n_units), readings(stage, self.tasks))

    def _prior_ms(self, operations: int) -> int:
        """Six operations per weight and trained token, two per weight and scored token."""
        return _PRIOR_FIXED_MS + round(1000 * self._seconds(operations))

    def _seconds(self, operations: int) -> float:
        return operations / _PRIOR_OPS_PER_S[self.device_kind]

    def _model(self, name: str) -> ModelEntry:
        if name in self.models:
            return self.models[name]
        if name not in self._others:
            self._others[name] = entry(name)
        return self._others[name]

    def _masked_share(self, stage: PretrainStage | IntermediateStage | TargetStage) -> float:
        if isinstance(stage, TargetStage):
            return 0.0
        masked = (s.rate for s in stage.shares if self.tasks[s.task].family is FamilyName.MASKED)
        return sum(masked)

    def _rows_read(self, stage: ScoringStage | InferStage, model: ModelEntry) -> int:
        """Examples that are scored or asked: half of a split that search and report share.

        The candidates of a ranking are read whole: once where their vectors are kept to score the next
        language, which an inference does not; what tunes a report is read with it.
        """
        task = self.tasks[stage.task]
        halved = 2 if any(task.halved(language) for language in stage.languages) else 1
        if not isinstance(stage, InferStage) and is_tuned(task, stage.half):
            halved = 1
        pool = {self.identity(split, language) for split in task.pool for language in split.languages}
        rows = {data: data.n_rows or UNKNOWN_ROWS for data in stage.data}
        asked = (n // halved for data, n in rows.items() if data not in pool or task.search == task.pool)
        candidates = sum(n for data, n in rows.items() if data in pool)
        scored = sum(min(n, stage.max_examples or n) for n in asked)
        kept = _BYTES_PER_WEIGHT * model.width * candidates <= MOST_BYTES
        once = kept and not isinstance(stage, InferStage)
        return scored + candidates * (1 if once else len(stage.languages))


def is_tuned(task: TaskSpec, half: Half) -> bool:
    """Whether the examples of the search set a threshold that this half is scored with."""
    return task.family is FamilyName.MINING and half is Half.REPORT


def _n_read(stage: ScoringStage) -> int:
    """Encoders that are read to be merged: the parts, the base, and that of the target stage."""
    return len(stage.parts) + 1 + (stage.target is not None) if isinstance(stage, MergeStage) else 0


def _read_ms(n_weights: int) -> int:
    return round(1000 * _BYTES_PER_WEIGHT * n_weights / _PRIOR_READ_BYTES_PER_S)


def _trained(stage: IntermediateStage) -> int:
    """Tokens of the trunk that are new, and those of the decay branch."""
    return stage.tokens - stage.tokens_before + round(stage.optimisation.decay_share * stage.tokens)


def _how(model: ModelRef) -> str:
    return f"{model.name.strip('/').replace('/', '_')}/{model.tuning}/{model.precision}"


def _batch(steps: Optimisation) -> str:
    return f"{steps.batch_tokens}x{steps.accumulation}"


def _tokens_a_row(task: TaskSpec) -> int:
    """A guess at an example's tokens; passages fill about half of what fits."""
    if task.family in (FamilyName.SPANS, FamilyName.RANKING):
        return max(_PRIOR_TOKENS_PER_ROW, task.max_length // 2)
    return _PRIOR_TOKENS_PER_ROW
