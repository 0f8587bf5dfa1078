"""A span of a text as the answer to a question, or none.

Axes: B windows in a batch, T tokens, D width, L span lengths.

``<s> question </s></s> window of the context </s>``. Windows fill the room and overlap by 128
tokens, or by half the room where that is less. A question keeps its first 64 tokens, or a quarter
of the sequence where that is less. The first token stands for "no answer".

Training: an answerable question's windows without the whole first answer are left out.
Prediction: the likeliest span of at most 30 tokens over all windows, as characters of the original
text. "No answer" may be predicted only where the data set has unanswerable questions, as its users
declare for SQuAD 2.0; it wins when its least score over the windows beats the best span.

Source: Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.answers import Normaliser, exact_match, normaliser, token_f1
from trainers.families.fetching import fetched
from trainers.families.sequences import (
    Frame,
    attended,
    column,
    encode_batch,
    linear,
    longest,
    pad_rows,
    token_ids,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

OVERLAP_TOKENS = 128
QUESTION_TOKENS = 64
ANSWER_TOKENS = 30

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Context:
    """A tokenised text: the ids of its tokens and the characters each one covers."""

    ids: Sequence[int]
    begins: Sequence[int]
    ends: Sequence[int]

    def tokens_of(self, begin: int, end: int) -> tuple[int, int] | None:
        """First and last token that touch the characters ``begin`` to ``end``, or None."""
        first = int(np.searchsorted(self.ends, begin, side="right"))
        last = int(np.searchsorted(self.begins, end, side="left")) - 1
        return (first, last) if first <= last else None


def _contexts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Context]:
    """Each text tokenised, with offsets; equal texts once."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return []
    encoded = tokenizer(
        distinct,
        add_special_tokens=False,
        return_attention_mask=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    known = {
        text: Context(ids, [begin for begin, _ in offsets], [end for _, end in offsets])
        for text, ids, offsets in zip(
            distinct, encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    }
    return [known[text] for text in texts]


def window_starts(n_tokens: int, room: int, overlap: int) -> range:
    """Where windows of ``room`` tokens begin, so that they cover ``n_tokens``; at least one."""
    step = room - overlap
    return range(0, max(1, n_tokens - overlap), step)


def _answer_tokens(
    context: Context, text: str, answers: Sequence[str], starts: Sequence[int]
) -> tuple[int, int] | None:
    """First and last token of the first answer that can be found in the text."""
    for answer, start in zip(answers, starts, strict=True):
        stated = text[start : start + len(answer)]
        begin = start + len(stated) - len(stated.lstrip())
        found = context.tokens_of(begin, begin + len(stated.strip()))
        if stated.strip() and found:
            return found
    return None


class SpansFamily:
    """Extractive question answering. Statistics: ``f1`` and ``em``, 0 to 1."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """A feature per window.

        Training: ``start`` and ``end`` position, 0 for no answer. Otherwise ``context_from``, the
        position of the window's first token, with ``char_begins`` and ``char_ends`` of its tokens.
        """
        frame, max_length = Frame.of(tokenizer), longest(task, tokenizer)
        names = ("start", "end") if training else ("context_from", "char_begins", "char_ends")
        features: Features = {name: [] for name in ("input_ids", "example", "n_tokens", "n_cut", *names)}
        features |= frame.segments([])
        questions = token_ids(tokenizer, examples["question"])
        contexts = _contexts(tokenizer, examples["context"])
        for example, (full_question, context) in enumerate(zip(questions, contexts, strict=True)):
            question = full_question[: min(QUESTION_TOKENS, max_length // 4)]
            n_cut = len(full_question) - len(question)
            room = frame.room_pair(max_length) - len(question)
            context_from = frame.second_from(question)
            answers = examples["answers"][example]
            found = _answer_tokens(
                context, examples["context"][example], answers, examples["starts"][example]
            )
            for begin in window_starts(len(context.ids), room, min(OVERLAP_TOKENS, room // 2)):
                stop = begin + room
                places: tuple[Any, ...]
                if not training:
                    places = (context_from, context.begins[begin:stop], context.ends[begin:stop])
                elif not answers:
                    places = (0, 0)
                elif found and begin <= found[0] and found[1] < stop:
                    places = tuple(context_from + token - begin for token in found)
                else:
                    continue
                sequence = frame.pair(question, context.ids[begin:stop])
                row = (sequence, example, len(sequence), n_cut, *places, context_from)
                for name, value in zip(features, row, strict=False):  # the last only with segments
                    features[name].append(value)
        return features

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, T), and (B,) columns.

        ``start`` and ``end`` for training, otherwise ``context_from`` and ``context_to``.
        """
        del generator
        batch = pad_rows(rows, pad_id)
        if "start" in rows[0]:
            return {**batch, "start": column(rows, "start"), "end": column(rows, "end")}
        context_from_B = column(rows, "context_from")
        n_context_B = torch.tensor([len(row["char_begins"]) for row in rows], dtype=torch.long)
        return {**batch, "context_from": context_from_B, "context_to": context_from_B + n_context_B}

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """Two logits per token: start and end of the answer."""
        del task
        return linear(width, 2)

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean of the cross-entropies of start and end."""
        starts_BT, ends_BT = _logits(encoder, head, batch)
        cross_entropy = nn.functional.cross_entropy
        return (cross_entropy(starts_BT, batch["start"]) + cross_entropy(ends_BT, batch["end"])) / 2

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
        """F1 and exact match of the predicted answer against the best gold answer."""
        del entry
        normalise = normaliser(task.metric, language)
        predictions = self.predict(encoder, head, batches, examples)
        return answer_records(predictions, examples["answers"], [normalise] * len(predictions))

    def predict(
        self,
        encoder: nn.Module,
        head: nn.Module,
        batches: Iterator[tuple[Batch, Sequence[Mapping[str, Any]]]],
        examples: Examples,
    ) -> list[str]:
        """The answer to each question, "" for none."""
        n_examples = len(examples["context"])
        scores, none_scores = np.full(n_examples, _NEVER), np.full(n_examples, np.inf)
        spans = [(0, 0)] * n_examples
        found = ((best_spans(*_logits(encoder, head, batch), batch), rows) for batch, rows in batches)
        for best_B4, rows in fetched(found):
            for row, (best, none, begin, end) in zip(rows, best_B4.tolist(), strict=True):
                example, offset = row["example"], row["context_from"]
                none_scores[example] = min(none_scores[example], none)
                if best > scores[example]:
                    scores[example] = best
                    spans[example] = (
                        row["char_begins"][int(begin) - offset],
                        row["char_ends"][int(end) - offset],
                    )
        may_be_none = any(not answers for answers in examples["answers"])
        return [
            "" if may_be_none and none_scores[number] > scores[number] else context[begin:end].strip()
            for number, (context, (begin, end)) in enumerate(
                zip(examples["context"], spans, strict=True)
            )
        ]


def answer_records(
    predictions: Sequence[str], golds: Sequence[Sequence[str]], rules: Sequence[Normaliser]
) -> Records:
    """F1 and exact match of each prediction against its gold answers, each by its own rule."""
    answered = list(zip(predictions, golds, rules, strict=True))
    return {
        "f1": np.array([token_f1(*one) for one in answered]),
        "em": np.array([exact_match(*one) for one in answered]),
    }


def _logits(encoder: nn.Module, head: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end logits, (B, T) each, float32, padding out of reach."""
    logits_BT2 = head(encode_batch(encoder, batch)).float()
    logits_BT2 = logits_BT2.masked_fill(attended(batch).unsqueeze(-1) == 0, _NEVER)
    return logits_BT2[..., 0], logits_BT2[..., 1]


def best_spans(starts_BT: torch.Tensor, ends_BT: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The best span inside each window's context.

    Returns:
        Score of the best span (-inf where the window has no context), score of "no answer", first
        and last position of the span, (B, 4), float64.
    """
    n_tokens = starts_BT.shape[1]
    position_T = torch.arange(n_tokens, device=starts_BT.device)
    outside_BT = (position_T < batch["context_from"][:, None]) | (
        position_T >= batch["context_to"][:, None]
    )
    ends_within_BT = nn.functional.pad(
        ends_BT.masked_fill(outside_BT, _NEVER), (0, ANSWER_TOKENS - 1), value=_NEVER
    )
    pairs_BTL = starts_BT.masked_fill(outside_BT, _NEVER)[..., None] + ends_within_BT.unfold(
        1, ANSWER_TOKENS, 1
    )
    best_B, place_B = pairs_BTL.flatten(1).max(-1)
    begin_B = place_B // ANSWER_TOKENS
    end_B = begin_B + place_B % ANSWER_TOKENS
    none_B = starts_BT[:, 0] + ends_BT[:, 0]
    return torch.stack([column_B.double() for column_B in (best_B, none_B, begin_B, end_B)], dim=-1)


FAMILY = SpansFamily()
