"""How sure the numbers are: paired hierarchical bootstrap, and Holm for several comparisons.

A *run* is one seed of one arm (the control or a finalist). Each replicate draws examples with
replacement inside every cell, the same ones for all runs, so a difference between two arms is taken
on the same examples; then seeds with replacement inside every arm, in pairs where two arms have the
same seeds. Cells stay fixed: the claim is about these languages and tasks.

Cells of one task with the same examples (XNLI, XQuAD: translations row by row) are drawn together, as
what is hard in one language is hard in the next; drawn one by one, the interval of the task's mean
would be too short. Where equal ids mean nothing (PAN-X numbers its rows), this does no harm.

Few seeds make a percentile interval too short: four draws have a spread of their own. Deviations of
resampled seeds are therefore stretched as in Hesterberg's expanded percentile interval, so that the
interval keeps its 95 % with three or four seeds (``tests/experiments/test_stats.py`` simulates it).

Axes: B replicates, R runs, C cells, N examples of a cell, S statistics of a metric, F functionals.

Sources: Sellam et al. 2022, arXiv:2106.16163 (seeds and examples); Hesterberg 2015,
doi:10.1080/00031305.2015.1089789 (expansion); Holm 1979, Scand. J. Stat. 6 (2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.quantiles import Z_975, t_975
from trainers.metrics import STATISTICS
from trainers.metrics import value as metric_value
from trainers.tasks.spec import Metric

Array = NDArray[np.float64]

N_REPLICATES = 2000
LEVEL = 0.95
# Drawn example counts of a cell are held as one block of at most this many numbers (64 MB).
BLOCK = 8_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval, in points.

    Attributes:
        p_value: two-sided, that a difference is zero; None for a score.
        n_seeds: runs behind it (of the arm that has fewer).
    """

    value: float
    low: float
    high: float
    n_seeds: int
    p_value: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


@dataclass(frozen=True, slots=True)
class CellSample:
    """Per-example statistics of one cell for every run, examples in one order.

    Attributes:
        sums: shape (runs, examples, statistics of the metric).
        examples: their ids, in that order; empty where unknown, which equals no other cell's.
    """

    task: str
    language: str
    metric: Metric
    sums: Array
    examples: tuple[str, ...] = ()

    def value(self, sums: Array, n_examples: int) -> Array:
        """Points from sums of statistics (last axis) over ``n_examples``."""
        names = STATISTICS[self.metric]
        return metric_value(self.metric, {n: sums[..., i] for i, n in enumerate(names)}, n_examples)


@dataclass(frozen=True, slots=True)
class Replicates:
    """Cell values as observed and as resampled.

    Attributes:
        runs: (arm, seed) of each run.
        observed: shape (runs, cells), points.
        drawn: shape (replicates, runs, cells), points; examples resampled, seeds not yet.
        seed: of the seed draws.
    """

    runs: tuple[tuple[str, int], ...]
    observed: Array
    drawn: Array
    seed: int

    def of_arm(self, arm: str) -> list[int]:
        """Rows of one arm, by seed."""
        rows = [row for row, (name, _) in enumerate(self.runs) if name == arm]
        return sorted(rows, key=lambda row: self.runs[row][1])

    def seeds_of(self, arm: str) -> list[int]:
        """Seeds of one arm, ascending."""
        return [self.runs[row][1] for row in self.of_arm(arm)]


def resample(
    cells: Sequence[CellSample],
    runs: Sequence[tuple[str, int]],
    *,
    seed: int,
    n_replicates: int = N_REPLICATES,
) -> Replicates:
    """Values of every cell for every run, over bootstrap draws of its examples.

    A replicate's draw of examples is the same for all runs.

    Raises:
        ValueError: there is no cell, or a cell has no example.
    """
    if not cells:
        raise ValueError("there is no cell to resample")
    rng = np.random.default_rng([seed, 1])
    observed, drawn = [], [np.empty(0)] * len(cells)
    for cell in cells:
        if cell.sums.shape[1] == 0:
            raise ValueError(f"cell {cell.task}/{cell.language} has no example")
        observed.append(cell.value(cell.sums.sum(axis=1), cell.sums.shape[1]))
    for places in _drawn_together(cells):
        flat = np.concatenate([_by_example(cells[place].sums) for place in places], axis=1)
        sums = np.split(_resampled_sums(flat, n_replicates, rng), len(places), axis=1)
        for place, of_cell in zip(places, sums, strict=True):
            n_runs, n_examples, n_statistics = cells[place].sums.shape
            by_run = of_cell.reshape(n_replicates, n_runs, n_statistics)
            drawn[place] = cells[place].value(by_run, n_examples)
    return Replicates(tuple(runs), np.stack(observed, axis=-1), np.stack(drawn, axis=-1), seed)


def _drawn_together(cells: Sequence[CellSample]) -> list[list[int]]:
    """Places of cells that share their examples, in the order of the first of each."""
    together: dict[object, list[int]] = {}
    for place, cell in enumerate(cells):
        key = (cell.task, cell.metric, cell.examples) if cell.examples else place
        together.setdefault(key, []).append(place)
    return list(together.values())


def _by_example(sums: Array) -> Array:
    """A row per example, a column per run and statistic."""
    n_runs, n_examples, n_statistics = sums.shape
    return sums.transpose(1, 0, 2).reshape(n_examples, n_runs * n_statistics)


