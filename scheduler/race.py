"""How arms stand to each other, from repetitions that are paired by seed.

    score of an arm with a seed = arm + seed + rest

by least squares over all repetitions, so that an arm with few seeds is compared on those it has. The
rest is taken to be as large for every arm, and the difference of two arms has a t-interval of 95 %.

The leader is the best arm beside the control. An arm is *out* when its whole interval lies below the
leader; of the others, the one whose interval reaches highest is the challenger. Leader and challenger
get the next seed (LUCB: Kalyanakrishnan et al. 2012, ICML, "PAC Subset Selection in Stochastic
Multi-armed Bandits"; intervals of paired differences as in irace: López-Ibáñez et al. 2016,
doi:10.1016/j.orp.2016.09.002).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from scheduler.quantiles import t_975

Floats = NDArray[np.float64]
Scores = Mapping[str, Mapping[int, float]]  # arm -> seed -> points

_SAME = 1e-6  # points; what is closer differs by rounding alone


@dataclass(frozen=True, slots=True)
class Gap:
    """How far an arm lies from the leader, in points, with the ends of its 95 % interval."""

    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Race:
    """Where the arms stand.

    Attributes:
        arms: those that run against each other, in the order in which they came.
        means: arm -> expected score over all seeds, in points; the control's too.
        gaps: arm -> its distance from the leader, the leader's own left out.
    """

    arms: tuple[str, ...]
    means: Mapping[str, float] = field(default_factory=dict)
    gaps: Mapping[str, Gap] = field(default_factory=dict)

    @property
    def ranked(self) -> tuple[str, ...]:
        """The arms by their mean, highest first; those that have none last."""

        def place(arm: str) -> tuple[bool, int]:
            return arm not in self.means, -round(self.means.get(arm, 0.0) / _SAME)

        return tuple(sorted(self.arms, key=place))

    @property
    def leader(self) -> str | None:
        """The first of the ranked."""
        return next(iter(self.ranked), None)

    def out(self, arm: str) -> bool:
        """Whether ``arm`` is surely below the leader."""
        return arm in self.gaps and self.gaps[arm].high < -_SAME

    @property
    def order(self) -> tuple[str, ...]:
        """The arms that are not out: the leader, the challenger, then the rest."""
        rivals = [arm for arm in self.arms if arm != self.leader and not self.out(arm)]
        rivals.sort(key=lambda arm: -self.gaps[arm].high if arm in self.gaps else -math.inf)
        return (*self.ranked[:1], *rivals)


def race(scores: Scores, *controls: str) -> Race:
    """Where all arms but the controls stand.

    Args:
        scores: of every arm, the controls among them; seeds that every control lacks do not count.
        controls: their names.
    """
    arms = tuple(arm for arm in scores if arm not in controls)
    shared = {seed for control in controls for seed in scores.get(control, {})}
    paired = {arm: {s: v for s, v in scores[arm].items() if s in shared} for arm in scores}
    scored = {arm: by_seed for arm, by_seed in paired.items() if by_seed}
    if not any(arm in scored for arm in arms) or not any(one in scored for one in controls):
        return Race(arms)
    means, covariance, freedom = _fitted(scored)
    standing = Race(arms, dict(zip(scored, means.tolist(), strict=True)))
    quantile = t_975(freedom) if freedom else math.inf
    leader = list(scored).index(standing.leader or "")
    gaps = dict(zip(scored, _gaps(means, covariance, leader, quantile), strict=True))
    return Race(arms, standing.means, {arm: gap for arm, gap in gaps.items() if arm != standing.leader})


def _fitted(scores: Scores) -> tuple[Floats, Floats, int]:
    """Mean of each arm over all seeds, their covariance, and the degrees of freedom behind it."""
    seeds = sorted(set(chain.from_iterable(scores.values())))
    rows = [(arm, seeds.index(s), v) for arm, of in enumerate(scores.values()) for s, v in of.items()]
    n_arms, n_seeds = len(scores), len(seeds)
    design = np.zeros((len(rows), n_arms + n_seeds))
    for row, (arm, seed, _) in enumerate(rows):
        design[row, [arm, n_arms + seed]] = 1.0
    values = np.array([value for *_, value in rows])
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T @ values
    of_means = np.hstack([np.eye(n_arms), np.full((n_arms, n_seeds), 1 / n_seeds)])
    freedom = len(rows) - (n_arms + n_seeds - 1)
    variance = np.sum((values - design @ weights) ** 2) / max(freedom, 1)
    return of_means @ weights, variance * of_means @ inverse @ of_means.T, freedom


def _gaps(means: Floats, covariance: Floats, leader: int, quantile: float) -> Iterator[Gap]:
    for arm, mean in enumerate(means.tolist()):
        points = mean - float(means[leader])
        variance = covariance[arm, arm] + covariance[leader, leader] - 2 * covariance[arm, leader]
        half = quantile * math.sqrt(max(variance, 0.0)) if math.isfinite(quantile) else math.inf
        yield Gap(points, points - half, points + half)
