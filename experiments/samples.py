"""Per-example records of several runs, brought into one order so that they can be paired.

A cell takes part in intervals when every run has its records; what is left out is listed with the
reason. Values recomputed from records must be the ones in the journal: a difference is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.bootstrap import Array, CellSample
from experiments.trials import Cell, Standing
from trainers.metrics import STATISTICS, value
from trainers.tasks.spec import Metric

_TOLERANCE_POINTS = 0.01  # both are float64; only the order of a sum may differ


@dataclass(slots=True)
class Samples:
    """Cells of several runs, aligned.

    Attributes:
        cells: those that every run has records of.
        left_out: cell -> why it takes no part in intervals.
        errors: records that contradict the journal, one line each.
    """

    cells: list[CellSample] = field(default_factory=list)
    left_out: dict[Cell, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Records:
    """One run's records of one cell, ordered by example."""

    examples: NDArray[np.str_]
    statistics: Array


def read_samples(runs: Sequence[Standing]) -> Samples:
    """The cells that all ``runs`` share, example by example.

    Args:
        runs: one per contender and seed; of one study or of several.
    """
    samples = Samples()
    tables: dict[str, pa.Table | None] = {}
    cells = sorted({cell for run in runs for cell in run.cells})
    for cell in cells:
        found = []
        for run in runs:
            records = _records_of(run, cell, tables)
            if isinstance(records, str):
                samples.left_out[cell] = f"{run.trial.name}: {records}"
                break
            found.append(records)
        else:
            metric, *others = {Metric(run.cells[cell].metric) for run in runs}
            if others:
                samples.left_out[cell] = "not scored by the same metric in every run"
                continue
            samples.errors.extend(_contradictions(runs, cell, metric, found))
            _add(samples, cell, metric, found)
    return samples


def _records_of(run: Standing, cell: Cell, tables: dict[str, pa.Table | None]) -> _Records | str:
    """One run's records of a cell, or why there are none."""
    task, language = cell
    if cell not in run.cells:
        return "not scored in this run"
    name = next(stage for stage, of_task in run.stages.items() if of_task == task)
    url = f"{run.store}/stages/{name}/records.parquet"
    if url not in tables:
        tables[url] = _read(url)
    table = tables[url]
    if table is None:
        return f"stage {name} has no records.parquet"
    rows = table.filter(pc.equal(table["language"], language))
    if rows.num_rows == 0:
        return f"stage {name} has no record of it"
    columns = STATISTICS[Metric(run.cells[cell].metric)]
    if missing := [column for column in columns if column not in rows.column_names]:
        return f"stage {name} has records without {', '.join(missing)}"
    examples = np.array([str(example) for example in rows["example"].to_pylist()])
    order = np.argsort(examples, kind="stable")
    statistics = np.stack([rows[column].to_numpy().astype(np.float64) for column in columns], axis=1)
    if len(np.unique(examples)) < len(examples):
        return f"stage {name} has an example twice"
    return _Records(examples[order], statistics[order])


def _read(url: str) -> pa.Table | None:
    if "://" not in url and not Path(url).is_file():
        return None
    try:
        with fsspec.open(url, "rb") as file:
            return pq.read_table(file)
    except FileNotFoundError:
        return None


def _add(samples: Samples, cell: Cell, metric: Metric, found: list[_Records]) -> None:
    common = found[0].examples
    for records in found[1:]:
        common = np.intersect1d(common, records.examples, assume_unique=True)
    if len(common) == 0:
        samples.left_out[cell] = "no example that every run was scored on"
        return
    sums = np.stack([r.statistics[np.searchsorted(r.examples, common)] for r in found])
    samples.cells.append(CellSample(*cell, metric, sums, tuple(common.tolist())))


def _contradictions(
    runs: Sequence[Standing], cell: Cell, metric: Metric, found: list[_Records]
) -> Iterator[str]:
    for run, records in zip(runs, found, strict=True):
        sums = dict(zip(STATISTICS[metric], records.statistics.sum(axis=0), strict=True))
        recorded = float(value(metric, sums, len(records.examples)))
        told = run.cells[cell].value
        if abs(recorded - told) > _TOLERANCE_POINTS:
            yield (
                f"{run.trial.name} {cell[0]}/{cell[1]}: its records give {recorded:.3f} points, "
                f"the journal says {told:.3f}"
            )
