"""Trials by rung: cells, score, and what the recipe costs on its own.

A trial's own cost leaves sharing out: it is what every stage on its way to that rung took, whichever
trial paid, so that two recipes are compared by what they need and not by who came first. For the same
reason loading and idling are left out, and of a stage that the store had what it was expected to take is
in (``scheduler/stage_cost.py``). Pretraining, which all recipes of a study have in common, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from budgets.amount import DeviceTime
from experiments.load import Study
from scheduler.stage_cost import stage_cost
from scheduler.state import StageRecord, StudyState
from scheduler.trial import Role, Trial
from trainers.order import CellScore
from trainers.stage import EvaluateStage, Half, IntermediateStage, parents_of

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """One trial at one rung, evaluated.

    Attributes:
        rung: counted from 0; the control stands at every rung with the same result.
        score: mean over target tasks of the mean over their cells, points.
        cells: (task, language) -> score.
        stages: evaluate stages by fingerprint -> task.
        alone: device time of all stages on the way, whoever paid, without loading.
        store: where its stages lie.
    """

    trial: Trial
    rung: int
    half: Half
    score: float
    cells: Mapping[Cell, CellScore]
    stages: Mapping[str, str]
    alone: DeviceTime
    store: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One line of the table of all trials."""

    trial: Trial
    origin: str
    reason: str
    rung: int | None
    score: float | None
    charged: DeviceTime
    alone: DeviceTime | None


def score_of(values: Mapping[Cell, float]) -> float:
    """Mean over tasks of the mean over each task's cells."""
    by_task: dict[str, list[float]] = {}
    for (task, _), value in values.items():
        by_task.setdefault(task, []).append(value)
    means = [sum(of_task) / len(of_task) for of_task in by_task.values()]
    return sum(means) / len(means)


def standings(study: Study, half: Half) -> tuple[Standing, ...]:
    """Every trial at every rung it was evaluated on, on one half of the examples.

    Only complete ones: a rung counts when every target task of the study was scored.
    """
    wanted = set(study.spec.target.tasks)
    found = []
    for trial in study.state.trials.values():
        by_rung: dict[int, list[StageRecord]] = {}
        for record in _evaluations(study.state, trial.name, half):
            if record.done:
                by_rung.setdefault(rung_of(study, record), []).append(record)
        for rung, records in sorted(by_rung.items()):
            standing = _standing(study, trial, rung, half, records)
            if {task for task, _ in standing.cells} >= wanted:
                found.append(standing)
    return tuple(found)


def rung_of(study: Study, record: StageRecord) -> int:
    """The rung an evaluation belongs to, from the tokens of the intermediate stage under it.

    The control has no intermediate stage; it counts as rung 0 and, having no rungs, as the top too.
    """
    tokens = max(
        (s.tokens for s in _configs(study.state, record) if isinstance(s, IntermediateStage)), default=0
    )
    rungs = study.spec.intermediate.rungs
    return rungs.index(tokens) if tokens in rungs else 0


def trial_rows(study: Study, standing: tuple[Standing, ...]) -> tuple[TrialRow, ...]:
    """All trials, in order of proposal, with the highest rung each was scored on."""
    paid: dict[str, int] = {}
    for charge in study.charges:
        paid[charge.trial] = paid.get(charge.trial, 0) + charge.amount.ms
    top: dict[str, Standing] = {}
    for one in standing:
        if one.trial.name not in top or one.rung >= top[one.trial.name].rung:
            top[one.trial.name] = one
    return tuple(
        TrialRow(
            trial=trial,
            origin=study.state.origins.get(trial.name, ""),
            reason=study.state.reasons.get(trial.name, ""),
            rung=top[trial.name].rung if trial.name in top else None,
            score=top[trial.name].score if trial.name in top else None,
            charged=DeviceTime(paid.get(trial.name, 0)),
            alone=top[trial.name].alone if trial.name in top else None,
        )
        for trial in study.state.trials.values()
    )


def _standing(study: Study, trial: Trial, rung: int, half: Half, records: list[StageRecord]) -> Standing:
    cells = {(cell.task, cell.language): cell for record in records for cell in record.scores}
    way = {r.name: r for record in records for r in _way(study.state, record)}
    rate = study.spec.budget.devices.highest_rate
    return Standing(
        trial=trial,
        rung=rung,
        half=half,
        score=score_of({cell: scored.value for cell, scored in cells.items()}) if cells else 0.0,
        cells=cells,
        stages={r.name: r.config.task for r in records if isinstance(r.config, EvaluateStage)},
        alone=DeviceTime.total(
            stage_cost(r, rate).own for r in way.values() if r.config.kind != "pretrain"
        ),
        store=study.store,
    )


def _evaluations(state: StudyState, trial: str, half: Half) -> Iterator[StageRecord]:
    """Evaluate stages that a trial ran or shared."""
    shared = state.shared.get(trial, set())
    for record in state.stages.values():
        ours = record.name in shared or any(lease.started.trial == trial for lease in record.leases)
        if ours and isinstance(record.config, EvaluateStage) and record.config.half is half:
            yield record


def _way(state: StudyState, record: StageRecord) -> Iterator[StageRecord]:
    """The stage and all stages it stands on, as far as this journal knows them."""
    yield record
    for name in parents_of(record.config):
        if name in state.stages:
            yield from _way(state, state.stages[name])


def _configs(state: StudyState, record: StageRecord) -> Iterator[object]:
    return (ancestor.config for ancestor in _way(state, record))


def is_control(trial: Trial) -> bool:
    """Whether a trial, searched or final, has no intermediate task."""
    return trial.role is Role.CONTROL or trial.recipe.mix.count == 0
