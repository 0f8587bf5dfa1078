"""Canonical columns read from a data set's own columns, with everything that is wrong noted.

``TaskSpec.columns`` names each column of the data by

    text                              a column
    answers.text                      a field of a struct
    answer0 answer1 answer2 answer3   several columns that make one list
    sentence1|premise                 alternatives; the first that the data has
    context?                          a column that may be missing: texts are then "", ids row numbers

``trainers/tasks/labels.py`` says how labels are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.errors import MalformedDataError
from trainers.tasks.findings import Finding, refusal
from trainers.tasks.labels import positions, shown, some

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from numpy.typing import NDArray

    from trainers.tasks.spec import TaskSpec

_OPTIONAL = {"id", "second", "context", "question"}  # "" where a task has no such column
_KINDS = {
    "choices": "texts", "tokens": "texts", "answers": "texts", "candidates": "texts",
    "starts": "ints", "correct": "ints",
}  # fmt: skip
_EXPECTED = {"text": "text", "texts": "lists of texts", "ints": "lists of integers"}

Columns = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Canonical columns of one file, read from the columns its task names.

    Attributes:
        task: says which columns.
        rows: the data, without an indices mapping.
        file: its name in errors.
        numbers: of the rows in the file, where some were left out; None for all of them.
        n_left_out: rows of the file that were left out.
        located: where a row stands, for errors.
        findings: what is wrong so far.
    """

    task: TaskSpec
    rows: Dataset
    file: str
    numbers: NDArray[np.int64] | None = None
    n_left_out: int = 0
    located: Callable[[int], str] = "row {:,}".format
    findings: list[Finding] = field(default_factory=list)

    def ids(self, split: str) -> list[str]:
        """The data's own ids, or the split and the row."""
        own = self.raw("id") if "id" in self.task.columns else None
        if own is not None:
            self._null("id", own, "an id in every row")
            self.refuse()
            return [str(value) for value in own.to_pylist()]
        return [f"{split}-{self._number(row)}" for row in range(self.rows.num_rows)]

    def columns(self, names: Iterable[str]) -> Columns:
        """Canonical columns: text as text, labels as positions in ``TaskSpec.labels``.

        Raises:
            MalformedDataError: something is wrong with some of them; says all of it.
        """
        columns = {name: self._read(name) for name in names}
        self.refuse()
        return columns

    def column(self, name: str) -> pa.ChunkedArray | pa.Array:
        """One canonical column, as ``columns``."""
        return self.columns((name,))[name]

    def _read(self, name: str) -> pa.ChunkedArray | pa.Array | None:
        """One canonical column; None where something is wrong with it, which is noted."""
        import pyarrow as pa

        values = self.raw(name) if name in self.task.columns else None
        if values is None and self.may_lack(name):
            return pa.array([""] * self.rows.num_rows, pa.string())
        if values is None:
            found = ", ".join(self.rows.column_names)
            self.note(name, (), f"no such column; found {found}", f"it as its {name}")
            return None
        return self._labels(name, values) if name in {"label", "tags"} else self._cast(name, values)

    def raw(self, name: str) -> pa.ChunkedArray | None:
        """The column of the data that the task names, which may be a path, a list or a choice."""
        import pyarrow as pa

        for paths in self._alternatives(name):
            parts = [part for path in paths if (part := self._field(path)) is not None]
            if len(parts) == len(paths) == 1:
                return parts[0]
            if len(parts) == len(paths):
                lists = [list(row) for row in zip(*(part.to_pylist() for part in parts), strict=True)]
                return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
        return None

    def may_lack(self, name: str) -> bool:
        """Whether the data need not have the column."""
        return name in _OPTIONAL and self.task.columns.get(name, "?").endswith("?")

    def note(self, name: str, rows: Sequence[int] | NDArray[Any], found: str, expected: str) -> None:
        """Note what is wrong with a column: in which rows (none for all of it), and in the first."""
        column = self.task.columns.get(name, name).removesuffix("?")
        numbers = tuple(self._number(int(row)) for row in rows)
        self.findings.append(Finding(column, numbers, found, expected))

    def refuse(self) -> None:
        """Refuse the data if anything was found to be wrong with it.

        Raises:
            MalformedDataError: something was; says what, where and how often.
        """
        if self.findings:
            raise self._refusal()

    def wrong(self, column: str, row: int | None, found: str, expected: str) -> MalformedDataError:
        """The error for what is wrong in one row, or in a whole column."""
        self.note(column, () if row is None else (row,), found, expected)
        return self._refusal()

    def _refusal(self) -> MalformedDataError:
        n_rows = self.rows.num_rows + self.n_left_out
        return refusal(self.findings, self.task.name, self.file, n_rows, self.located)

    def _number(self, row: int) -> int:
        return row if self.numbers is None else int(self.numbers[row])

    def _alternatives(self, name: str) -> list[list[str]]:
        return [choice.split() for choice in self.task.columns[name].removesuffix("?").split("|")]

    def _field(self, path: str) -> pa.ChunkedArray | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        head, *rest = path.split(".")
        if head not in self.rows.column_names:
            return None
        values = self.rows.data.table[head]
        for inner in rest:
            if not pa.types.is_struct(values.type) or values.type.get_field_index(inner) < 0:
                return None
            values = pc.struct_field(values, inner)
        return values

    def _cast(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray | None:
        import pyarrow as pa

        kind = _KINDS.get(name, "text")
        target = {
            "text": pa.string(),
            "texts": pa.list_(pa.string()),
            "ints": pa.list_(pa.int32()),
        }[kind]
        expected = _EXPECTED[kind]
        try:
            if pa.types.is_list(target) is not is_list(values.type):
                raise pa.ArrowTypeError(f"{values.type} is not {target}")
            cast = values.cast(target)
        except pa.ArrowException:
            self.note(name, (), f"is of type {values.type}", expected)
            return None
        return None if self._null(name, cast, expected) else cast

    def _null(self, name: str, values: pa.ChunkedArray, expected: str) -> bool:
        """Whether values are null, or values in their lists; it is noted."""
        flat, rows = flattened(values)
        at = {*np.flatnonzero(_mask(one(values).is_null())), *rows[_mask(flat.is_null())]}
        if at:
            self.note(name, sorted(at), "is empty (null)", expected)
        return bool(at)

    def _labels(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array | None:
        import pyarrow as pa

        labels = self.task.labels
        expected = f"one of {len(labels)} labels, 0 to {len(labels) - 1} or {some(labels)}"
        if is_list(values.type) is not (name == "tags"):
            self.note(name, (), f"is of type {values.type}", expected)
            return None
        if self._null(name, values, expected):
            return None
        flat, rows = flattened(values)
        names = self._class_names(name)
        ids = positions(flat, labels, names)
        if ids is None:
            self.note(name, (), f"is of type {values.type}", expected)
            return None
        wrong = _mask(ids.is_null())
        if wrong.any():
            found = Counter(flat.filter(pa.array(wrong)).to_pylist())
            self.note(name, np.unique(rows[wrong]), shown(found, names), expected)
            return None
        if name != "tags":
            return ids
        offsets = np.concatenate(([0], np.cumsum(one(values).value_lengths().to_numpy())))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids)

    def _class_names(self, name: str) -> tuple[str, ...] | None:
        """The names that the data gives its classes; None where it gives none."""
        for paths in self._alternatives(name):
            feature = self.rows.features.get(paths[0])
            if feature is not None:
                names = getattr(getattr(feature, "feature", feature), "names", None)
                return None if names is None else tuple(names)
        return None


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def one(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    import pyarrow as pa

    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def flattened(values: pa.ChunkedArray | pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The values of a column, lists joined, and the row of each."""
    import pyarrow.compute as pc

    array = one(values)
    if not is_list(array.type):
        return array, np.arange(len(array))
    return pc.list_flatten(array), pc.list_parent_indices(array).to_numpy()


def _mask(values: pa.Array) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return mask
