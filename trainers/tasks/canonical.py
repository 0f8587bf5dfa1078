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

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainers.errors import EmptySplitError, UnknownLanguageError
from trainers.fingerprint import fingerprint
from trainers.stage import Half
from trainers.tasks.columns import Reader, check
from trainers.tasks.examples import CANONICAL

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.source import Source
    from trainers.tasks.spec import Split, TaskSpec

_VERSION = 1  # raised when the same rows become other examples


def half_of(example_id: str) -> Half:
    """The half an example belongs to, by the hash of its id."""
    return Half.SEARCH if _digest("half", example_id)[0] % 2 == 0 else Half.REPORT


def examples(task: TaskSpec, split: Split, language: str, source: Source) -> Dataset:
    """The examples of one split in one language, in canonical columns and in the order of its rows.

    Its fingerprint is that of the data and of everything done to it, so it can name a cache.

    Raises:
        MissingDataError: the source does not have the split.
        MalformedDataError: a column is missing or of another kind, a label is not one of the
            task's, an answer is not where it is said to be.
        EmptySplitError: no rows.
    """
    import pyarrow as pa
    from datasets import Dataset

    identity = source.identity(split, language)
    rows = source.rows(split, language)
    file = identity.name
    if rows.num_rows == 0:
        raise EmptySplitError(
            f"{file} has 0 rows. Fetch the data again, or leave {task.name} or {language!r} out.",
            file=file,
        )
    reader = Reader(task, _compact(rows), file)
    columns = {name: reader.column(name) for name in CANONICAL[task.family] if name != "id"}
    columns["id"] = _unique(reader.ids(split.name))
    check(reader, columns)
    key = {
        "version": _VERSION,
        "data": identity,
        "columns": task.columns,
        "labels": task.labels,
        "family": task.family,
    }
    table = pa.table({name: columns[name] for name in CANONICAL[task.family]})
    return Dataset(table, fingerprint=fingerprint(key))


def train_examples(task: TaskSpec, language: str, source: Source) -> Dataset:
    """The training examples of one language, its splits one after the other.

    Raises:
        UnknownLanguageError: the task is not trained on ``language``.
        TaskError: as ``examples``.
    """
    return _of_splits(task, task.train, language, source)


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
    chosen = task.search if half is Half.SEARCH else task.report
    dataset = _of_splits(task, chosen, language, source)
    ids: list[str] = dataset["id"][:]
    keep = list(range(len(ids)))
    if any(split in task.report for split in task.search):
        keep = [row for row in keep if half_of(ids[row]) is half]
    if max_examples is not None and len(keep) > max_examples:
        keep = sorted(sorted(keep, key=lambda row: _digest("order", ids[row]))[:max_examples])
    if not keep:
        raise EmptySplitError(
            f"{task.name} in {language!r}: none of {len(ids)} examples is in the {half} half. Leave the "
            f"language out, or give more data."
        )
    return dataset if len(keep) == len(ids) else dataset.select(keep)


def _of_splits(task: TaskSpec, splits: Sequence[Split], language: str, source: Source) -> Dataset:
    from datasets import concatenate_datasets

    having = [split for split in splits if language in split.languages]
    if not having:
        known = {code for split in splits for code in split.languages}
        raise UnknownLanguageError(language, known, where=f"task {task.name}")
    parts = [examples(task, split, language, source) for split in having]
    return parts[0] if len(parts) == 1 else concatenate_datasets(parts)


def _digest(purpose: str, example_id: str) -> bytes:
    return hashlib.sha1(f"{purpose}:{example_id}".encode(), usedforsecurity=False).digest()


def _compact(rows: Dataset) -> Dataset:
    """The rows without an indices mapping, so that columns can be read from Arrow directly."""
    return rows if rows._indices is None else rows.flatten_indices(keep_in_memory=True)


def _unique(ids: list[str]) -> list[str]:
    """Ids with the second and later occurrence of one marked ``#2``, ``#3``."""
    if len(set(ids)) == len(ids):
        return ids
    seen: Counter[str] = Counter()
    unique = []
    for name in ids:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique
