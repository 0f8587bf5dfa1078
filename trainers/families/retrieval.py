"""Finding a sentence's translation, with the encoder as it is.

Axes: B sentences in a batch, T tokens, D width, N sentence pairs.

A sentence is its vector at the layer and by the pooling of the model's entry: for most the mean over
its tokens, special ones included. Each English query is answered by the foreign document nearest to it
by cosine, out of all documents of the cell. No margin, no index. A sentence is cut at its end.

Source: the Tatoeba protocol of XTREME, Hu et al. 2020, arXiv:2003.11080.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.errors import TaskError
from trainers.families.sequences import Frame, longest, pad, token_ids
from trainers.families.vectors import all_vectors, nearest, reading
from trainers.tasks.examples import DOCUMENT, QUERY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec


class RetrievalFamily:
    """Nearest-neighbour retrieval; never trained. Statistic: ``correct``."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """Two features per example, told apart by ``side``: 0 the query, 1 the document.

        Raises:
            TaskError: asked for training features.
        """
        if training:
            raise TaskError(
                f"task {task.name} is retrieval, which judges an encoder and trains none. Take it out "
                "of the mix; it can be a target."
            )
        frame = Frame.of(tokenizer)
        room = frame.room_alone(longest(task, tokenizer))
        features: Features = {name: [] for name in ("input_ids", "example", "n_tokens", "n_cut", "side")}
        sides = [
            token_ids(tokenizer, examples["query"]),
            token_ids(tokenizer, examples["document"]),
        ]
        for example, pair in enumerate(zip(*sides, strict=True)):
            n_cut = sum(max(0, len(text) - room) for text in pair)
            for side, text in zip((QUERY, DOCUMENT), pair, strict=True):
                sequence = frame.alone(text[:room])
                row = (sequence, example, len(sequence), n_cut, side)
                for name, value in zip(features, row, strict=True):
                    features[name].append(value)
        return features

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask``, (B, T)."""
        del generator
        return pad([row["input_ids"] for row in rows], pad_id)

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """Nothing on top."""
        del width, task
        return nn.Identity()

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """None.

        Raises:
            TaskError: always.
        """
        raise TaskError("retrieval judges an encoder and has no loss. Take it out of the mix.")

    def score(
        self,
        encoder: nn.Module,
        head: nn.Module,
        batches: Iterator[tuple[Batch, Sequence[Mapping[str, Any]]]],
        examples: Examples,
        task: TaskSpec,
        *,
        entry: ModelEntry,
        language: str,
    ) -> Records:
        """1 where the nearest document is the query's translation."""
        del head, language
        n_texts = 2 * len(examples["query"])
        read = reading(task, entry)
        vectors_ND = all_vectors(encoder, batches, n_texts, read=read, place_of=self.place)
        return self.judge(vectors_ND, examples)

    def place(self, row: Mapping[str, Any]) -> int:
        """A query is followed by its document."""
        return 2 * int(row["example"]) + int(row["side"])

    def judge(self, vectors_ND: torch.Tensor, examples: Examples) -> Records:
        """1 where the nearest document is the query's translation, from the vectors of both."""
        n_examples = len(examples["query"])
        if n_examples == 0:
            return {"correct": np.zeros(0)}
        _, nearest_N1 = nearest(vectors_ND[QUERY::2], vectors_ND[DOCUMENT::2], 1)
        return {"correct": (nearest_N1[:, 0].cpu().numpy() == np.arange(n_examples)).astype(np.float64)}


FAMILY = RetrievalFamily()
