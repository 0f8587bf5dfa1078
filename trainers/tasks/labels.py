"""Labels of data as positions among a task's labels.

Data whose classes have names is read by those names, whatever their order there; other whole numbers
are positions already. Words are looked up; digits in text are positions where no label of the task is
a number itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def positions(flat: pa.Array, labels: Sequence[str], names: Sequence[str] | None) -> pa.Array | None:
    """The position in ``labels`` of each value, null for a value that is none of them.

    Args:
        flat: whole numbers, or text.
        labels: of the task.
        names: that the data gives its classes, in the order of its numbers; None where it gives none.

    Returns:
        32-bit integers, or None where ``flat`` is of another kind.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(flat.type):
        known = labels if names is None else names
        ids = flat.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(ids, 0), pc.less(ids, len(known)))
        places = {label: place for place, label in enumerate(labels)}
        table = pa.array([places.get(label) for label in known], pa.int32())
        return pc.take(table, pc.if_else(inside, ids, None))
    if not (pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type)):
        return None
    ids = pc.index_in(flat, value_set=pa.array(labels, flat.type))
    if not any(label.isdecimal() for label in labels):
        digits = pa.array([str(place) for place in range(len(labels))], flat.type)
        ids = pc.coalesce(ids, pc.index_in(flat, value_set=digits))
    return ids


def shown(found: Counter[Any], names: Sequence[str] | None) -> str:
    """Labels in words, the most frequent first."""
    labels = [
        f"{label!r} ({names[label]})" if names and 0 <= label < len(names) else repr(label)
        for label, _ in found.most_common()
    ]
    return f"{'label' if len(labels) == 1 else 'labels'} {some(labels, 5)}"


def some(names: Sequence[str], limit: int = 8) -> str:
    """The first few of many names."""
    few = ", ".join(names[:limit])
    return few if len(names) <= limit else f"{few}, … ({len(names)} in all)"
