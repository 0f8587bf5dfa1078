"""Queries against one pool of candidates in many languages: a dual encoder.

Axes: B pairs or texts in a batch, T tokens, D width, N texts of a cell, K keys.

A query is ``<s> text </s>``, a document the same or ``<s> text </s></s> context </s>``; each is cut at
its end, a query after 96 tokens. Trained, a text's vector is its first token's last hidden state, of
length 1, and the documents of the other queries in a batch are what a query's own is told from:

    loss = mean_i -log( exp(100 q_i . d_i) / sum_j exp(100 q_i . d_j) )

where j runs over i and the documents that do not answer query i and are not its document's twin. A
task that has no training data reads the encoder as it is, by the model entry's layer and pooling. Every
candidate is embedded once per stage (trainers/candidates.py).

Sources: the LAReQA and Mewsli-X baselines of XTREME-R, Ruder et al. 2021, arXiv:2104.07412, without the
dense layer that their BERT has over its first token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import nn

from trainers.families.sequences import ENCODER_INPUTS, Frame, longest, pad, pad_rows, token_ids
from trainers.families.vectors import all_vectors, nearest, reading, sentence_vectors, vectors_of
from trainers.tasks.examples import DOCUMENT, QUERY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

N_RANKED = 20
_QUERY_TOKENS = 96
_SCALE = 100.0  # of a cosine, to make it a logit
_NO_KEY, _NO_ANSWER = -1, -2  # fill up the keys of queries and of documents; never alike


class RankingFamily:
    """Ranking by a dual encoder. Statistic: ``average_precision``."""

    least_rows = 2  # the others are what a query's own document is told from

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """A feature per text, or when training one per query that its document follows.

        A training feature has two sequences, ``keys`` of the query and ``answers`` of the document:
        numbers, of which two have one in common exactly where the document is no wrong answer.
        """
        frame, max_length = Frame.of(tokenizer), longest(task, tokenizer)
        texts = zip(
            token_ids(tokenizer, examples["text"]),
            token_ids(tokenizer, examples["context"]),
            examples["side"],
            strict=True,
        )
        framed = [_framed(frame, text, context, side, max_length) for text, context, side in texts]
        if training:
            return _pairs(framed, examples, frame)
        return {
            "input_ids": [one.sequence for one in framed],
            "example": list(range(len(framed))),
            "n_tokens": [len(one.sequence) for one in framed],
            "n_cut": [one.n_cut for one in framed],
            **frame.segments([one.second_from for one in framed]),
        }

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask``, (B, T).

        When training (2 B, T), each query followed by its document, and ``keys`` and ``answers`` (B, K).
        """
        del generator
        if "keys" not in rows[0]:
            return pad_rows(rows, pad_id)
        sequences = [sequence for row in rows for sequence in row["input_ids"]]
        second_from = [place for row in rows for place in row.get("second_from", ())]
        return {
            **pad(sequences, pad_id, second_from or None),
            "keys": _filled([row["keys"] for row in rows], _NO_KEY),
            "answers": _filled([row["answers"] for row in rows], _NO_ANSWER),
        }

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """Nothing on top."""
        del width, task
        return nn.Identity()

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of each query's document among the wrong answers of the batch."""
        del head
        queries_BD = sentence_vectors(encoder, _side(batch, QUERY), None, "first")
        documents_BD = sentence_vectors(encoder, _side(batch, DOCUMENT), None, "first")
        with torch.autocast(queries_BD.device.type, enabled=False):
            logits_BB = _SCALE * queries_BD @ documents_BD.T
        answered_BB = (
            (batch["keys"][:, None, :, None] == batch["answers"][None, :, None]).any(-1).any(-1)
        )
        own_B = torch.arange(len(logits_BB), device=logits_BB.device)
        answered_BB[own_B, own_B] = False
        return nn.functional.cross_entropy(logits_BB.masked_fill(answered_BB, -torch.inf), own_B)

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
        """Average precision of the first 20 documents of each query."""
        del head, language
        n_texts = len(examples["id"])
        return self.judge(all_vectors(encoder, batches, n_texts, read=reading(task, entry)), examples)

    def place(self, row: Mapping[str, Any]) -> int:
        """A feature per text, in their order."""
        return int(row["example"])

    def judge(self, vectors_ND: torch.Tensor, examples: Examples) -> Records:
        """Average precision of the first 20 documents of each query, from the vectors of all texts."""
        queries = np.flatnonzero(np.asarray(examples["scored"], dtype=bool))
        documents = np.flatnonzero(np.asarray(examples["side"]) == DOCUMENT)
        if not len(queries):
            return {"average_precision": np.zeros(0)}
        _, places = nearest(vectors_of(vectors_ND, queries), vectors_of(vectors_ND, documents), N_RANKED)
        with_key = defaultdict(set)
        for place, document in enumerate(documents.tolist()):
            for key in examples["keys"][document]:
                with_key[key].add(place)
        right = [
            set().union(*(with_key.get(key, ()) for key in examples["keys"][query]))
            for query in queries.tolist()
        ]
        ranked = zip(places.tolist(), right, strict=True)
        return {"average_precision": np.array([average_precision(*pair) for pair in ranked])}


