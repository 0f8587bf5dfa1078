"""Batches by token budget from tokenised features, in an order that can be continued anywhere.

An epoch's order follows from ``(seed, epoch)``: shards are shuffled and make pools, as many to a pool as
give some hundred batches. Features are sorted by length within a pool so that a batch holds sequences of
like length, packed greedily until rows times the longest would pass the budget, and the pool's batches
are shuffled. A position is ``(epoch, index)``; no iterator has to be replayed to get back to it. Shards
that no position has come to are not read.

A feature that is longer than the budget is a batch of its own. One of several sequences, each padded to
the longest of the batch, is as long as its longest times their number.
"""

from __future__ import annotations

from collections import deque
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

Row = Mapping[str, Any]
Rows = list[Row]

# How much is sorted together: so many batches, whatever their budget, that about 2 % of one is padding
# (docs/measurements.md, "Throughput").
POOL_BATCHES = 100


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The next batch of a task."""

    epoch: int = 0
    index: int = 0


class TaskBatches:
    """The training batches of one task, without end.

    Args:
        shards: features of the task's family, see :func:`row_lengths`; some may be empty.
        batch_tokens: rows times the longest row, at most.
        seed: of the stage.
        task: its name, so that tasks are shuffled independently.
    """

    def __init__(self, shards: Sequence[Dataset], *, batch_tokens: int, seed: int, task: str) -> None:
        self._shards = shards
        self._batch_tokens = batch_tokens
        self._seed = derived(seed, "order", task)
        self._task = task
        self._epoch = self._new(0)

    def take(self, position: Position) -> tuple[Rows, Position]:
        """The rows of the batch at ``position``, and the position after it.

        Raises:
            EmptySplitError: there is no feature to train on.
        """
        epoch = self._at(position)
        if epoch is None:
            return self.take(Position(position.epoch + 1))
        rows = epoch.rows(position.index)
        if epoch.ends_after(position.index):
            return rows, Position(position.epoch + 1)
        return rows, Position(position.epoch, position.index + 1)

    def open(self, position: Position, n_tokens: float) -> None:
        """Read shards now, until the next ``n_tokens`` from ``position`` on are in them, or all.

        Raises:
            EmptySplitError: there is no feature to train on.
        """
        epoch = self._at(position)
        while epoch and epoch.n_tokens_from(position.index) < n_tokens and epoch.read_on():
            pass

    def shards_before(self, position: Position) -> list[Dataset]:
        """The shards of the pools that the batches before ``position`` came from."""
        if position.epoch:
            return list(self._shards)
        if not position.index:
            return []
        epoch = self._at(Position(0, position.index - 1))
        assert epoch is not None
        return [self._shards[number] for number in epoch.shards_until(position.index)]

    @property
    def most_tokens(self) -> int:
        """Of a batch at most, with padding, as far as shards were read."""
        return max(self._batch_tokens, int(self._of_longest().lengths.max()))

    @property
    def longest(self) -> Row:
        """The row that takes most of a batch, of the shards that were read."""
        pool = self._of_longest()
        return read_rows(pool.features, np.argmax(pool.lengths, keepdims=True))[0]

    def _of_longest(self) -> _Pool:
        self._at(Position(self._epoch.number))
        return max(self._epoch.pools, key=lambda pool: int(pool.lengths.max()))

    def _new(self, number: int) -> _Epoch:
        return _Epoch(self._shards, batch_tokens=self._batch_tokens, seed=self._seed, number=number)

    def _at(self, position: Position) -> _Epoch | None:
        """The epoch with the batch at ``position`` read; None where it ends before that."""
        if position.epoch != self._epoch.number:
            self._epoch = self._new(position.epoch)
        if self._epoch.reaches(position.index):
            return self._epoch
        if self._epoch.pools:
            return None
        raise EmptySplitError(
            f"none of the training examples of task {self._task} gives a feature: they are empty, or "
            "have no text. Leave the task out, or look at its data and tokenizer."
        )


@dataclass(frozen=True, slots=True)
class _Pool:
    """Shards that are sorted together.

    Attributes:
        shards: their numbers.
        features: of them all, in Arrow's format.
        lengths: what each feature takes of a batch.
        batches: row numbers of each.
        first: how many batches of the epoch come before.
    """

    shards: Sequence[int]
    features: Dataset
    lengths: NDArray[np.int64]
    batches: list[NDArray[np.int64]]
    first: int


class _Epoch:
    """One epoch's pools, as far as they were read."""

    def __init__(self, shards: Sequence[Dataset], *, batch_tokens: int, seed: int, number: int) -> None:
        self.number = number
        self.pools: list[_Pool] = []
        self._shards = shards
        self._batch_tokens = batch_tokens
        self._generator = np.random.default_rng([seed, number])
        self._left = deque(self._generator.permutation(len(shards)).tolist())

    @property
    def _n_batches(self) -> int:
        return self.pools[-1].first + len(self.pools[-1].batches) if self.pools else 0

    def reaches(self, index: int) -> bool:
        """Read on until the batch ``index`` is there; whether it is."""
        while self._n_batches <= index and self.read_on():
            pass
        return index < self._n_batches

    def rows(self, index: int) -> Rows:
        """Of a batch that is there."""
        pool = next(pool for pool in reversed(self.pools) if pool.first <= index)
        return read_rows(pool.features, pool.batches[index - pool.first])

    def ends_after(self, index: int) -> bool:
        """Whether no shard holds more than the batches up to ``index``."""
        return index + 1 == self._n_batches and not self._left

    def n_tokens_from(self, index: int) -> int:
        """In the batches from ``index`` on that are there."""
        return sum(
            int(pool.lengths[np.concatenate(batches)].sum())
            for pool in self.pools
            if (batches := pool.batches[max(0, index - pool.first) :])
        )

    def shards_until(self, index: int) -> list[int]:
        """Of the pools that the batches before ``index`` are in."""
        return [number for pool in self.pools if pool.first < index for number in pool.shards]

    def read_on(self) -> bool:
        """Read one more pool; false where no shard is left that has features."""
        from datasets import concatenate_datasets

        numbers, read, n_tokens = [], [], 0
        while self._left and n_tokens < POOL_BATCHES * self._batch_tokens:
            number = self._left.popleft()
            numbers.append(number)
            if self._shards[number].num_rows:
                read.append(self._shards[number])
                n_tokens += int(row_lengths(read[-1]).sum())
        if not read:
            return False
        features = concatenate_datasets(read).with_format("arrow")
        lengths = row_lengths(features)
        batches = _packed(lengths, self._batch_tokens, self._generator)
        self.pools.append(_Pool(numbers, features, lengths, batches, first=self._n_batches))
        return True


def row_lengths(features: Dataset) -> NDArray[np.int64]:
    """What each feature takes of a batch in which it is the longest, in tokens, shape (features,).

    The column ``n_padded`` where a feature has several sequences that are padded alike, or ``n_tokens``.
    """
    name = "n_padded" if "n_padded" in features.column_names else "n_tokens"
    return np.asarray(features[name][:], dtype=np.int64)


def _packed(
    lengths: NDArray[np.int64], batch_tokens: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The row numbers of a pool's batches, in any order."""
    order = generator.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    packed = np.split(order, _cuts(lengths[order].tolist(), batch_tokens))
    return [packed[place] for place in generator.permutation(len(packed))]


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
