"""Batches by token budget from tokenised features, in an order that can be continued anywhere.

An epoch's order follows from ``(seed, epoch)``: features are shuffled into pools, sorted by length
within a pool so that a batch holds sequences of like length, packed greedily until rows times the
longest would pass the budget, and the pool's batches are shuffled. A position is ``(epoch, index)``;
no iterator has to be replayed to get back to it.

A feature that is longer than the budget is a batch of its own. One of several sequences, each padded to
the longest of the batch, is as long as its longest times their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.errors import EmptySplitError
from trainers.seeding import derived

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from numpy.typing import NDArray

Rows = list[Mapping[str, Any]]

# How much is sorted together: so many batches, whatever their budget, that about 2 % of one is padding
# (docs/measurements.md, "Throughput"), and where few rows make a batch at least so many rows.
_POOL_BATCHES = 100
_POOL_ROWS = 4096


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The next batch of a task."""

    epoch: int = 0
    index: int = 0


class TaskBatches:
    """The training batches of one task, without end.

    Args:
        features: columns of the task's family, see :func:`row_lengths`.
        batch_tokens: rows times the longest row, at most.
        seed: of the stage.
        task: its name, so that tasks are shuffled independently.

    Raises:
        EmptySplitError: there is no feature to train on.
    """

    def __init__(self, features: Dataset, *, batch_tokens: int, seed: int, task: str) -> None:
        if len(features) == 0:
            raise EmptySplitError(f"task {task} has no example to train on: its train split is empty")
        self._features = features.with_format("arrow")
        self._lengths = row_lengths(features)
        self._batch_tokens = batch_tokens
        self._seed = derived(seed, "order", task)
        self._epoch = -1
        self._plan: list[NDArray[np.int64]] = []

    def take(self, position: Position) -> tuple[Rows, Position]:
        """The rows of the batch at ``position``, and the position after it."""
        plan = self.plan(position.epoch)
        rows = read_rows(self._features, plan[position.index])
        if position.index + 1 < len(plan):
            return rows, Position(position.epoch, position.index + 1)
        return rows, Position(position.epoch + 1, 0)

    @property
    def most_tokens(self) -> int:
        """Of a batch at most, with padding."""
        return max(self._batch_tokens, int(self._lengths.max()))

    @property
    def longest(self) -> Mapping[str, Any]:
        """The row that takes most of a batch."""
        return read_rows(self._features, np.argmax(self._lengths, keepdims=True))[0]

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The row numbers of every batch of one epoch; each row is in exactly one."""
        if epoch != self._epoch:
            generator = np.random.default_rng([self._seed, epoch])
            self._plan = _packed(self._lengths, self._batch_tokens, generator)
            self._epoch = epoch
        return self._plan


def row_lengths(features: Dataset) -> NDArray[np.int64]:
    """What each feature takes of a batch in which it is the longest, in tokens, shape (features,).

    The column ``n_padded`` where a feature has several sequences that are padded alike, or ``n_tokens``.
    """
    name = "n_padded" if "n_padded" in features.column_names else "n_tokens"
    return np.asarray(features[name][:], dtype=np.int64)


def _packed(
    lengths: NDArray[np.int64], batch_tokens: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    order = generator.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    n_pool = max(_POOL_ROWS, round(_POOL_BATCHES * batch_tokens / float(lengths.mean())))
    for start in range(0, len(order), n_pool):
        pool = order[start : start + n_pool]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        cuts = _cuts(lengths[pool].tolist(), batch_tokens)
        packed = np.split(pool, cuts)
        batches.extend(packed[place] for place in generator.permutation(len(packed)))
    return batches


def _cuts(rising: Sequence[int], batch_tokens: int) -> list[int]:
    """Where a new batch begins, in lengths that rise."""
    cuts, begin = [], 0
    for place, length in enumerate(rising):
        if place > begin and (place - begin + 1) * length > batch_tokens:
            cuts.append(place)
            begin = place
    return cuts


def read_rows(features: Dataset, numbers: NDArray[np.int64]) -> Rows:
    """Those rows of features in Arrow's format."""
    gathered: pa.Table = features[numbers.tolist()]
    rows: Rows = gathered.combine_chunks().to_pylist()
    return rows