def average_precision(ranked: Sequence[int], right: set[int]) -> float:
    """How early the right documents come among the first 20, 0 to 1.

        AP = sum over ranks r <= 20 with a right document of (right ones up to r) / r
             / min(20, number of right ones)

    0 where nothing is right.
    """
    ranks = [rank for rank, place in enumerate(ranked[:N_RANKED], start=1) if place in right]
    precisions = [found / rank for found, rank in enumerate(ranks, start=1)]
    return sum(precisions) / min(N_RANKED, len(right)) if right else 0.0


class _Framed(NamedTuple):
    """One text, with its context if it has one: where that begins, and tokens that both lost."""

    sequence: list[int]
    second_from: int
    n_cut: int


def _framed(
    frame: Frame, text: Sequence[int], context: Sequence[int], side: int, max_length: int
) -> _Framed:
    if side == QUERY:
        max_length = min(max_length, _QUERY_TOKENS)
    if not context:
        kept = text[: frame.room_alone(max_length)]
        alone = frame.alone(kept)
        return _Framed(alone, len(alone), len(text) - len(kept))
    room = frame.room_pair(max_length)
    kept = text[:room]
    beside = context[: room - len(kept)]
    n_cut = len(text) + len(context) - len(kept) - len(beside)
    return _Framed(frame.pair(kept, beside), frame.second_from(kept), n_cut)


def _pairs(framed: Sequence[_Framed], examples: Examples, frame: Frame) -> Features:
    """Features of the queries that are followed by a document with one of their keys."""
    sides, keys = examples["side"], examples["keys"]
    followed = [
        row
        for row in range(len(framed) - 1)
        if (sides[row], sides[row + 1]) == (QUERY, DOCUMENT)
        and not set(keys[row]).isdisjoint(keys[row + 1])
    ]
    pairs = [(framed[row], framed[row + 1]) for row in followed]
    twins = [_number(repr(document.sequence)) for _, document in pairs]
    return {
        "input_ids": [[one.sequence for one in pair] for pair in pairs],
        "example": followed,
        "n_tokens": [sum(len(one.sequence) for one in pair) for pair in pairs],
        "n_cut": [sum(one.n_cut for one in pair) for pair in pairs],
        "keys": [[*map(_number, keys[row]), twin] for row, twin in zip(followed, twins, strict=True)],
        "answers": [
            [*map(_number, keys[row + 1]), twin] for row, twin in zip(followed, twins, strict=True)
        ],
        **frame.segments([[one.second_from for one in pair] for pair in pairs]),
    }


def _number(key: str) -> int:
    """A hash of 31 bits: a feature's numbers have 32."""
    return crc32(key.encode()) >> 1


def _filled(lists: Sequence[Sequence[int]], filling: int) -> torch.Tensor:
    """Lists of numbers as one tensor, (B, K)."""
    n_longest = max(len(numbers) for numbers in lists)
    return torch.tensor([[*numbers, *[filling] * (n_longest - len(numbers))] for numbers in lists])


def _side(batch: Batch, side: int) -> Batch:
    """The queries or the documents of a batch of pairs; no query is longer than it may be."""
    n_tokens = _QUERY_TOKENS if side == QUERY else batch["input_ids"].shape[1]
    return {name: batch[name][side::2, :n_tokens] for name in ENCODER_INPUTS if name in batch}


FAMILY = RankingFamily()
