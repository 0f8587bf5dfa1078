"""What tasks are worth in a finished study: effects with intervals, for the score and each target group.

The surrogate (``scheduler/surrogate.py``) is fitted to every finished rung of the search, whoever
proposed it and without a prior. With f its expected score at the top rung, in points on search cells,
and S a set of other tasks,

    alone(i)       = f({i}) - f(control)
    added(i)       = mean over S of f(S + i) - f(S)
    growth(i)      = added(i) at the top rung - added(i) at the first
    together(i, j) = f(S + i + j) - f(S + i) - f(S + j) + f(S),   the same for every S with a task

S takes every set for which both S and S + i have an allowed number of tasks (none is the control), each
as often; where only one number is allowed, every set with one task fewer; of more than 256 sets, 256
drawn ones. Searched numbers (cap, temperature, text share) are in the middle of their ranges. All are
linear in the weights, so posterior mean and standard deviation follow at once. The standard deviation is
given 1.2 times as large, for penalty and noise are estimates: in simulation intervals of 95 % (mean -/+
1.96 sd) then cover 91 to 98 %, without it 85 to 95 %. They say how sure the regression is of this
study, its seed and its search cells, not that another study would agree.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from scheduler.arms import bare
from scheduler.features import Features, Floats
from scheduler.gain import SCORE
from scheduler.observation import Observation
from scheduler.observed import observations_of
from scheduler.space import MixSpace
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.study import space_of
from scheduler.surrogate import Fit, Surrogate
from scheduler.trial import Arm

_SETS = 256
WIDER = 1.2  # docs/methods.md, "Effects"
_REACH = 1.959964  # standard deviations to either end of an interval of 95 %


@dataclass(frozen=True, slots=True)
class Effect:
    """Points and how sure they are.

    Attributes:
        points: posterior mean.
        sd: its standard deviation.
    """

    points: float
    sd: float

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the interval of 95 %."""
        return self.points - _REACH * self.sd, self.points + _REACH * self.sd


@dataclass(frozen=True, slots=True)
class TaskEffect:
    """What one intermediate task is worth; the module says how each is defined.

    Attributes:
        n_mixes: observed mixes that it was in; without any the effect is what was expected beforehand.
        growth: None in a study of one rung.
    """

    task: str
    n_mixes: int
    alone: Effect
    added: Effect
    growth: Effect | None


@dataclass(frozen=True, slots=True)
class PairEffect:
    """What two tasks do to one another.

    Attributes:
        n_mixes: observed mixes that both were in.
    """

    tasks: tuple[str, str]
    n_mixes: int
    together: Effect


@dataclass(frozen=True, slots=True)
class Effects:
    """What intermediate tasks do to the score, or to a group of target tasks.

    Attributes:
        of: ``score``, or the group's name.
        n_observations: finished rungs of the search behind it.
        n_mixes: different mixes among them, the control not counted.
        noise_sd: of one measurement beside the regression, in points.
        tasks: in the order of the spec.
        pairs: in the same order.
    """

    of: str
    n_observations: int
    n_mixes: int
    noise_sd: float
    tasks: tuple[TaskEffect, ...]
    pairs: tuple[PairEffect, ...]


def effects_of(state: StudyState, spec: StudySpec) -> tuple[Effects, ...]:
    """Effects on the score, then on each target group by name; none without a scored mix and control."""
    seen, arms = observations_of(state, spec), spec.arms if len(spec.arms) > 1 else ()
    return effects_in(seen, space_of(spec), spec.intermediate.rungs, arms)


def effects_in(
    seen: Sequence[Observation], space: MixSpace, rungs: Sequence[int], arms: Sequence[Arm] = ()
) -> tuple[Effects, ...]:
    """As above, of observations of a space at some rungs; of several arms, the mean over them."""
    if all(one.mix.count for one in seen) or not any(one.mix.count for one in seen):
        return ()
    surrogate = Surrogate(space, rungs, arms=arms)
    for one in seen:
        surrogate.learn(one)
    groups = sorted({name for one in surrogate.seen for name in one.groups})
    return tuple(_effects(of, surrogate, space, grows=len(rungs) > 1) for of in (SCORE, *groups))


