"""The training examples of one task in shards, each tokenised when it is first read.

A stage that trains on few tokens of a large set reads few of its rows, and its lease should not pay for
the others. Examples are dealt to shards in small blocks, by a shuffle that depends on their number
alone: a shard is a sample of all languages and splits, and whoever reads it, under any seed, finds it
tokenised from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from trainers.features import tokenised

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from trainers.tasks.spec import TaskSpec

SHARD_ROWS = 1024  # at least, where there are so many
_MOST_SHARDS = 256  # a folder each
# Dealt together, so that the questions about one paragraph mostly stay together: it is tokenised once
# for all that are in a shard.
_BLOCK_ROWS = 16
_SEED = 0


class Shards(Sequence["Dataset"]):
    """Features of training examples, shard after shard; some of them may be empty.

    Args:
        examples: of the whole task; its fingerprint names the data.
        task: what they are.
        tokenizer: a fast tokenizer.
        cache_dir: folder that holds one folder per shard.
    """

    def __init__(
        self, examples: Dataset, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, cache_dir: Path
    ) -> None:
        self._examples = examples
        self._task = task
        self._tokenizer = tokenizer
        self._cache_dir = cache_dir
        self._read: dict[int, Dataset] = {}

    def __len__(self) -> int:
        return n_shards(self._examples.num_rows)

    @overload
    def __getitem__(self, number: int) -> Dataset: ...

    @overload
    def __getitem__(self, number: slice) -> list[Dataset]: ...

    def __getitem__(self, number: int | slice) -> Dataset | list[Dataset]:
        """The features of a shard, tokenised now if nobody has read it before.

        Raises:
            StoreError: the cache cannot be written.
            ModelError: the tokenizer is not a fast one.
        """
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        if number not in self._read:
            rows = self._examples.select(
                self._dealt[number],
                keep_in_memory=True,
                new_fingerprint=f"{self._examples._fingerprint}-{number}",
            )
            self._read[number] = tokenised(
                rows, self._task, self._tokenizer, training=True, cache_dir=self._cache_dir
            )
        return self._read[number]

    @cached_property
    def _dealt(self) -> list[NDArray[np.int64]]:
        return dealt(self._examples.num_rows)


def n_shards(n_examples: int) -> int:
    """Shards that so many examples are dealt to."""
    return min(max(1, n_examples // SHARD_ROWS), _MOST_SHARDS)


def dealt(n_examples: int) -> list[NDArray[np.int64]]:
    """The row numbers of every shard, each rising; each row is in exactly one."""
    n_blocks = -(-n_examples // _BLOCK_ROWS)
    blocks = np.random.default_rng([_SEED, n_examples]).permutation(n_blocks)
    begins = [np.sort(part) * _BLOCK_ROWS for part in np.array_split(blocks, n_shards(n_examples))]
    within = np.arange(_BLOCK_ROWS)
    rows = [(begin[:, None] + within).ravel() for begin in begins]
    return [numbers[numbers < n_examples] for numbers in rows]
