"""From pieces of text to padded tensors: what all families do alike.

Axes: B sequences in a batch, T tokens, D width.

Texts are tokenised without special tokens and framed here, so a family decides itself what is cut
when a text is too long, and a text of any length is safe. A feature of two texts says where its
second segment begins (``second_from``) if the model tells segments apart; XLM-R does not.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

from trainers.errors import ModelError, TaskError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch
    from trainers.tasks.spec import TaskSpec

_INITIAL_STD = 0.02  # as XLM-R initialises its own heads
_LEAST_TOKENS = 16
ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_Place = TypeVar("_Place", int, list[int])  # a sequence's, or those of the sequences of a feature


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens of a tokenizer, around one text and around two.

    Attributes:
        start: before the first text, for instance ``<s>``.
        between: between two texts, for instance ``</s></s>``.
        stop: after the last text, for instance ``</s>``.
        has_segments: whether the second text and what follows it is a segment of its own.
    """

    start: tuple[int, ...]
    between: tuple[int, ...]
    stop: tuple[int, ...]
    has_segments: bool = False

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Frame:
        """The frame that ``tokenizer`` puts around a pair of texts.

        Raises:
            ModelError: the tokenizer makes nothing of a plain letter, so it shows no frame.
        """
        encoded = tokenizer("a", "b")
        owners = ["special" if owner is None else owner for owner in encoded.sequence_ids(0)]
        numbered = zip(owners, encoded["input_ids"], strict=True)
        runs = [
            (owner, tuple(token_id for _, token_id in run))
            for owner, run in groupby(numbered, key=lambda pair: pair[0])
        ]
        places = {owner: place for place, (owner, _) in enumerate(runs)}
        if 0 not in places or 1 not in places:
            raise ModelError(
                f"the tokenizer gives {len(encoded['input_ids'])} tokens for the texts 'a' and 'b' and "
                "none of them is theirs. Give one with an unknown token, which can frame two texts."
            )
        first, second = places[0], places[1]

        def specials(*, begin: int, end: int) -> tuple[int, ...]:
            return tuple(token_id for _, run in runs[begin:end] for token_id in run)

        return cls(
            start=specials(begin=0, end=first),
            between=specials(begin=first + 1, end=second),
            stop=specials(begin=second + 1, end=len(runs)),
            has_segments="token_type_ids" in tokenizer.model_input_names
            and 1 in tokenizer("a", "b", return_token_type_ids=True)["token_type_ids"],
        )

    def segments(self, places: Sequence[_Place]) -> dict[str, list[_Place]]:
        """The column ``second_from``; no column at all where the model has no segments."""
        return {"second_from": list(places)} if self.has_segments else {}

    def second_from(self, first: Sequence[int]) -> int:
        """Where the second segment begins after ``first``; the token between belongs to the first."""
        return len(self.start) + len(first) + len(self.between)

    def alone(self, text: Sequence[int]) -> list[int]:
        """One text, framed."""
        return [*self.start, *text, *self.stop]

    def pair(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Two texts, framed."""
        return [*self.start, *first, *self.between, *second, *self.stop]

    def room_alone(self, max_length: int) -> int:
        """Tokens left for one text."""
        return max_length - len(self.start) - len(self.stop)

    def room_pair(self, max_length: int) -> int:
        """Tokens left for two texts together."""
        return self.room_alone(max_length) - len(self.between)


def longest(task: TaskSpec, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens a sequence may have: the task's limit, or the model's where that is smaller.

    Raises:
        TaskError: too few to hold a question, a text and the frame around them.
    """
    max_length = min(task.max_length, int(tokenizer.model_max_length))
    if max_length < _LEAST_TOKENS:
        raise TaskError(
            f"task {task.name} allows {task.max_length} tokens per sequence and the tokenizer "
            f"{tokenizer.model_max_length}; at least {_LEAST_TOKENS} are needed. Raise max_length."
        )
    return max_length


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens, not cut; equal texts share a list."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    encoded = tokenizer(distinct, add_special_tokens=False, return_attention_mask=False, verbose=False)
    known: dict[str, list[int]] = dict(zip(distinct, encoded["input_ids"], strict=True))
    return [known[text] for text in texts]


def pad(
    sequences: Sequence[Sequence[int]], pad_id: int, second_from: Sequence[int] | None = None
) -> Batch:
    """``input_ids``, (B, T), T the longest, and ``attention_mask``, (B, T), where some are shorter.

    With ``second_from``, where the second segment of each begins, also ``token_type_ids`` (B, T).
    """
    n_longest = max(len(sequence) for sequence in sequences)
    ids_BT = np.full((len(sequences), n_longest), pad_id, dtype=np.int64)
    mask_BT = np.zeros((len(sequences), n_longest), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids_BT[row, : len(sequence)] = sequence
        mask_BT[row, : len(sequence)] = 1
    batch = {"input_ids": torch.from_numpy(ids_BT)}
    if not mask_BT.all():
        batch["attention_mask"] = torch.from_numpy(mask_BT)
    if second_from is not None:
        in_second_BT = np.arange(n_longest) >= np.asarray(second_from)[:, None]
        batch["token_type_ids"] = torch.from_numpy(mask_BT * in_second_BT)
    return batch


def pad_rows(rows: Sequence[Mapping[str, Any]], pad_id: int) -> Batch:
    """The sequences of rows that have one each, padded, with segments where the rows have them."""
    second_from = [row["second_from"] for row in rows] if "second_from" in rows[0] else None
    return pad([row["input_ids"] for row in rows], pad_id, second_from)


def column(rows: Sequence[Mapping[str, Any]], name: str) -> torch.Tensor:
    """One whole number per row, (B,)."""
    return torch.tensor([row[name] for row in rows], dtype=torch.long)


def flat_positions(rows: Sequence[Mapping[str, Any]], name: str, n_tokens: int) -> torch.Tensor:
    """Positions named by each row, counted through a (B, T) tensor laid out flat.

    They are known on the host, so picking them on the device waits for nothing.
    """
    positions = [
        row_number * n_tokens + position for row_number, row in enumerate(rows) for position in row[name]
    ]
    return torch.tensor(positions, dtype=torch.long)


def encode_batch(encoder: nn.Module, batch: Batch, layer: int | None = None) -> torch.Tensor:
    """Hidden states of a layer, an index into ``hidden_states``, or the last output, (B, T, D)."""
    inputs = {name: batch[name] for name in ENCODER_INPUTS if name in batch}
    if "attention_mask" in inputs and _takes_whole_mask(encoder):
        inputs["attention_mask"] = _whole_mask(inputs["attention_mask"])
    output = encoder(**inputs, output_hidden_states=layer is not None)
    hidden_BTD: torch.Tensor = output.last_hidden_state if layer is None else output.hidden_states[layer]
    return hidden_BTD


def attended(batch: Batch) -> torch.Tensor:
    """1 for tokens and 0 for padding, (B, T); a batch without padding has no mask of its own."""
    mask_BT = batch.get("attention_mask")
    return torch.ones_like(batch["input_ids"]) if mask_BT is None else mask_BT


def _takes_whole_mask(encoder: nn.Module) -> bool:
    """Whether the model hands a mask of query by key on to attention as it is.

    A mask of tokens it would first look through for padding, and so wait for the device in every batch.
    One with windows of its own makes them of a mask of tokens.
    """
    module = sys.modules[type(encoder).__module__]
    implementation = getattr(getattr(encoder, "config", None), "_attn_implementation", "")
    return (
        implementation == "sdpa"
        and hasattr(module, "create_bidirectional_mask")
        and not hasattr(module, "create_bidirectional_sliding_window_mask")
    )


def _whole_mask(mask_BT: torch.Tensor) -> torch.Tensor:
    """Whether a query may look at a key, (B, 1, T, T)."""
    n_tokens = mask_BT.shape[1]
    return mask_BT.bool()[:, None, None, :].expand(-1, 1, n_tokens, n_tokens)


def linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer that starts as XLM-R's heads do: normal weights, no bias."""
    layer = nn.Linear(n_in, n_out)
    nn.init.normal_(layer.weight, std=_INITIAL_STD)
    nn.init.zeros_(layer.bias)
    return layer


class FirstTokenHead(nn.Module):
    """Logits from the first token: dense, tanh, linear, as XLM-R's classification head."""

    def __init__(self, width: int, n_out: int) -> None:
        super().__init__()
        self.dense = linear(width, width)
        self.out = linear(width, n_out)

    def forward(self, hidden_BTD: torch.Tensor) -> torch.Tensor:
        """Logits of each sequence, (B, n_out)."""
        logits: torch.Tensor = self.out(torch.tanh(self.dense(hidden_BTD[:, 0])))
        return logits