def _effects(of: str, surrogate: Surrogate, space: MixSpace, *, grows: bool) -> Effects:
    fit = surrogate.fit(of)
    contrasts = Contrasts(surrogate.features, len(space.tasks), space.count)
    seen = [one for one in surrogate.seen if of == SCORE or of in one.groups]
    mixes = {bare(one.mix) for one in seen if one.mix.count}
    tasks = tuple(
        TaskEffect(
            task,
            sum(task in mix.tasks for mix in mixes),
            _effect(fit, contrasts.alone(i)),
            _effect(fit, contrasts.added(i, 0.0)),
            _effect(fit, contrasts.added(i, 0.0) - contrasts.added(i, -1.0)) if grows else None,
        )
        for i, task in enumerate(space.tasks)
    )
    pairs = tuple(
        PairEffect(
            (first, second),
            sum(first in mix.tasks and second in mix.tasks for mix in mixes),
            _effect(fit, contrasts.together(i, j)),
        )
        for (i, first), (j, second) in combinations(enumerate(space.tasks), 2)
    )
    return Effects(of, len(seen), len(mixes), fit.noise_sd, tasks, pairs)


def _effect(fit: Fit, contrast: Floats) -> Effect:
    """The posterior of a linear function of the weights."""
    sd = WIDER * fit.unit * math.sqrt(max(0.0, float(contrast @ fit.covariance @ contrast)))
    return Effect(fit.unit * float(contrast @ fit.weights), sd)


class Contrasts:
    """Effects as linear functions of the weights, each a row as long as a design matrix is wide."""

    def __init__(self, features: Features, n_tasks: int, count: tuple[int, int]) -> None:
        """Contrasts of a space of ``n_tasks`` tasks, ``count`` of them at least and at most in a mix."""
        self._features = features
        self._n = n_tasks
        low, high = count
        self._sizes = range(low, high) if low < high else range(high - 1, high)

    def alone(self, i: int) -> Floats:
        """Of task ``i`` alone at the top."""
        return self._difference(self._bits([(i,)]), self._bits([()]), 0.0)

    def added(self, i: int, z: float) -> Floats:
        """Of task ``i`` added to others, so far below the top."""
        others = [j for j in range(self._n) if j != i]
        sets = subsets_of(others, self._sizes)
        return self._difference(self._bits([(*one, i) for one in sets]), self._bits(sets), z)

    def together(self, i: int, j: int) -> Floats:
        """Of tasks ``i`` and ``j`` beside what each does; that a stage runs at all cancels out."""
        signs = np.array([1.0, -1.0, -1.0, 1.0])
        contrast: Floats = signs @ self._features.subsets(self._bits([(i, j), (i,), (j,), ()]), 0.0)
        return contrast

    def _difference(self, more: Floats, fewer: Floats, z: float) -> Floats:
        """Mean row of ``more`` minus that of ``fewer``, of which none is the control."""
        rows = self._features.subsets(fewer, z)
        rows[~fewer.any(axis=1)] = self._features.control
        contrast: Floats = self._features.subsets(more, z).mean(axis=0) - rows.mean(axis=0)
        return contrast

    def _bits(self, sets: Sequence[tuple[int, ...]]) -> Floats:
        bits = np.zeros((len(sets), self._n))
        for row, one in zip(bits, sets, strict=True):
            row[list(one)] = 1.0
        return bits


def subsets_of(others: Sequence[int], sizes: range) -> list[tuple[int, ...]]:
    """Every set of ``others`` of these sizes, or of more than can be listed as many drawn ones."""
    numbers = [math.comb(len(others), size) for size in sizes]
    if sum(numbers) <= _SETS:
        return [one for size in sizes for one in combinations(others, size)]
    draws = random.Random(f"{others}")
    drawn = draws.choices(sizes, weights=numbers, k=_SETS)
    return [tuple(draws.sample(others, size)) for size in drawn]
