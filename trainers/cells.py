"""Examples of cells that a worker has scored before: read, checked and chosen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.canonical import cell_examples

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.stage import Half
    from trainers.tasks.source import DataIdentity, Source
    from trainers.tasks.spec import TaskSpec

    _Key = tuple[str, str, Half, int | None, tuple[DataIdentity, ...]]

_MOST_BYTES = 256 * 2**20


class Cells:
    """The cells of a source, those asked for last kept in memory.

    Args:
        source: where the rows are.
        most_bytes: of all cells that are kept; the newest is kept whatever its size.
    """

    def __init__(self, source: Source, most_bytes: int = _MOST_BYTES) -> None:
        self._source = source
        self._most_bytes = most_bytes
        self._kept: dict[_Key, tuple[Dataset, int]] = {}  # each with its bytes, the oldest first

    def examples(
        self,
        task: TaskSpec,
        language: str,
        half: Half,
        max_examples: int | None,
        data: tuple[DataIdentity, ...],
    ) -> Dataset:
        """What ``cell_examples`` gives, from memory where it was asked for before.

        ``data`` is what the stage names: other data is another cell.

        Raises:
            TaskError: as ``cell_examples``.
        """
        key = (task.name, language, half, max_examples, data)
        found = self._kept.pop(key, None)
        if found is None:
            cell = _alone(cell_examples(task, language, half, self._source, max_examples))
            found = cell, int(cell.data.nbytes)
        self._kept[key] = found
        while len(self._kept) > 1 and self.n_bytes > self._most_bytes:
            del self._kept[next(iter(self._kept))]
        return found[0]

    @property
    def n_bytes(self) -> int:
        """Of all cells that are kept."""
        return sum(n_bytes for _, n_bytes in self._kept.values())


def _alone(cell: Dataset) -> Dataset:
    """The examples without the rows that they were chosen from, under the same fingerprint."""
    from datasets import Dataset

    if cell._indices is None:
        return cell
    return Dataset(cell.with_format("arrow")[:], fingerprint=cell._fingerprint)