def _resampled_sums(flat: Array, n_replicates: int, rng: np.random.Generator) -> Array:
    """Sums over N draws with replacement of the rows of ``flat`` (N, columns): (B, columns)."""
    n_examples = len(flat)
    step = max(1, BLOCK // n_examples)
    parts = []
    for start in range(0, n_replicates, step):
        n_rows = min(step, n_replicates - start)
        picks = rng.integers(0, n_examples, size=(n_rows, n_examples))
        picks += np.arange(n_rows)[:, None] * n_examples
        counts = np.bincount(picks.ravel(), minlength=n_rows * n_examples)
        parts.append(counts.reshape(n_rows, n_examples).astype(np.float64) @ flat)
    return np.concatenate(parts)


def seed_stretch(n_seeds: int) -> float:
    """How much a resampled mean of ``n_seeds`` runs must be stretched to keep 95 %.

        t(0.975, n - 1) / z(0.975) * sqrt(n / (n - 1)), and 0 for a single run

    A single run says nothing about seeds; its interval covers examples alone.
    """
    if n_seeds < 2:
        return 0.0
    return t_975(n_seeds - 1) / Z_975 * math.sqrt(n_seeds / (n_seeds - 1))


def _over_seeds(drawn_BRF: Array, observed_RF: Array, picks_BR: NDArray[np.int64]) -> Array:
    """Resampled examples, plus the stretched deviation of resampled runs as observed: (B, F).

    Deviations are of observed runs: those of resampled ones would count the examples' noise again.
    """
    n_runs = len(observed_RF)
    deviation_BF = observed_RF[picks_BR].mean(axis=1) - observed_RF.mean(axis=0)
    moved: Array = drawn_BRF.mean(axis=1) + seed_stretch(n_runs) * deviation_BF
    return moved


def score_intervals(replicates: Replicates, arm: str, weights_FC: Array) -> list[Interval]:
    """Mean over seeds of each weighted mean of cells, for one arm.

    Stretched deviations can leave the scale of points; an interval ends where the scale does.
    """
    drawn_BRF, observed_RF = _functionals(replicates, arm, weights_FC)
    picks_BR = _picks(replicates, 2, drawn_BRF)
    drawn_BF = _over_seeds(drawn_BRF, observed_RF, picks_BR)
    on_scale_BF = np.clip(drawn_BF, 0.0, 100.0)
    return _intervals(observed_RF.mean(axis=0), on_scale_BF, len(observed_RF), test=False)


def difference_intervals(
    replicates: Replicates, arm: str, control: str, weights_FC: Array
) -> list[Interval]:
    """Arm minus control of each weighted sum of cells, on the same examples.

    Where the arms share seeds, on those alone and in pairs; otherwise on all, drawn independently.
    """
    shared = sorted(set(replicates.seeds_of(arm)) & set(replicates.seeds_of(control)))
    ours_BRF, ours_RF = _functionals(replicates, arm, weights_FC, shared)
    theirs_BRF, theirs_RF = _functionals(replicates, control, weights_FC, shared)
    picks_BR = _picks(replicates, 3, ours_BRF)
    if shared:
        drawn_BF = _over_seeds(ours_BRF - theirs_BRF, ours_RF - theirs_RF, picks_BR)
    else:
        control_picks_BR = _picks(replicates, 4, theirs_BRF)
        drawn_BF = _over_seeds(ours_BRF, ours_RF, picks_BR) - _over_seeds(
            theirs_BRF, theirs_RF, control_picks_BR
        )
    observed_F = ours_RF.mean(axis=0) - theirs_RF.mean(axis=0)
    return _intervals(observed_F, drawn_BF, min(len(ours_RF), len(theirs_RF)), test=True)


def _functionals(
    replicates: Replicates, arm: str, weights_FC: Array, seeds: Sequence[int] = ()
) -> tuple[Array, Array]:
    """Weighted sums of cells of one arm's runs: resampled (B, R, F) and observed (R, F).

    With ``seeds``, of those runs alone.
    """
    rows = [row for row in replicates.of_arm(arm) if not seeds or replicates.runs[row][1] in seeds]
    return replicates.drawn[:, rows] @ weights_FC.T, replicates.observed[rows] @ weights_FC.T


def _picks(replicates: Replicates, stream: int, drawn_BRF: Array) -> NDArray[np.int64]:
    """Draws of runs with replacement, shape (B, R)."""
    n_replicates, n_runs = drawn_BRF.shape[:2]
    rng = np.random.default_rng([replicates.seed, stream])
    return rng.integers(0, n_runs, size=(n_replicates, n_runs))


def _intervals(observed_F: Array, drawn_BF: Array, n_seeds: int, *, test: bool) -> list[Interval]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn_BF, [tail, 1 - tail], axis=0)
    below, above = (drawn_BF <= 0).sum(axis=0), (drawn_BF >= 0).sum(axis=0)
    p_values = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (len(drawn_BF) + 1))
    return [
        Interval(float(v), float(lo), float(hi), n_seeds, float(p) if test else None)
        for v, lo, hi, p in zip(observed_F, low, high, p_values, strict=True)
    ]


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: the chance of any false claim stays at the level used.

    p_(i) -> max over j <= i of min(1, (m - j + 1) * p_(j)), smallest first.
    """
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = running
    return adjusted
