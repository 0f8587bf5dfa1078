"""Canonical columns read from a data set's own columns, and what can be wrong with them.

``TaskSpec.columns`` names each column of the data by

    text                              a column
    answers.text                      a field of a struct
    answer0 answer1 answer2 answer3   several columns that make one list
    sentence1|premise                 alternatives; the first that the data has
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainers.errors import MalformedDataError
from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from numpy.typing import NDArray

    from trainers.tasks.spec import TaskSpec

Columns = dict[str, Any]

_OPTIONAL = {"second", "context", "question"}  # "" where a pair or choice task has no such column
_KINDS = {"choices": "texts", "tokens": "texts", "answers": "texts", "starts": "ints"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Canonical columns of one file, read from the columns its task names.

    Attributes:
        task: says which columns.
        rows: the data, without an indices mapping.
        file: its name in errors.
    """

    task: TaskSpec
    rows: Dataset
    file: str

    def ids(self, split: str) -> list[str]:
        """The data's own ids, or the split and the row."""
        if "id" in self.task.columns:
            return [str(value) for value in self._read("id").to_pylist()]
        return [f"{split}-{row}" for row in range(self.rows.num_rows)]

    def column(self, name: str) -> pa.ChunkedArray | pa.Array:
        """One canonical column: text as text, labels as positions in ``TaskSpec.labels``."""
        import pyarrow as pa

        if name in _OPTIONAL and name not in self.task.columns:
            return pa.array([""] * self.rows.num_rows, pa.string())
        values = self._read(name)
        return self._labels(name, values) if name in {"label", "tags"} else self._cast(name, values)

    def wrong(self, column: str, row: int | None, found: str, expected: str) -> MalformedDataError:
        """The error that says where, what was found, what was expected, and what to do."""
        at = "" if row is None else f", row {row}"
        where = self.task.columns.get(column, column)
        return MalformedDataError(
            f"{self.file}{at}, column {where!r}: {found}. Task {self.task.name} expects {expected}. "
            f"Mend or fetch the file again, or leave the task out.",
            file=self.file,
            row=row,
            column=where,
        )

    def _read(self, name: str) -> pa.ChunkedArray:
        """The column of the data that the task names, which may be a path, a list or a choice."""
        import pyarrow as pa

        for alternative in self.task.columns[name].split("|"):
            paths = alternative.split()
            parts = [part for path in paths if (part := self._field(path)) is not None]
            if len(parts) == len(paths) == 1:
                return parts[0]
            if len(parts) == len(paths):
                lists = [list(row) for row in zip(*(part.to_pylist() for part in parts), strict=True)]
                return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
        found = ", ".join(self.rows.column_names)
        raise self.wrong(name, None, f"no such column; found {found}", f"it as its {name}")

    def _field(self, path: str) -> pa.ChunkedArray | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        head, *rest = path.split(".")
        if head not in self.rows.column_names:
            return None
        values = self.rows.data.table[head]
        for field in rest:
            if not pa.types.is_struct(values.type) or values.type.get_field_index(field) < 0:
                return None
            values = pc.struct_field(values, field)
        return values

    def _cast(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        import pyarrow as pa

        kind = _KINDS.get(name, "text")
        target = {"text": pa.string(), "texts": pa.list_(pa.string()), "ints": pa.list_(pa.int32())}[
            kind
        ]
        expected = {"text": "text", "texts": "lists of texts", "ints": "lists of integers"}[kind]
        refusal = self.wrong(name, None, f"is of type {values.type}", expected)
        if pa.types.is_list(target) is not _is_list(values.type):
            raise refusal
        try:
            cast = values.cast(target)
        except pa.ArrowException as error:
            raise refusal from error
        self._no_null(name, cast, expected)
        return cast

    def _no_null(self, name: str, values: pa.ChunkedArray, expected: str) -> None:
        flat, rows = _flat(values)
        for array, row_of in ((values, lambda i: i), (flat, lambda i: int(rows[i]))):
            if array.null_count:
                first = array.is_null().to_pylist().index(True)
                raise self.wrong(name, row_of(first), "is empty (null)", expected)

    def _labels(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
        """Label ids: integers are checked, words and digits in text are looked up.

        Where the data names its classes they are compared by name, so another order, or a class that
        no row has, does no harm.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        labels = self.task.labels
        names = self._class_names(name) or labels
        expected = f"one of {len(labels)} labels, 0 to {len(labels) - 1} or {_some(labels)}"
        if _is_list(values.type) is not (name == "tags"):
            raise self.wrong(name, None, f"is of type {values.type}", expected)
        self._no_null(name, values, expected)
        flat, rows = _flat(values)
        if pa.types.is_integer(flat.type):
            known = pc.and_(pc.greater_equal(flat, 0), pc.less(flat, len(names)))
            positions = pc.index_in(pa.array(names), value_set=pa.array(labels))
            ids = positions.take(pc.if_else(known, flat, None))
            bad = pc.is_null(ids)
        elif pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
            ids = pc.index_in(flat, value_set=pa.array(labels, flat.type))
            bad = pc.is_null(ids)
        else:
            raise self.wrong(name, None, f"is of type {values.type}", expected)
        wrong = pc.index(bad, pa.scalar(True)).as_py()
        if wrong >= 0:
            found = flat[wrong].as_py()
            called = f" ({names[found]})" if names != labels and 0 <= found < len(names) else ""
            raise self.wrong(name, int(rows[wrong]), f"label {found!r}{called}", expected)
        if name != "tags":
            return ids
        lengths = values.combine_chunks().value_lengths()
        offsets = [0, *pc.cumulative_sum(lengths).to_pylist()]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _one(ids))

    def _class_names(self, name: str) -> tuple[str, ...]:
        """Names of the classes in the order of the data's label ids, empty where it has none."""
        for alternative in self.task.columns[name].split("|"):
            if feature := self.rows.features.get(alternative):
                return tuple(getattr(getattr(feature, "feature", feature), "names", None) or ())
        return ()


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _flat(values: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """The values of a column, lists joined, and the row of each."""
    import numpy as np
    import pyarrow.compute as pc

    array = _one(values)
    if not _is_list(array.type):
        return array, np.arange(len(array))
    return pc.list_flatten(array), pc.list_parent_indices(array).to_numpy()


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, … ({len(names)} in all)"


def _check_choices(reader: Reader, columns: Columns) -> None:
    n_choices = len(reader.task.labels)
    for row, count in enumerate(_one(columns["choices"]).value_lengths().to_pylist()):
        if count != n_choices:
            raise reader.wrong("choices", row, f"{count} choices", f"{n_choices} in every row")


def _check_tags(reader: Reader, columns: Columns) -> None:
    n_tokens = _one(columns["tokens"]).value_lengths().to_pylist()
    n_tags = _one(columns["tags"]).value_lengths().to_pylist()
    for row, (tokens, tags) in enumerate(zip(n_tokens, n_tags, strict=True)):
        if tokens != tags:
            raise reader.wrong("tags", row, f"{tags} tags for {tokens} tokens", "a tag for each token")


def _check_spans(reader: Reader, columns: Columns) -> None:
    texts, starts = columns["answers"].to_pylist(), columns["starts"].to_pylist()
    for row, context in enumerate(columns["context"].to_pylist()):
        if len(texts[row]) != len(starts[row]):
            raise reader.wrong(
                "starts", row, f"{len(starts[row])} starts for {len(texts[row])} answers", "one for each"
            )
        for text, start in zip(texts[row], starts[row], strict=True):
            if start < 0 or start + len(text) > len(context):
                raise reader.wrong(
                    "starts",
                    row,
                    f"an answer from character {start} to {start + len(text)} of {len(context)}",
                    "answers that lie inside their context",
                )
            if context[start : start + len(text)] != text:
                raise reader.wrong(
                    "starts",
                    row,
                    f"at character {start} stands {context[start : start + len(text)]!r:.60}",
                    f"the answer {text!r:.60} there",
                )


_CHECKS: dict[FamilyName, Callable[[Reader, Columns], None]] = {
    FamilyName.CHOICE: _check_choices,
    FamilyName.SPANS: _check_spans,
    FamilyName.TOKENS: _check_tags,
}


def check(reader: Reader, columns: Columns) -> None:
    """What has to hold between the columns of an example; pairs, sentences and text have nothing.

    Raises:
        MalformedDataError: the first row where it does not.
    """
    if reader.task.family in _CHECKS:
        _CHECKS[reader.task.family](reader, columns)
