"""What the journal says of inference: a row per trial, task and form of adapter.

A final that shares its first seed's stages with the search has the same figures as the trial it repeats;
who compares seeds takes the finals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.state import StageRecord, StudyState
from scheduler.trial import Trial
from trainers.order import Outcome
from trainers.stage import InferStage


@dataclass(frozen=True, slots=True)
class Answered:
    """A model that was asked.

    Attributes:
        trial: whose model it is, with its recipe: arm, mix and seed.
        stage: fingerprint; its logs lie in the store under it.
        task: that it answered.
        folded: whether its adapter was added to the weights.
        facts: by name with units (docs/methods.md, "Inference").
        texts: LoadGen's summaries by scenario.
        device: that it ran on.
    """

    trial: Trial
    stage: str
    task: str
    folded: bool
    facts: Mapping[str, float]
    texts: Mapping[str, str]
    device: str


def answered_in(state: StudyState) -> tuple[Answered, ...]:
    """Every model of a study that was asked to the end, in the order in which they were."""
    return tuple(
        row
        for record in state.stages.values()
        if isinstance(record.config, InferStage) and record.done
        for row in _rows(record, record.config, state)
    )


def _rows(record: StageRecord, stage: InferStage, state: StudyState) -> list[Answered]:
    (measured, *_) = (m for m in record.measurements if m.outcome is Outcome.DONE)
    own = {lease.started.trial for lease in record.leases}
    sharing = {trial for trial, stages in state.shared.items() if record.name in stages}
    device = measured.cpu or measured.device
    return [
        Answered(
            state.trials[name],
            record.name,
            stage.task,
            stage.folded,
            measured.facts,
            measured.texts,
            device,
        )
        for name in sorted(own | sharing)
    ]
