"""What is trained on: a made-up task per family whose sequences are as long as a real task's.

    length of a text = exp(N(mu, sigma)) tokens, plus the special tokens, cut at the task's longest

with mu and sigma of the logarithm, in sub-words of multilingual BERT's vocabulary, over 2 000 training
examples of MNLI (pair), HellaSwag (choice), SQuAD 1.1 (spans), English part of speech (tokens) and
English sentences (masked). Tokens follow Zipf's law. Labels can be learnt from the tokens, so that a
loss falls and two losses can be told apart. Everything follows from the seed.

Features are made as a family's ``encode`` would give them; nothing is read from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainers.tasks.spec import FamilyName, Metric, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

    Tokens = NDArray[np.int64]

Row = dict[str, Any]

START, STOP, MASK = 0, 2, 4
_FIRST_WORD = 64  # below: special tokens and the marks that labels are learnt from
_MARKS = 5
_MARKED_SHARE = 0.2  # of the tokens, in texts that a mark gives away
_SUB_WORDS = 1.3  # per word: how often a token begins one
_OWN_SHARE, _OWN_SPREAD = 0.4, 0.3  # of a choice's tokens that other choices do not have; sigma of it


@dataclass(frozen=True, slots=True)
class Case:
    """A family's made-up task.

    Attributes:
        family: its name.
        mu: mean of the logarithm of a text's tokens.
        sigma: standard deviation of it.
        max_length: of a sequence, tokens.
        n_labels: classes, or choices of an example.
        padded: whether the example script pads every sequence to ``max_length``.
        script: that example script, in ``examples/pytorch`` of transformers.
    """

    family: FamilyName
    mu: float
    sigma: float
    max_length: int
    n_labels: int
    padded: bool
    script: str

    @property
    def task(self) -> TaskSpec:
        """The task as a head needs it."""
        return TaskSpec(
            name=f"made-{self.family.value}",
            family=self.family,
            columns={},
            labels=tuple(f"label {number}" for number in range(self.n_labels)),
            metric=Metric.ACCURACY,
            max_length=self.max_length,
            group="intermediate",
            licence="none",
            paper="none",
        )


CASES: Mapping[str, Case] = {
    case.family.value: case
    for case in (
        Case(FamilyName.PAIR, 3.54, 0.53, 128, 3, True, "text-classification/run_glue.py"),
        Case(FamilyName.CHOICE, 4.00, 0.53, 128, 4, False, "multiple-choice/run_swag.py"),
        Case(FamilyName.SPANS, 5.11, 0.42, 384, 0, True, "question-answering/run_qa.py"),
        Case(FamilyName.TOKENS, 2.84, 0.76, 128, 17, False, "token-classification/run_ner.py"),
        Case(FamilyName.MASKED, 2.44, 0.45, 128, 0, False, "language-modeling/run_mlm.py"),
    )
}


class Words:
    """Tokens of texts: ranks of a vocabulary drawn by Zipf's law.

    Args:
        n_vocabulary: of the model.
        seed: of the data.
    """

    def __init__(self, n_vocabulary: int, seed: int) -> None:
        self.n_vocabulary = n_vocabulary
        self.generator = np.random.default_rng(seed)
        weights = 1.0 / (np.arange(n_vocabulary - _FIRST_WORD) + 2.7)
        self._until = np.cumsum(weights / weights.sum())

    def text(self, n_tokens: int, mark: int | None = None) -> Tokens:
        """So many tokens; with a mark, some of them give it away."""
        ranks = np.searchsorted(self._until, self.generator.random(n_tokens))
        ids = _FIRST_WORD + np.minimum(ranks, self.n_vocabulary - _FIRST_WORD - 1)
        if mark is not None:
            marked = self.generator.random(n_tokens) < _MARKED_SHARE
            ids = np.where(marked, _MARKS + mark, ids)
        return ids

    def length(self, case: Case, n_special: int) -> int:
        """Tokens of a text that fits into a sequence of the case."""
        drawn = round(float(np.exp(self.generator.normal(case.mu, case.sigma))))
        return min(max(2, drawn), case.max_length - n_special)


def features(case: Case, *, n_rows: int, n_vocabulary: int, seed: int) -> Dataset:
    """So many features of the case."""
    from datasets import Dataset

    words = Words(n_vocabulary, seed)
    make = _MAKERS[case.family]
    return Dataset.from_list([{**make(case, words), "example": number} for number in range(n_rows)])


def sequence_lengths(rows: Dataset) -> Tokens:
    """Tokens of every sequence; a choice example has several."""
    lengths = [
        len(sequence)
        for ids in rows["input_ids"]
        for sequence in (ids if isinstance(ids[0], list) else [ids])
    ]
    return np.asarray(lengths, dtype=np.int64)


def _pair(case: Case, words: Words) -> Row:
    label = int(words.generator.integers(case.n_labels))
    ids = words.text(words.length(case, 4), label)
    first = ids[: 2 * len(ids) // 3]
    sequence = [START, *first, STOP, STOP, *ids[len(first) :], STOP]
    return {"input_ids": sequence, "n_tokens": len(sequence), "label": label}


def _choice(case: Case, words: Words) -> Row:
    right = int(words.generator.integers(case.n_labels))
    length = words.length(case, 4)
    shared = words.text(max(1, round(length * (1 - _OWN_SHARE))))
    sequences = []
    for number in range(case.n_labels):
        spread = float(np.exp(words.generator.normal(0.0, _OWN_SPREAD)))
        n_own = min(max(1, round(length * _OWN_SHARE * spread)), case.max_length - 4 - len(shared))
        own = words.text(n_own, int(number == right))
        sequences.append([START, *shared, STOP, STOP, *own, STOP])
    lengths = [len(sequence) for sequence in sequences]
    return {
        "input_ids": sequences,
        "n_tokens": sum(lengths),
        "n_padded": len(lengths) * max(lengths),
        "label": right,
    }


def _spans(case: Case, words: Words) -> Row:
    ids = words.text(words.length(case, 4))
    n_question = min(12, len(ids) // 2)
    start = int(words.generator.integers(n_question, len(ids)))
    end = min(start + int(words.generator.integers(4)), len(ids) - 1)
    ids[end] = _MARKS + 1
    ids[start] = _MARKS
    sequence = [START, *ids[:n_question], STOP, STOP, *ids[n_question:], STOP]
    return {"input_ids": sequence, "n_tokens": len(sequence), "start": start + 3, "end": end + 3}


def _tokens(case: Case, words: Words) -> Row:
    ids = words.text(words.length(case, 2))
    begins = words.generator.random(len(ids)) < 1 / _SUB_WORDS
    begins[0] = True
    sequence = [START, *ids, STOP]
    return {
        "input_ids": sequence,
        "n_tokens": len(sequence),
        "positions": (np.flatnonzero(begins) + 1).tolist(),
        "tags": (ids[begins] % case.n_labels).tolist(),
    }


def _masked(case: Case, words: Words) -> Row:
    ids = words.text(words.length(case, 2))
    return {
        "input_ids": [START, *ids, STOP],
        "n_tokens": len(ids) + 2,
        "text_from": 1,
        "text_to": len(ids) + 1,
        "mask_id": MASK,
        "n_vocabulary": words.n_vocabulary,
    }


_MAKERS: Mapping[FamilyName, Callable[[Case, Words], Row]] = {
    FamilyName.PAIR: _pair,
    FamilyName.CHOICE: _choice,
    FamilyName.SPANS: _spans,
    FamilyName.TOKENS: _tokens,
    FamilyName.MASKED: _masked,
}
