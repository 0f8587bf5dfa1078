"""The best of several continuations or answers.

Axes: B examples in a batch, C choices of an example, T tokens, D width.

``<s> context question </s></s> choice </s>`` for every choice; one feature per example, so that the
choices always meet in one batch. What is too long loses its beginning (the end of a story and the
question are kept); a choice is cut at its end, and only where it takes more than half the room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from trainers.errors import MalformedDataError
from trainers.families.fetching import fetched
from trainers.families.sequences import (
    FirstTokenHead,
    Frame,
    column,
    encode_batch,
    longest,
    pad,
    token_ids,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec


class _Framed(NamedTuple):
    """One choice after its prompt: where its segment begins, and tokens that both lost."""

    sequence: list[int]
    second_from: int
    n_cut_prompt: int
    n_cut_choice: int


def _framed(frame: Frame, prompt: Sequence[int], choice: Sequence[int], max_length: int) -> _Framed:
    if not prompt:
        n_choice = min(len(choice), frame.room_alone(max_length))
        alone = frame.alone(choice[:n_choice])
        return _Framed(alone, len(alone), 0, len(choice) - n_choice)
    room = frame.room_pair(max_length)
    n_choice = min(len(choice), max(room - len(prompt), room // 2))
    n_prompt = min(len(prompt), room - n_choice)
    kept = prompt[len(prompt) - n_prompt :]
    return _Framed(
        frame.pair(kept, choice[:n_choice]),
        frame.second_from(kept),
        len(prompt) - n_prompt,
        len(choice) - n_choice,
    )


class ChoiceFamily:
    """Multiple choice. Statistic: ``correct``."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """One feature per example: ``input_ids`` is a list of C sequences."""
        del training
        frame, max_length = Frame.of(tokenizer), longest(task, tokenizer)
        prompts = token_ids(
            tokenizer,
            [
                " ".join(part for part in parts if part)
                for parts in zip(examples["context"], examples["question"], strict=True)
            ],
        )
        choices = iter(token_ids(tokenizer, [choice for row in examples["choices"] for choice in row]))
        framed = [
            [_framed(frame, prompt, next(choices), max_length) for _ in row]
            for prompt, row in zip(prompts, examples["choices"], strict=True)
        ]
        sequences = [[one.sequence for one in row] for row in framed]
        return {
            "input_ids": sequences,
            "example": list(range(len(sequences))),
            "n_tokens": [sum(len(choice) for choice in row) for row in sequences],
            "n_padded": [len(row) * max(len(choice) for choice in row) for row in sequences],
            "label": list(examples["label"]),
            # What one sequence lacks of the prompt, another may have.
            "n_cut": [
                min(one.n_cut_prompt for one in row) + sum(one.n_cut_choice for one in row)
                for row in framed
            ],
            **frame.segments([[one.second_from for one in row] for row in framed]),
        }

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask`` (B * C, T), ``label`` (B,).

        Raises:
            MalformedDataError: the examples do not have equally many choices.
        """
        del generator
        counts = sorted({len(row["input_ids"]) for row in rows})
        if len(counts) != 1:
            raise MalformedDataError(
                f"a batch of choice examples has {counts[0]} to {counts[-1]} choices per example; "
                "every example of a task must offer equally many"
            )
        sequences = [choice for row in rows for choice in row["input_ids"]]
        second_from = [place for row in rows for place in row.get("second_from", ())]
        return {**pad(sequences, pad_id, second_from or None), "label": column(rows, "label")}

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """One logit per choice, from its first token."""
        del task
        return FirstTokenHead(width, 1)

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy over the choices."""
        return nn.functional.cross_entropy(_logits(encoder, head, batch).float(), batch["label"])

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
        """1 where the likeliest choice is the right one."""
        del task, entry, language
        correct = np.zeros(len(examples["label"]))
        hits = (
            (_logits(encoder, head, batch).argmax(-1) == batch["label"], rows) for batch, rows in batches
        )
        for hit_B, rows in fetched(hits):
            correct[[row["example"] for row in rows]] = hit_B
        return {"correct": correct}


def _logits(encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
    """Logits of the choices of each example, (B, C)."""
    logits: torch.Tensor = head(encode_batch(encoder, batch))
    return logits.view(len(batch["label"]), -1)


FAMILY = ChoiceFamily()
