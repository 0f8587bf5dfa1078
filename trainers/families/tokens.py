"""A label for every word: part of speech, names, supertags.

Axes: B sequences in a batch, T tokens, D width, K labels, W labelled words of a batch.

Words come split. A word is labelled, and predicted, at its first sub-word. A sentence too long for
one sequence is split between words into several, so every word is predicted; of a word longer than
a whole sequence the beginning is kept. A word that the tokenizer turns into nothing is predicted
``O``, or the first label where there is no ``O``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.families.fetching import fetched
from trainers.families.sequences import Frame, encode_batch, flat_positions, linear, longest, pad
from trainers.metrics import span_counts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

_RUN_WORDS = 500  # tokenised as one sentence: each word is split by itself, whatever stands beside it

Word = tuple[int, list[int]]  # its place in the sentence, its sub-words


def _words(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> list[list[Word]]:
    """The words of each sentence that have sub-words; equal words are tokenised once and share them."""
    distinct = list(dict.fromkeys(word for words in sentences for word in words))
    if not distinct:
        return [[] for _ in sentences]
    runs = [distinct[begin : begin + _RUN_WORDS] for begin in range(0, len(distinct), _RUN_WORDS)]
    encoded = tokenizer(
        runs,
        is_split_into_words=True,
        add_special_tokens=False,
        return_attention_mask=False,
        verbose=False,
    )
    sub_words: dict[str, list[int]] = {word: [] for word in distinct}
    for number, (run, ids) in enumerate(zip(runs, encoded["input_ids"], strict=True)):
        for place, token_id in zip(encoded.word_ids(number), ids, strict=True):
            sub_words[run[place]].append(token_id)
    return [
        [(place, sub_words[word]) for place, word in enumerate(words) if sub_words[word]]
        for words in sentences
    ]


def windows(words: Sequence[Word], room: int) -> Iterator[list[Word]]:
    """The words in order, packed into as few sequences of ``room`` tokens as that allows."""
    window: list[Word] = []
    n_used = 0
    for place, sub_words in words:
        kept = sub_words[:room]
        if n_used + len(kept) > room:
            yield window
            window, n_used = [], 0
        window.append((place, kept))
        n_used += len(kept)
    yield window


class TokensFamily:
    """Sequence labelling. Statistics: ``true_positives``, ``n_predicted``, ``n_gold`` spans."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """A feature per window: ``positions`` of first sub-words, their ``tags`` and ``words``."""
        frame = Frame.of(tokenizer)
        room = frame.room_alone(longest(task, tokenizer))
        features: Features = {
            name: []
            for name in ("input_ids", "example", "n_tokens", "n_cut", "positions", "tags", "words")
        }
        sentences = _words(tokenizer, examples["tokens"])
        for example, (words, tags) in enumerate(zip(sentences, examples["tags"], strict=True)):
            n_cut = sum(max(0, len(sub_words) - room) for _, sub_words in words)
            for window in windows(words, room):
                if training and not window:
                    continue
                text = frame.alone([token_id for _, sub_words in window for token_id in sub_words])
                lengths = (len(sub_words) for _, sub_words in window)
                *starts, _ = accumulate(lengths, initial=len(frame.start))
                features["input_ids"].append(text)
                features["example"].append(example)
                features["n_tokens"].append(len(text))
                features["n_cut"].append(n_cut)
                features["positions"].append(starts)
                features["tags"].append([tags[place] for place, _ in window])
                features["words"].append([place for place, _ in window])
        return features

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask`` (B, T), ``positions`` in B * T and ``tags`` (W,)."""
        del generator
        batch = pad([row["input_ids"] for row in rows], pad_id)
        positions_W = flat_positions(rows, "positions", batch["input_ids"].shape[1])
        tags_W = torch.tensor([tag for row in rows for tag in row["tags"]], dtype=torch.long)
        return {**batch, "positions": positions_W, "tags": tags_W}

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """K logits from each word's first sub-word."""
        return linear(width, len(task.labels))

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy over the words of the batch."""
        return nn.functional.cross_entropy(_logits(encoder, head, batch).float(), batch["tags"])

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
        """Spans found, spans predicted and spans there are, per sentence."""
        del entry, language
        predicted = self.predict(encoder, head, batches, examples, task)
        counts = [
            span_counts([task.labels[tag] for tag in gold], guess)
            for gold, guess in zip(examples["tags"], predicted, strict=True)
        ]
        columns = np.array(counts, dtype=np.float64).reshape(len(counts), 3)
        names = ("true_positives", "n_predicted", "n_gold")
        return {name: columns[:, number] for number, name in enumerate(names)}

    def predict(
        self,
        encoder: nn.Module,
        head: nn.Module,
        batches: Iterator[tuple[Batch, Sequence[Mapping[str, Any]]]],
        examples: Examples,
        task: TaskSpec,
    ) -> list[list[str]]:
        """The likeliest tag of each word; ``O`` (or the first) for a word without sub-words."""
        unseen = "O" if "O" in task.labels else task.labels[0]
        predicted = [[unseen] * len(words) for words in examples["tokens"]]
        tags = ((_logits(encoder, head, batch).argmax(-1), rows) for batch, rows in batches)
        for tag_W, rows in fetched(tags):
            likeliest = iter(tag_W.tolist())
            for row in rows:
                for place in row["words"]:
                    predicted[row["example"]][place] = task.labels[next(likeliest)]
        return predicted


def _logits(encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
    """Logits of the labelled words, (W, K)."""
    hidden_BTD = encode_batch(encoder, batch)
    logits_WK: torch.Tensor = head(hidden_BTD.flatten(0, 1)[batch["positions"]])
    return logits_WK


FAMILY = TokensFamily()
