"""How sure the numbers are: contrasts of recipes, equivalence, and Holm for several comparisons.

Runs whose examples were drawn again (``experiments/bootstrap.py``) are drawn by seed, with replacement
inside every recipe, in one draw for all recipes of a contrast where they have the same seeds. Cells
stay fixed: the claim is about these languages and tasks.

Few seeds make a percentile interval too short: four draws have a spread of their own. Deviations of
resampled seeds are therefore stretched as in Hesterberg's expanded percentile interval, so that the
interval keeps its 95 % with three or four seeds (``tests/experiments/test_stats.py`` simulates it).

Axes: B replicates, R runs, C cells, F functionals.

Sources: Sellam et al. 2022, arXiv:2106.16163 (seeds and examples); Hesterberg 2015,
doi:10.1080/00031305.2015.1089789 (expansion); Schuirmann 1987, doi:10.1007/BF01068419 (equivalence);
Holm 1979, Scand. J. Stat. 6 (2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.bootstrap import Array, Replicates
from scheduler.quantiles import Z_975, t_975

LEVEL = 0.95


class Drawn(NamedTuple):
    """A weighted sum of recipes, for each functional.

    Attributes:
        observed: shape (F,); points, or the unit that the weights give.
        drawn: shape (B, F); over bootstrap draws of examples and seeds.
        n_seeds: runs behind it (of the recipe that has fewest).
    """

    observed: Array
    drawn: Array
    n_seeds: int


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval, in points.

    Attributes:
        p_value: two-sided, that a difference is zero; None for a score.
        n_seeds: runs behind it (of the contender that has fewer).
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


def score_intervals(replicates: Replicates, contender: str, weights_FC: Array) -> list[Interval]:
    """Mean over seeds of each weighted mean of cells, for one contender.

    Stretched deviations can leave the scale of points; an interval ends where the scale does.
    """
    drawn_BRF, observed_RF = _functionals(replicates, contender, weights_FC)
    picks_BR = _picks(replicates, 2, drawn_BRF)
    drawn_BF = _over_seeds(drawn_BRF, observed_RF, picks_BR)
    on_scale_BF = np.clip(drawn_BF, 0.0, 100.0)
    return _intervals(observed_RF.mean(axis=0), on_scale_BF, len(observed_RF), test=False)


def difference_intervals(
    replicates: Replicates, contender: str, control: str, weights_FC: Array
) -> list[Interval]:
    """Contender minus control of each weighted sum of cells, on the same examples."""
    return contrast_intervals(contrast(replicates, {contender: 1.0, control: -1.0}, weights_FC))


def contrast(replicates: Replicates, coefficients: Mapping[str, float], weights_FC: Array) -> Drawn:
    """Sum over recipes r of coefficient_r * (mean over seeds of r), on the same examples.

    Where all recipes share seeds, on those alone and in one draw; otherwise on all, drawn
    independently.

    Args:
        replicates: of all runs.
        coefficients: of recipes, by name.
        weights_FC: weights of cells, one row per functional.
    """
    shared = sorted(set.intersection(*(set(replicates.seeds_of(name)) for name in coefficients)))
    parts = [
        (coefficient, *_functionals(replicates, name, weights_FC, shared))
        for name, coefficient in coefficients.items()
    ]
    observed_F = np.sum([c * observed.mean(axis=0) for c, _, observed in parts], axis=0)
    n_seeds = min(len(observed) for _, _, observed in parts)
    if shared:
        drawn_BRF = np.sum([c * drawn for c, drawn, _ in parts], axis=0)
        observed_RF = np.sum([c * observed for c, _, observed in parts], axis=0)
        picks_BR = _picks(replicates, 3, drawn_BRF)
        return Drawn(observed_F, _over_seeds(drawn_BRF, observed_RF, picks_BR), n_seeds)
    drawn_BF = np.sum(
        [
            c * _over_seeds(drawn, observed, _picks(replicates, 3 + place, drawn))
            for place, (c, drawn, observed) in enumerate(parts)
        ],
        axis=0,
    )
    return Drawn(observed_F, drawn_BF, n_seeds)


def contrast_intervals(of: Drawn) -> list[Interval]:
    """Each functional with its interval of 95 % and the p-value that it is 0."""
    return _intervals(of.observed, of.drawn, of.n_seeds, test=True)


def one_sided_p(drawn_B: Array, bound: float, *, above: bool) -> float:
    """P-value against "not above (below) ``bound``": the share of draws on the other side."""
    other = (drawn_B <= bound).sum() if above else (drawn_B >= bound).sum()
    return float((other + 1) / (len(drawn_B) + 1))


def equivalence_p(drawn_B: Array, margin: float) -> float:
    """P-value of two one-sided tests that a difference lies within ``margin`` of 0.

        p = max(p against "at or below -margin", p against "at or above +margin")

    It is below 5 % just where the interval of 90 % lies inside the margins.
    """
    return max(one_sided_p(drawn_B, -margin, above=True), one_sided_p(drawn_B, margin, above=False))


def _functionals(
    replicates: Replicates, contender: str, weights_FC: Array, seeds: Sequence[int] = ()
) -> tuple[Array, Array]:
    """Weighted sums of cells of one contender's runs: resampled (B, R, F) and observed (R, F).

    With ``seeds``, of those runs alone.
    """
    rows = [
        row for row in replicates.rows_of(contender) if not seeds or replicates.runs[row][1] in seeds
    ]
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
