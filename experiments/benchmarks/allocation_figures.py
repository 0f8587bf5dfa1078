"""What replays add up to: regret, dominated hypervolume, and the share of a budget that was enough.

    regret(t)  = best value in the table - value of the recommendation after t of charged device time
    hypervolume(t) = area that the recipes judged by t dominate, in (value up, cost down), beyond the
                 control's value and the dearest recipe's cost, as a share of what the whole table does
    ratio(B)   = device time after which the mean recommendation of ours is worth what the baseline's is
                 after all of B, over B; infinite where it is not within B

Intervals are 95 % percentile bootstrap over runs; the ratio resamples both arms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np
import numpy.typing as npt

from experiments.benchmarks.allocation_replay import Method, Replay
from experiments.benchmarks.allocation_world import Choice, World

N_REPLICATES = 2000
_SEED = 20_260_101
Steps = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or ratio with its 95 % interval; infinite where a target was not reached."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float | None]:
        """Value, low, high; null for what is infinite."""
        return [x if math.isfinite(x) else None for x in (self.value, self.low, self.high)]


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one budget.

    Attributes:
        regret: at the end, in points.
        hypervolume: at the end, 0 to 1; None where every recipe costs the same to use.
        overspent_ms: the most that any run charged beyond the cap.
        repeated_ms: mean over runs.
        charged_ms: mean over runs.
        decision_ms: median and 99th percentile of an ask, in real time; None for a peer.
        reached: share of the budget after which it is worth what the baseline is after all of it.
    """

    method: str
    budget_ms: int
    n_runs: int
    regret: Estimate
    hypervolume: Estimate | None
    overspent_ms: int
    repeated_ms: float
    charged_ms: float
    decision_ms: tuple[float, float] | None
    reached: Estimate


@dataclass(frozen=True, slots=True)
class Brought:
    """What a part of ours brings at one budget, judged by ours without it.

    Attributes:
        part: which.
        method: ours without it.
        enough: share of the budget after which ours is worth what that is after all of it.
        regret: how much more of it that has at the end, in points, paired by run.
    """

    part: str
    method: str
    budget_ms: int
    enough: Estimate
    regret: Estimate


def plain(one: Row | Brought) -> dict[str, object]:
    """A row as plain values; an estimate is value, low, high."""
    values = ((field.name, getattr(one, field.name)) for field in fields(one))
    return {name: v.to_json() if isinstance(v, Estimate) else v for name, v in values}


def row(world: World, method: str, replays: Sequence[Replay], baseline: Sequence[Replay]) -> Row:
    """The figures of one method at one budget."""
    cap_ms = replays[0].cap_ms
    last = regrets(world, replays)
    asks = [ms for replay in replays for ms in replay.decisions_ms]
    return Row(
        method,
        cap_ms,
        len(replays),
        mean(last),
        mean([hypervolume(world, (look.choice for look in r.within(cap_ms))) for r in replays])
        if world.rung_is_choice
        else None,
        max(replay.overspent_ms for replay in replays),
        fmean(replay.repeated_ms for replay in replays),
        fmean(replay.charged_ms for replay in replays),
        (float(np.median(asks)), float(np.quantile(asks, 0.99))) if asks else None,
        _reached(world, replays, baseline),
    )


def brought(world: World, method: Method, ours: Sequence[Replay], without: Sequence[Replay]) -> Brought:
    """What the part that ``method`` lacks brings, by runs of ours and of ``method`` at one budget."""
    more = np.subtract(regrets(world, without), regrets(world, ours)).tolist()
    enough = _reached(world, ours, without)
    return Brought(method.lacks, method.name, ours[0].cap_ms, enough, mean(more))


def regrets(world: World, replays: Iterable[Replay]) -> list[float]:
    """Regret of each run at its end, in points."""
    return [world.best - at(replay.recommended(world), replay.cap_ms) for replay in replays]


def _reached(world: World, replays: Sequence[Replay], baseline: Sequence[Replay]) -> Estimate:
    curves = [[run.recommended(world) for run in runs] for runs in (replays, baseline)]
    return ratio(curves[0], curves[1], replays[0].cap_ms)


def at(steps: Steps, ms: int) -> float:
    """The value of a step curve at ``ms``."""
    return [value for charged_ms, value in steps if charged_ms <= ms][-1]


def mean(values: Sequence[float]) -> Estimate:
    """The mean and its interval over runs."""
    table = np.array(values)
    drawn = _draws(len(values)) @ table / len(values)
    return Estimate(float(table.mean()), *_ends(drawn))


def ratio(ours: Sequence[Steps], theirs: Sequence[Steps], budget_ms: int) -> Estimate:
    """The share of the budget after which ours is worth what theirs is after all of it."""
    grid = sorted({ms for steps in ours for ms, _ in steps if ms <= budget_ms})
    curves = np.array([[at(steps, ms) for ms in grid] for steps in ours])
    ends = np.array([at(steps, budget_ms) for steps in theirs])
    times = np.array(grid) / budget_ms
    drawn_ours = _draws(len(ours)) @ curves / len(ours)
    drawn_theirs = _draws(len(theirs), seed=_SEED + 1) @ ends / len(theirs)
    drawn = np.array([_first(times, a, b) for a, b in zip(drawn_ours, drawn_theirs, strict=True)])
    return Estimate(_first(times, curves.mean(axis=0), float(ends.mean())), *_ends(drawn))


def _first(times: npt.NDArray[np.float64], curve: npt.NDArray[np.float64], target: float) -> float:
    """When a curve reaches a target; sums in another order may differ in the last digits."""
    reached = np.flatnonzero(curve >= target - 1e-9)
    return float(times[reached[0]]) if len(reached) else math.inf


def band(curves: Sequence[Steps], grid: Sequence[int], best: float) -> npt.NDArray[np.float64]:
    """Mean regret and its interval at each point of ``grid``: shape (3, points)."""
    table = np.array([[best - at(steps, ms) for ms in grid] for steps in curves])
    drawn = _draws(len(curves)) @ table / len(curves)
    return np.array([table.mean(axis=0), *np.quantile(drawn, (0.025, 0.975), axis=0)])


def hypervolume(world: World, judged: Iterable[Choice]) -> float:
    """The area that recipes dominate, as a share of what the whole table dominates."""
    whole = _area(world, world.choices)
    return _area(world, judged) / whole if whole else 1.0


def _area(world: World, choices: Iterable[Choice]) -> float:
    seed = world.seeds[0]
    points = sorted((world.cost_ms(choice, seed), world.value(choice)) for choice in set(choices))
    worst_ms = max(world.cost_ms(choice, seed) for choice in world.choices)
    area, best = 0.0, world.control
    for cost_ms, value in points:
        if value > best:
            area += (value - best) * (worst_ms - cost_ms)
            best = value
    return area


def _draws(n: int, seed: int = _SEED) -> npt.NDArray[np.float64]:
    """How often each of ``n`` runs is in each replicate: shape (replicates, runs)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, [1 / n] * n, size=N_REPLICATES).astype(float)


def _ends(drawn: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)
