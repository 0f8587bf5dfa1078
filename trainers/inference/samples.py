"""The questions of an inference stage: the examples of its cells, encoded and held in memory.

A *sample* is what one user asks at a time: an example with all of its features (a choice has a sequence
per answer, a long passage several windows), or, where texts are compared as vectors, one query's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainers.features import features
from trainers.stage import Half
from trainers.tasks.examples import QUERY
from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.stage import InferStage
    from trainers.warm import WarmCache

EMBEDDED = (FamilyName.RETRIEVAL, FamilyName.RANKING, FamilyName.MINING)  # answers are vectors


@dataclass(frozen=True, slots=True)
class Sample:
    """One question.

    Attributes:
        cell: number of its cell.
        place: of its example in the cell; where answers are vectors, of its feature.
        rows: its features.
    """

    cell: int
    place: int
    rows: tuple[Mapping[str, Any], ...]

    @property
    def n_tokens(self) -> int:
        """Tokens that are read for it, special ones included."""
        return sum(row["n_tokens"] for row in self.rows)


@dataclass(frozen=True, slots=True)
class Cell:
    """One language of the task: its examples and all of their features."""

    language: str
    examples: Dataset
    features: Dataset

    @property
    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The examples by column."""
        columns: Mapping[str, Sequence[Any]] = self.examples[:]
        return columns


def cells_of(stage: InferStage, warm: WarmCache) -> tuple[Cell, ...]:
    """The cells of a stage, of the half that the search sees: report cells stay unseen.

    Raises:
        TaskError: the data are not there or cannot be used.
    """
    task, tokenizer = warm.task(stage.task), warm.tokenizer(stage.model)
    cells = []
    for language in stage.languages:
        found = warm.cells.examples(task, language, Half.SEARCH, stage.max_examples, stage.data)
        encoded = features(found, task, tokenizer, training=False, cache_dir=warm.cache_dir)
        cells.append(Cell(language, found, encoded))
    return tuple(cells)


def samples_of(family: FamilyName, cells: Sequence[Cell]) -> tuple[Sample, ...]:
    """Every sample of the cells, cell after cell, in the order of their examples."""
    samples: list[Sample] = []
    for number, cell in enumerate(cells):
        rows = _rows(cell.features)
        if family in EMBEDDED:
            asked = _is_query(family, cell, rows)
            samples += [Sample(number, i, (row,)) for i, row in enumerate(rows) if asked[i]]
            continue
        by_example: dict[int, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_example.setdefault(int(row["example"]), []).append(row)
        samples += [Sample(number, place, tuple(by_example[place])) for place in sorted(by_example)]
    return tuple(samples)


def _rows(encoded: Dataset) -> list[dict[str, Any]]:
    columns = encoded[:]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_query(family: FamilyName, cell: Cell, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which texts are asked: the queries that are scored; documents are indexed beforehand."""
    if family is FamilyName.RETRIEVAL:
        return [row["side"] == QUERY for row in rows]
    scored = cell.columns["scored"]
    return [bool(scored[row["example"]]) for row in rows]
