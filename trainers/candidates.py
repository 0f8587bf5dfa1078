"""The candidates of a ranking, embedded once for all cells of a stage.

Every cell of a task with a pool looks for its answers among the same texts (trainers/tasks/pools.py),
and one stage judges one encoder: what the first cell embeds, the others are given. Candidates and
queries are never in one batch, so that no vector depends on which cell came first.

Axes: B texts in a batch, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.examples import DOCUMENT

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from trainers.families.base import Batch, Examples

    Numbers = NDArray[np.int64]
    Read = tuple[Batch, Sequence[Mapping[str, Any]]]

# Of vectors that are kept, beside those of the cell under way: a million of width 768 have 2.9 GiB.
MOST_BYTES = 4 * 2**30


class Candidates:
    """The vectors of one stage's candidates, once they were all embedded.

    Args:
        most_bytes: a pool whose vectors take more is not kept: every cell embeds it.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._ids: list[str] = []
        self._kept: list[tuple[Numbers, torch.Tensor]] = []

    def batches(self, examples: Examples, read: Callable[[Numbers], Iterator[Read]]) -> Iterator[Read]:
        """The batches of one cell of a task with a pool: its candidates, then its queries.

        Args:
            examples: of the cell, a feature each.
            read: gives the batches of some features.

        Yields:
            Batches with their rows. What the family leaves in a batch as ``vectors`` is kept; a batch of
            candidates that were embedded before has nothing else, and of their rows the example alone.
        """
        is_candidate = np.asarray(examples["side"]) == DOCUMENT
        pool = np.flatnonzero(is_candidate)
        ids = [examples["id"][row] for row in pool.tolist()]
        if ids == self._ids:
            for places, vectors_BD in self._kept:
                yield {"vectors": vectors_BD}, [{"example": row} for row in pool[places].tolist()]
        else:
            yield from self._embedded(pool, ids, read)
        yield from read(np.flatnonzero(~is_candidate))

    def _embedded(
        self, pool: Numbers, ids: list[str], read: Callable[[Numbers], Iterator[Read]]
    ) -> Iterator[Read]:
        """The batches of the pool; their vectors are kept once there are all of them."""
        self._ids, self._kept = [], []
        found: list[tuple[Numbers, torch.Tensor]] = []
        n_bytes = 0
        for batch, rows in read(pool):
            yield batch, rows
            places = np.searchsorted(pool, [row["example"] for row in rows])
            n_bytes += batch["vectors"].nbytes
            if n_bytes <= self._most_bytes:
                found.append((places, batch["vectors"]))
            else:
                found.clear()
        if n_bytes <= self._most_bytes:
            self._ids, self._kept = ids, found
