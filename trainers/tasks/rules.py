"""What is refused in data, and what is left out of training by rule.

Refused, every fault counted and named (``trainers/tasks/findings.py``), in any split:

    a column that is missing or of another kind; null
    a label or class that the task does not have
    another number of choices than the task has labels
    another number of tags than tokens
    an answer outside its context, or another text where it is said to start
    a file in another encoding than UTF-8, with uneven lines, or without a row

Left out of training and counted (``n_rows_skipped`` among the facts of a stage):

    rows without a label: -1, in text also "-", as SNLI marks pairs on which nobody agreed
    rows without text: white space alone where the family reads a text that it cannot do without

Kept as it is: a text of any length and script, U+FFFD, the same row twice. An id that occurs again gets
``#2``, ``#3``. In the splits that score nothing is left out: a row without text counts as any other, and
one without a label is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from trainers.tasks.columns import Columns, Reader, is_list, one
from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_UNLABELLED = ("-1", "-")
_NEEDED = {  # texts of which none may be blank when training; joined by + where one is enough
    FamilyName.PAIR: ("first", "second"),
    FamilyName.CHOICE: ("context+question",),
    FamilyName.SPANS: ("context", "question"),
    FamilyName.TOKENS: ("tokens",),
    FamilyName.MASKED: ("text",),
    FamilyName.RANKING: ("text",),
}


def check(reader: Reader, columns: Columns) -> None:
    """What has to hold between the columns of an example; pairs, sentences and text have nothing.

    Raises:
        MalformedDataError: it does not in some rows; counts them.
    """
    if reader.task.family in _CHECKS:
        _CHECKS[reader.task.family](reader, columns)
        reader.refuse()


def teachable(reader: Reader) -> NDArray[np.int64]:
    """The rows that can be trained on."""
    skipped = np.zeros(reader.rows.num_rows, dtype=bool)
    if "label" in reader.task.columns:
        skipped |= _unlabelled(reader)
    for names in _NEEDED.get(reader.task.family, ()):
        read = [values for name in names.split("+") if (values := _texts(reader, name)) is not None]
        if read:
            skipped |= np.logical_and.reduce([_blank(values) for values in read])
    return np.flatnonzero(~skipped)


def _unlabelled(reader: Reader) -> NDArray[np.bool_]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = reader.raw("label")
    if values is not None and pa.types.is_integer(values.type):
        mask = pc.equal(values, -1)
    elif values is not None and pa.types.is_string(values.type):
        marks = [mark for mark in _UNLABELLED if mark not in reader.task.labels]
        mask = pc.is_in(values, value_set=pa.array(marks, pa.string()))
    else:
        return np.zeros(reader.rows.num_rows, dtype=bool)
    return _whole(pc.fill_null(mask, False))


def _texts(reader: Reader, name: str) -> pa.ChunkedArray | None:
    """A column of texts or of lists of them; None where there is none."""
    import pyarrow as pa

    values = reader.raw(name) if name in reader.task.columns else None
    if values is None:
        return None
    kind = values.type.value_type if is_list(values.type) else values.type
    return values if pa.types.is_string(kind) else None


def _blank(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Where there is nothing but white space."""
    import pyarrow.compute as pc

    joined = pc.binary_join(one(values), "") if is_list(values.type) else values
    return _whole(pc.fill_null(pc.equal(pc.utf8_trim_whitespace(joined), ""), False))


def _whole(mask: pa.ChunkedArray | pa.Array) -> NDArray[np.bool_]:
    values: NDArray[np.bool_] = one(mask).to_numpy(zero_copy_only=False)
    return values


def _check_choices(reader: Reader, columns: Columns) -> None:
    n_choices = len(reader.task.labels)
    counts = one(columns["choices"]).value_lengths().to_numpy()
    if (bad := np.flatnonzero(counts != n_choices)).size:
        reader.note("choices", bad, f"{counts[bad[0]]} choices", f"{n_choices} in every row")


def _check_tags(reader: Reader, columns: Columns) -> None:
    n_tokens = one(columns["tokens"]).value_lengths().to_numpy()
    n_tags = one(columns["tags"]).value_lengths().to_numpy()
    if (bad := np.flatnonzero(n_tokens != n_tags)).size:
        found = f"{n_tags[bad[0]]} tags for {n_tokens[bad[0]]} tokens"
        reader.note("tags", bad, found, "a tag for each token")


def _check_spans(reader: Reader, columns: Columns) -> None:
    faults: dict[str, list[tuple[int, str]]] = defaultdict(list)
    rows = zip(*(columns[name].to_pylist() for name in ("context", "answers", "starts")), strict=True)
    for row, (context, texts, starts) in enumerate(rows):
        if len(texts) != len(starts):
            faults["one for each"].append((row, f"{len(starts)} starts for {len(texts)} answers"))
            continue
        for text, start in zip(texts, starts, strict=True):
            end = start + len(text)
            if start < 0 or end > len(context):
                found = f"an answer from character {start} to {end} of {len(context)}"
                faults["answers that lie inside their context"].append((row, found))
                break
            if context[start:end] != text:
                found = f"at character {start} stands {context[start:end]!r:.60}, not {text!r:.60}"
                faults["each answer where it is said to start"].append((row, found))
                break
    for expected, rows_found in faults.items():
        reader.note("starts", [row for row, _ in rows_found], rows_found[0][1], expected)


_CHECKS: dict[FamilyName, Callable[[Reader, Columns], None]] = {
    FamilyName.CHOICE: _check_choices,
    FamilyName.SPANS: _check_spans,
    FamilyName.TOKENS: _check_tags,
}
