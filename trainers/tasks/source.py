"""Where rows come from: the port that hub, mirror and the toy world fill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.spec import Split


UNPINNED = "unpinned"  # the revision of data whose commit nobody has named: good for a plan only


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """What a stage's fingerprint says about one split in one language: never where it lies.

    Attributes:
        name: ``org/dataset/config/split``.
        revision: hub commit (``UNPINNED`` where none is named), digest of a mirror's parquet footer,
            or version of the toy world.
        n_rows: rows in the split; 0 when not known without the data (hub, planning only).
    """

    name: str
    revision: str
    n_rows: int


class Source(Protocol):
    """Rows of a pinned split."""

    def identity(self, split: Split, language: str) -> DataIdentity:
        """What the data is, cheaply: a footer or a constant, never the rows.

        Raises:
            MissingDataError: the source does not have this split; names file, task and remedy.
        """

    def rows(self, split: Split, language: str) -> Dataset:
        """The rows as published, memory-mapped, only those of ``language``.

        Raises:
            MissingDataError: the source does not have this split.
            MalformedDataError: the file is there and cannot be read, or lacks a column.
        """
