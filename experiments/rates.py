"""How often each task of a mix was to be drawn, and how often it really was."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.load import Study
from scheduler.state import StageRecord
from trainers.order import Outcome
from trainers.stage import IntermediateStage


@dataclass(frozen=True, slots=True)
class Rate:
    """One task of a trial's mix.

    Attributes:
        planned: the chance that a step is taken on it, from the rule.
        drawn: the share of steps that were, over the whole chain of rungs; None where it is not known.
    """

    task: str
    planned: float
    drawn: float | None


def rates_of(study: Study, trial: str) -> tuple[Rate, ...]:
    """The rates of a trial at its longest finished intermediate stage; none before there is one."""
    shared = study.state.shared.get(trial, set())
    tasks = set(study.state.trials[trial].recipe.mix.tasks)
    longest: tuple[IntermediateStage, StageRecord] | None = None
    for record in study.state.stages.values():
        ours = record.name in shared or any(lease.started.trial == trial for lease in record.leases)
        stage = record.config
        if not (ours and record.done and isinstance(stage, IntermediateStage)):
            continue
        if {share.task for share in stage.shares} != tasks:
            continue  # one task's alone, of which the mix was merged
        if longest is None or stage.tokens > longest[0].tokens:
            longest = stage, record
    if longest is None:
        return ()
    stage, record = longest
    drawn = next(m.rates for m in record.measurements if m.outcome is Outcome.DONE)
    never = 0.0 if drawn else None
    return tuple(Rate(share.task, share.rate, drawn.get(share.task, never)) for share in stage.shares)
