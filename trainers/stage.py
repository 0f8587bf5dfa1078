"""What a stage is: the configs that name it.

Plain data, no torch: the scheduler plans with these. ``trainers/order.py`` says what starts and ends
one; ``trainers/loop.py`` trains them, and ``trainers/worker.py`` carries out any of them on a warm
process.

A config holds everything that decides the result and nothing about where it runs, unless that is what
is measured. It contains its
parent's fingerprint, so a chain of stages is its own key:

    pretrain -> intermediate(1M) -> intermediate(4M) -> ...
                     |                    |
                   target ...           target -> evaluate(search), evaluate(report), infer

A merge stands on several: single-task intermediate stages, and the target stage of the control.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trainers.fingerprint import fingerprint
from trainers.inference.load import Load
from trainers.tasks.source import DataIdentity

CODE_VERSION = 3  # raised when a change to the loop or a family changes results


class StageKind(StrEnum):
    """The pieces of device work."""

    PRETRAIN = "pretrain"
    INTERMEDIATE = "intermediate"
    TARGET = "target"
    EVALUATE = "evaluate"
    MERGE = "merge"
    INFER = "infer"


class Half(StrEnum):
    """Which examples an evaluation may see. The two never share one."""

    SEARCH = "search"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The encoder a stage works on.

    Attributes:
        name: entry in ``trainers/models.py`` or a local directory's name.
        revision: hub revision, or digest of a local directory's weights and config.
        tuning: which weights are trained, one of ``trainers/adapter_places.py``.
        precision: ``fp32`` or ``bf16`` (autocast over float32 weights).
    """

    name: str
    revision: str
    tuning: str = "full"
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How a training stage steps.

    Attributes:
        learning_rate: peak, held constant after warm-up.
        batch_tokens: tokens (with padding) per optimiser step.
        accumulation: micro-batches per optimiser step, each of ``batch_tokens / accumulation``.
        warmup_share: share of the stage's tokens spent rising from zero; once per chain.
        decay_share: tokens of the decay branch as a share of the stage's tokens.
        weight_decay: none on biases and LayerNorm.
        clip_norm: largest gradient norm.
    """

    learning_rate: float
    batch_tokens: int = 2048
    accumulation: int = 1
    warmup_share: float = 0.06
    decay_share: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class TaskShare:
    """One task of a mix: the chance that a batch comes from it, its data, its ``definition``."""

    task: str
    rate: float
    data: tuple[DataIdentity, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True)
class PretrainStage:
    """Masked-LM from random weights: how the toy world gets its encoder."""

    model: ModelRef
    shares: tuple[TaskShare, ...]
    tokens: int
    optimisation: Optimisation
    seed: int
    code: int = CODE_VERSION

    kind = StageKind.PRETRAIN
    parent = None


@dataclass(frozen=True, slots=True)
class IntermediateStage:
    """A mix trained up to ``tokens`` tokens, continuing a shorter stage's constant-rate trunk.

    Attributes:
        parent: fingerprint of the pretrain stage, None for a published model.
        continues: fingerprint of the intermediate stage with ``tokens_before`` tokens, or None.
    """

    model: ModelRef
    parent: str | None
    continues: str | None
    shares: tuple[TaskShare, ...]
    tokens_before: int
    tokens: int
    optimisation: Optimisation
    seed: int
    code: int = CODE_VERSION

    kind = StageKind.INTERMEDIATE


@dataclass(frozen=True, slots=True)
class TargetStage:
    """Fine-tuning on the English data of one target task, from the encoder of ``parent``.

    Attributes:
        definition: of the task (``TaskSpec.definition``).
        head_of: the task whose trained head in ``parent`` this stage's head starts from, where the
            two are of one shape (``TaskSpec.after``); empty for a new head.
    """

    model: ModelRef
    parent: str | None
    task: str
    data: tuple[DataIdentity, ...]
    tokens: int
    optimisation: Optimisation
    seed: int
    definition: str = ""
    head_of: str = ""
    code: int = CODE_VERSION

    kind = StageKind.TARGET


@dataclass(frozen=True, slots=True)
class EvaluateStage:
    """Scores of one target task on its cells, zero-shot.

    Attributes:
        parent: the target stage, or for retrieval the stage whose encoder is judged; None for
            retrieval straight from a published model.
        languages: the cells.
        half: search or report.
        data: of the cells, and of the pool that their candidates come from.
        max_examples: examples per cell at most, the first by hash of id; None for all.
        definition: of the task (``TaskSpec.definition``).
    """

    model: ModelRef
    parent: str | None
    task: str
    languages: tuple[str, ...]
    half: Half
    data: tuple[DataIdentity, ...]
    max_examples: int | None = None
    definition: str = ""
    code: int = CODE_VERSION

    kind = StageKind.EVALUATE


@dataclass(frozen=True, slots=True)
class MergePart:
    """A task vector of a merge, by its rate: the encoder of a single-task ``stage`` minus the base."""

    stage: str
    weight: float


@dataclass(frozen=True, slots=True)
class MergeStage:
    """Scores of one target task on an encoder that was merged, not trained; no weights are saved.

        theta = base + scale * sum_i weight_i (theta_i - base) [+ theta_target - base]

    Attributes:
        base: fingerprint of the pretrain stage, None for a published model.
        parts: the mix, a task vector per task.
        scale: of the mix's task vectors.
        target: the control's target stage of this task, whose task vector is added and whose head is
            used; None for retrieval.
        languages, half, data, max_examples, definition: as in :class:`EvaluateStage`.
    """

    model: ModelRef
    base: str | None
    parts: tuple[MergePart, ...]
    scale: float
    target: str | None
    task: str
    languages: tuple[str, ...]
    half: Half
    data: tuple[DataIdentity, ...]
    max_examples: int | None = None
    definition: str = ""
    code: int = CODE_VERSION

    kind = StageKind.MERGE


@dataclass(frozen=True, slots=True)
class InferStage:
    """What a finished model takes to answer: latency, throughput, memory; no weights are saved.

    Attributes:
        parent: the target stage, or for retrieval the stage whose encoder answers; None for retrieval
            straight from a published model.
        languages: the cells whose search half is asked.
        data: of the cells, and of the pool that their candidates come from.
        load: the traffic.
        device: where it is to run, as far as the driver knows: figures are true of no other.
        max_examples: per cell at most; None for all.
        folded: whether an adapter is added to the weights that it adapts before the model answers.
        definition: of the task (``TaskSpec.definition``).
    """

    model: ModelRef
    parent: str | None
    task: str
    languages: tuple[str, ...]
    data: tuple[DataIdentity, ...]
    load: Load
    device: str = ""
    max_examples: int | None = None
    folded: bool = False
    definition: str = ""
    code: int = CODE_VERSION

    kind = StageKind.INFER


TrainingStage = PretrainStage | IntermediateStage | TargetStage
ScoringStage = EvaluateStage | MergeStage
Stage = TrainingStage | ScoringStage | InferStage


def shares_of(stage: TrainingStage) -> tuple[TaskShare, ...]:
    """The tasks a stage trains, with the share of steps each gets."""
    if isinstance(stage, TargetStage):
        return (TaskShare(stage.task, 1.0, stage.data),)
    return stage.shares


def end_tokens(stage: TrainingStage) -> float:
    """Tokens at which its last leg ends (``trainers/legs.py``), over the whole chain."""
    branch = stage.optimisation.decay_share if isinstance(stage, IntermediateStage) else 0.0
    return stage.tokens * (1 + branch)


def parents_of(stage: Stage) -> tuple[str, ...]:
    """Fingerprints of the stages that ``stage`` stands on, the nearest first."""
    above: tuple[str | None, ...] = ()
    match stage:
        case IntermediateStage():
            above = (stage.continues, stage.parent)
        case TargetStage() | EvaluateStage() | InferStage():
            above = (stage.parent,)
        case MergeStage():
            above = (*(part.stage for part in stage.parts), stage.target, stage.base)
        case PretrainStage():
            pass
    return tuple(name for name in above if name is not None)


def stage_name(stage: Stage) -> str:
    """The stage's fingerprint: its key in the store, in the journal and in every record."""
    return fingerprint(stage)
