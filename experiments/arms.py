"""A study seen through one of its arms, and what each arm found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from budgets.amount import DeviceTime
from experiments.answer import Answer, answer_of
from experiments.load import Study
from experiments.surface import At, surface
from experiments.trials import Standing, standings
from scheduler.arms import bare
from scheduler.effects import Effects, effects_in
from scheduler.observed import observations_of
from scheduler.study import space_of
from scheduler.trial import Arm
from trainers.errors import ModelError
from trainers.models import entry
from trainers.stage import Half


@dataclass(frozen=True, slots=True)
class ArmFindings:
    """What one arm found.

    Attributes:
        study: as if only this arm's trials had been run; its money is that of the whole.
        answer: its finalists against its own control.
        found: its trials on search examples.
        effects: of tasks, in this arm.
        surface: score by number of tasks and compute, in this arm.
        charged: device time that its trials paid; what arms share counts where it was paid.
    """

    arm: Arm
    study: Study
    answer: Answer
    found: tuple[Standing, ...]
    effects: tuple[Effects, ...]
    surface: tuple[At, ...]
    charged: DeviceTime


def findings_of(study: Study) -> tuple[ArmFindings, ...]:
    """One for each arm of the spec, in its order."""
    return tuple(_findings(study, arm) for arm in study.spec.arms)


def leading(findings: Sequence[ArmFindings]) -> ArmFindings:
    """The arm with the highest score, arms that were judged on report examples first."""

    def standing(one: ArmFindings) -> tuple[bool, float]:
        scored = [c.score for c in (one.answer.best, one.answer.control) if c is not None]
        return one.answer.final, max(scored, default=-math.inf)

    return max(findings, key=standing)


def label(arm: Arm, arms: Sequence[Arm]) -> str:
    """The factors in which the arms of a study differ; the model where there is but one arm."""
    differ = [
        factor
        for factor in ("model", "tuning", "languages")
        if len({getattr(a, factor) for a in arms}) > 1
    ]
    return ", ".join(short(getattr(arm, factor)) for factor in differ or ["model"])


def short(level: str) -> str:
    """A level of a factor; of a hub id or a path the last part."""
    return level.rstrip("/").rsplit("/", 1)[-1]


def weights_of(arm: Arm) -> int | None:
    """Weights of an arm's encoder, None where nothing says how many it has."""
    try:
        return entry(arm.model).n_parameters
    except ModelError:
        return None


def _findings(study: Study, arm: Arm) -> ArmFindings:
    seen = within(study, arm)
    names = set(seen.state.trials)
    known = [replace(o, mix=bare(o.mix)) for o in observations_of(seen.state, seen.spec)]
    space, rungs = space_of(seen.spec), seen.spec.intermediate.rungs
    return ArmFindings(
        arm=arm,
        study=seen,
        answer=answer_of(seen),
        found=standings(seen, Half.SEARCH),
        effects=effects_in(known, space, rungs),
        surface=surface(known, space, rungs, seen.spec.seed),
        charged=DeviceTime.total(c.amount for c in study.charges if c.trial in names),
    )


def within(study: Study, arm: Arm) -> Study:
    """The study with the trials of one arm alone."""
    trials = {name: t for name, t in study.state.trials.items() if t.recipe.arm == arm}
    return replace(study, state=replace(study.state, trials=trials))
