"""Examples of cells drawn again: the lower level of the hierarchical paired bootstrap.

A *run* is one seed of one recipe (the control or a finalist). Each replicate draws examples with
replacement inside every cell, the same ones for all runs, so that a difference between two recipes is
taken on the same examples; ``experiments/stats.py`` then draws seeds.

Cells of one task with the same examples (XNLI, XQuAD: translations row by row) are drawn together, as
what is hard in one language is hard in the next; drawn one by one, the interval of the task's mean
would be too short. Where equal ids mean nothing (PAN-X numbers its rows), this does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.metrics import STATISTICS
from trainers.metrics import value as metric_value
from trainers.tasks.spec import Metric

Array = NDArray[np.float64]

N_REPLICATES = 2000
# Drawn example counts of a cell are held as one block of at most this many numbers (64 MB).
BLOCK = 8_000_000


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
        runs: (contender, seed) of each run.
        observed: shape (runs, cells), points.
        drawn: shape (replicates, runs, cells), points; examples resampled, seeds not yet.
        seed: of the seed draws.
    """

    runs: tuple[tuple[str, int], ...]
    observed: Array
    drawn: Array
    seed: int

    def rows_of(self, contender: str) -> list[int]:
        """Rows of one contender, by seed."""
        rows = [row for row, (name, _) in enumerate(self.runs) if name == contender]
        return sorted(rows, key=lambda row: self.runs[row][1])

    def seeds_of(self, contender: str) -> list[int]:
        """Seeds of one contender, ascending."""
        return [self.runs[row][1] for row in self.rows_of(contender)]


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
