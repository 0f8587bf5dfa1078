"""From rows as published to canonical examples, checked.

This is the door: behind it every family sees the same columns (``trainers/tasks/examples.py``),
labels are positions in ``TaskSpec.labels``, and what a data set got wrong has already been
reported with its file, row, column, what was expected and what to do.

Halves. Where one split serves the search and the report, an example belongs to the half that the
hash of its id says, for ever. Rows without an id are called ``<split>-<row>``, counted within the
language: in row-by-row translations (XNLI, XQuAD) a sentence and its translations fall into the same
half. For retrieval the pool is the chosen examples of the cell, so chance is one over their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from trainers.errors import EmptySplitError, UnknownLanguageError
from trainers.fingerprint import fingerprint
from trainers.stage import Half
from trainers.tasks.columns import Reader
from trainers.tasks.examples import CANONICAL
from trainers.tasks.files import located
from trainers.tasks.halves import first_rows, halves_of
from trainers.tasks.layouts import read
from trainers.tasks.pools import mining_cell, ranking_cell
from trainers.tasks.rules import teachable
from trainers.tasks.spec import FamilyName, FileData

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.source import Source
    from trainers.tasks.spec import Split, TaskSpec

VERSION = 2  # raised when the same rows become other examples


@dataclass(frozen=True, slots=True)
class Training:
    """What one split teaches in one language, and how many of its rows are left out by rule."""

    examples: Dataset
    n_skipped: int


def examples(task: TaskSpec, split: Split, language: str, source: Source) -> Dataset:
    """The examples of one split in one language, in canonical columns and in the order of its rows.

    Its fingerprint is that of the data and of everything done to it, so it can name a cache. What is
    refused is said in ``trainers/tasks/rules.py``.

    Raises:
        MissingDataError: the source does not have the split.
        MalformedDataError: a column is missing or of another kind, a label is not one of the
            task's, an answer is not where it is said to be.
        EmptySplitError: no rows.
    """
    return _canonical(_reader(task, split, language, source), split, language, source)


def training_examples(task: TaskSpec, split: Split, language: str, source: Source) -> Training:
    """The examples to train on, without the rows that ``trainers/tasks/rules.py`` leaves out.

    Raises:
        TaskError: as ``examples``.
        EmptySplitError: no row can be trained on.
    """
    reader = _reader(task, split, language, source)
    kept = teachable(reader)
    n_left_out = reader.rows.num_rows - len(kept)
    if not len(kept):
        raise EmptySplitError(
            f"{reader.file}: none of {n_left_out:,} rows can be trained on, each lacks a label or text. "
            f"Mend the file, or leave {task.name} out.",
            file=reader.file,
        )
    if n_left_out:
        rows = _compact(reader.rows.select(kept))
        reader = replace(reader, rows=rows, numbers=kept, n_left_out=n_left_out)
    return Training(_canonical(reader, split, language, source), n_left_out)


def _reader(task: TaskSpec, split: Split, language: str, source: Source) -> Reader:
    rows = source.rows(split, language)
    if isinstance(split.data, FileData) and not split.translations:
        file = ", ".join(split.data.files[language])
        reader = Reader(task, _compact(rows), file, located=partial(located, split, language))
    else:
        reader = Reader(task, _compact(rows), source.identity(split, language).name)
    if rows.num_rows == 0:
        raise EmptySplitError(
            f"{reader.file} has 0 rows. Fetch the data again, or leave {task.name} or {language!r} out.",
            file=reader.file,
        )
    return reader


def _canonical(reader: Reader, split: Split, language: str, source: Source) -> Dataset:
    import pyarrow as pa
    from datasets import Dataset

    task = reader.task
    columns = read(reader, split, language)
    columns["id"] = _unique(columns["id"])
    key = {
        "version": VERSION,
        "data": source.identity(split, language),
        "columns": task.columns,
        "labels": task.labels,
        "family": task.family,
        "layout": split.layout,
        "left_out": reader.n_left_out,
    }
    table = pa.table({name: columns[name] for name in CANONICAL[task.family]})
    return Dataset(table, fingerprint=fingerprint(key))


def train_examples(task: TaskSpec, language: str, source: Source) -> Dataset:
    """The training examples of one language, its splits one after the other.

    Raises:
        UnknownLanguageError: the task is not trained on ``language``.
        TaskError: as ``examples``.
    """
    having = _having(task, task.train, language)
    return _joined([training_examples(task, split, language, source).examples for split in having])


def cell_examples(
    task: TaskSpec, language: str, half: Half, source: Source, max_examples: int | None = None
) -> Dataset:
    """The examples that score a cell in one half, in the order of the rows.

    Args:
        task: what to score.
        language: the cell.
        half: search or report; no example is ever in both.
        source: where the rows are.
        max_examples: at most so many, the first by the hash of their id; None for all.

    Raises:
        UnknownLanguageError: the task is not scored on ``language``.
        EmptySplitError: no example falls into this half.
        TaskError: as ``examples``.
    """
    where = f"{task.name} in {language!r}"
    halved = task.halved(language)

    def rows_of(splits: Sequence[Split]) -> Dataset:
        having = _having(task, splits, language)
        return _joined([examples(task, split, language, source) for split in having])

    scored = rows_of(task.search if half is Half.SEARCH else task.report)
    match task.family:
        case FamilyName.RANKING:
            pool = [
                examples(task, split, among, source) for split in task.pool for among in split.languages
            ]
            cell = ranking_cell(scored, pool, half if halved else None, max_examples, where=where)
        case FamilyName.MINING:
            tuning = None if halved else rows_of(task.search)
            cell = mining_cell(scored, tuning, half, max_examples, where=where)
        case _:
            cell = _chosen(scored, half if halved else None, max_examples)
    if not any(cell["scored"] if "scored" in cell.column_names else cell["id"]):
        raise EmptySplitError(
            f"{where}: none of {scored.num_rows} examples is in the {half} half. Leave the language "
            f"out, or give more data."
        )
    return cell


def _chosen(dataset: Dataset, half: Half | None, max_examples: int | None) -> Dataset:
    """The examples of a half, or all, and of those at most so many."""
    ids: list[str] = dataset["id"][:]
    keep = [row for row, own in enumerate(halves_of(ids)) if half in (None, own)]
    keep = first_rows(keep, ids, max_examples)
    return dataset if len(keep) == len(ids) else dataset.select(keep)


def _having(task: TaskSpec, splits: Sequence[Split], language: str) -> list[Split]:
    having = [split for split in splits if language in split.languages]
    if not having:
        known = {code for split in splits for code in split.languages}
        raise UnknownLanguageError(language, known, where=f"task {task.name}")
    return having


def _joined(parts: Sequence[Dataset]) -> Dataset:
    from datasets import concatenate_datasets

    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _compact(rows: Dataset) -> Dataset:
    """The rows without an indices mapping, so that columns can be read from Arrow directly."""
    return rows if rows._indices is None else rows.flatten_indices(keep_in_memory=True)


def _unique(ids: list[str]) -> list[str]:
    """Ids with the second and later occurrence of one marked ``#2``, ``#3``."""
    if len(set(ids)) == len(ids):
        return ids
    taken, seen, unique = set(ids), Counter[str](), list[str]()
    for name in ids:
        seen[name] += 1
        own = name
        if seen[name] > 1:
            while (own := f"{name}#{seen[name]}") in taken:
                seen[name] += 1
            taken.add(own)
        unique.append(own)
    return unique
