"""What a study's records say its mixes were worth, rung by rung, whoever proposed them.

The engine hands a sampler the same observations as they are made (``Climb.observation``); these are
rebuilt from the journal alone, without data or a model at hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.arms import observed_as
from scheduler.observation import Observation
from scheduler.score import group_means, sampling_error
from scheduler.spec import StudySpec
from scheduler.state import StageRecord, StudyState
from scheduler.trial import Trial
from trainers.order import CellScore
from trainers.stage import EvaluateStage, Half, IntermediateStage, TargetStage

_OTHER_GROUP = "other"  # of a task that is no longer known here


def observations_of(state: StudyState, spec: StudySpec) -> tuple[Observation, ...]:
    """Every rung of training that a searched trial finished, by trial; costs are not asked and 0."""
    return tuple(
        _observation(trial, rung, tokens, _cells(state, trial.name, tokens), spec)
        for trial in state.searched
        for rung, tokens in _finished(trial, spec)
    )


def _finished(trial: Trial, spec: StudySpec) -> Iterator[tuple[int, int]]:
    """Rungs with a score and their tokens, none for the control."""
    for rung in sorted(trial.scores):
        if rung >= 0:
            yield rung, spec.intermediate.rungs[rung] if trial.recipe.mix.count else 0


def _observation(
    trial: Trial, rung: int, tokens: int, cells: list[CellScore], spec: StudySpec
) -> Observation:
    known = spec.catalogue
    groups = {task: known[task].group if task in known else _OTHER_GROUP for task in spec.target.tasks}
    return Observation(
        observed_as(trial.recipe, spec),
        rung,
        tokens,
        trial.scores[rung],
        sampling_error(cells),
        group_means(cells, groups),
        cost_ms=0,
        spent_ms=0,
    )


def _cells(state: StudyState, trial: str, tokens: int) -> list[CellScore]:
    """Search cells of a trial after an intermediate stage of ``tokens``, 0 for none."""
    shared = state.shared.get(trial, set())
    return [
        cell
        for record in state.stages.values()
        if isinstance(record.config, EvaluateStage) and record.config.half is Half.SEARCH
        if record.name in shared or any(lease.started.trial == trial for lease in record.leases)
        if _tokens(state, record) == tokens
        for cell in record.scores
    ]


def _tokens(state: StudyState, record: StageRecord) -> int:
    """Tokens of the intermediate stage under an evaluation."""
    config = record.config
    while isinstance(config, EvaluateStage | TargetStage) and config.parent in state.stages:
        config = state.stages[config.parent].config
    return config.tokens if isinstance(config, IntermediateStage) else 0
