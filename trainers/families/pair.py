"""One label for one text or two: entailment, paraphrase, sentiment.

Axes: B sequences in a batch, T tokens, D width, K labels.

``<s> first </s></s> second </s>``, or ``<s> first </s>`` where ``second`` is empty. A pair that is
too long loses tokens from the end of its longer text, one by one, until it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.families.fetching import fetched
from trainers.families.sequences import (
    FirstTokenHead,
    Frame,
    column,
    encode_batch,
    longest,
    pad_rows,
    token_ids,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec


def fit(n_first: int, n_second: int, room: int) -> tuple[int, int]:
    """Tokens of two texts that are kept when the longer one is cut first."""
    if n_first + n_second <= room:
        return n_first, n_second
    kept_first = min(n_first, max(room - n_second, room - room // 2))
    return kept_first, min(n_second, room - kept_first)


class PairFamily:
    """Classification of one or two texts. Statistic: ``correct``."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """One feature per example, with its ``label``."""
        del training
        frame, max_length = Frame.of(tokenizer), longest(task, tokenizer)
        firsts = token_ids(tokenizer, examples["first"])
        seconds = token_ids(tokenizer, examples["second"])
        sequences, second_from, n_cut = [], [], []
        for first, second in zip(firsts, seconds, strict=True):
            if second:
                n_first, n_second = fit(len(first), len(second), frame.room_pair(max_length))
                sequences.append(frame.pair(first[:n_first], second[:n_second]))
                second_from.append(frame.second_from(first[:n_first]))
            else:
                n_first, n_second = min(len(first), frame.room_alone(max_length)), 0
                sequences.append(frame.alone(first[:n_first]))
                second_from.append(len(sequences[-1]))
            n_cut.append(len(first) + len(second) - n_first - n_second)
        return {
            "input_ids": sequences,
            "example": list(range(len(sequences))),
            "n_tokens": [len(sequence) for sequence in sequences],
            "n_cut": n_cut,
            "label": list(examples["label"]),
            **frame.segments(second_from),
        }

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, T), ``label`` (B,)."""
        del generator
        return {**pad_rows(rows, pad_id), "label": column(rows, "label")}

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """K logits from the first token."""
        return FirstTokenHead(width, len(task.labels))

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the labels."""
        logits_BK = head(encode_batch(encoder, batch))
        return nn.functional.cross_entropy(logits_BK.float(), batch["label"])

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
        """1 where the likeliest label is the right one."""
        del task, entry, language
        correct = np.zeros(len(examples["label"]))
        hits = (
            (head(encode_batch(encoder, batch)).argmax(-1) == batch["label"], rows)
            for batch, rows in batches
        )
        for hit_B, rows in fetched(hits):
            correct[[row["example"] for row in rows]] = hit_B
        return {"correct": correct}


FAMILY = PairFamily()
