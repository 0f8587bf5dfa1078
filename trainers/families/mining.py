"""Finding the translations hidden among sentences of two languages, with the encoder as it is.

Axes: N foreign sentences, M English ones, D width, K neighbours.

Of every sentence the 4 nearest of the other language are looked at, and a pair is scored by how much
nearer it is than its surroundings (the ratio margin):

    margin(x, y) = cos(x, y) / ((around(x) + around(y)) / 2)
    around(x)    = mean of cos(x, z) over the 4 nearest z

Each sentence, foreign or English, proposes its best. Of all that is proposed, best first, a pair is
taken where neither sentence is taken yet; those with at least the threshold's margin are predicted. The
threshold of a part is the one with the highest F1 on the other parts together, half-way between two
neighbouring margins, and sees nothing of the part itself. Where the other parts have nothing right to
find, nothing is predicted.

Sources: Artetxe and Schwenk 2019, arXiv:1811.01136; XTREME's BUCC protocol, Hu et al. 2020,
arXiv:2003.11080.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainers.errors import TaskError
from trainers.families.sequences import Frame, longest, pad_rows, token_ids
from trainers.families.vectors import all_vectors, nearest, reading
from trainers.tasks.examples import DOCUMENT, QUERY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

_NEIGHBOURS = 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of sentences, best first.

    Attributes:
        foreign: row of each pair's foreign sentence.
        english: row of its English one.
        margin: of the pair.
    """

    foreign: NDArray[np.int64]
    english: NDArray[np.int64]
    margin: NDArray[np.float64]


class MiningFamily:
    """Bitext mining; never trained. Statistics: ``true_positives``, ``n_predicted``, ``n_gold``."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """A feature per sentence.

        Raises:
            TaskError: asked for training features.
        """
        if training:
            raise TaskError(
                f"task {task.name} is mining, which judges an encoder and trains none. Take it out of "
                "the mix; it can be a target."
            )
        frame = Frame.of(tokenizer)
        room = frame.room_alone(longest(task, tokenizer))
        texts = token_ids(tokenizer, examples["text"])
        sequences = [frame.alone(text[:room]) for text in texts]
        return {
            "input_ids": sequences,
            "example": list(range(len(sequences))),
            "n_tokens": [len(sequence) for sequence in sequences],
            "n_cut": [max(0, len(text) - room) for text in texts],
        }

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """``input_ids`` and ``attention_mask``, (B, T)."""
        del generator
        return pad_rows(rows, pad_id)

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """Nothing on top."""
        del width, task
        return nn.Identity()

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """None.

        Raises:
            TaskError: always.
        """
        raise TaskError("mining judges an encoder and has no loss. Take it out of the mix.")

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
        """Pairs found, predicted and there, per foreign sentence."""
        del head, language
        n_texts = len(examples["id"])
        return self.judge(all_vectors(encoder, batches, n_texts, read=reading(task, entry)), examples)

    def place(self, row: Mapping[str, Any]) -> int:
        """A feature per text, in their order."""
        return int(row["example"])

    def judge(self, vectors_ND: torch.Tensor, examples: Examples) -> Records:
        """Pairs found, predicted and there, per foreign sentence, from the vectors of all sentences."""
        n_texts = len(examples["id"])
        sides, parts, scored = (np.asarray(examples[name]) for name in ("side", "part", "scored"))
        keys = [set(row) for row in examples["keys"]]
        mined, n_gold = {}, np.zeros(n_texts)
        for part in np.unique(parts):
            foreign = np.flatnonzero((parts == part) & (sides == QUERY))
            english = np.flatnonzero((parts == part) & (sides == DOCUMENT))
            mined[part] = mine(vectors_ND, foreign, english)
            n_gold[foreign] = _n_gold(keys, foreign, english)
        records = {"true_positives": np.zeros(n_texts), "n_predicted": np.zeros(n_texts)}
        right = {part: _right(pairs, keys) for part, pairs in mined.items()}
        for part, pairs in mined.items():
            others = [other for other in mined if other != part]
            least = threshold(
                np.concatenate([np.zeros(0), *(mined[other].margin for other in others)]),
                np.concatenate([np.zeros(0, bool), *(right[other] for other in others)]),
                int(sum(n_gold[parts == other].sum() for other in others)),
            )
            predicted = pairs.margin >= least
            records["n_predicted"][pairs.foreign[predicted]] = 1
            records["true_positives"][pairs.foreign[predicted & right[part]]] = 1
        return {name: values[scored] for name, values in (*records.items(), ("n_gold", n_gold))}


def mine(vectors_ND: torch.Tensor, foreign: NDArray[np.int64], english: NDArray[np.int64]) -> Pairs:
    """The pairs of some foreign and some English rows, no row twice, without a threshold.

    Pairs whose surroundings are at a right angle or worse have no margin and are left out.
    """
    if not len(foreign) or not len(english):
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    device = vectors_ND.device
    foreign_FD = vectors_ND[torch.from_numpy(foreign).to(device)]
    english_ED = vectors_ND[torch.from_numpy(english).to(device)]
    forward_FK, english_FK = nearest(foreign_FD, english_ED, _NEIGHBOURS)
    backward_EK, foreign_EK = nearest(english_ED, foreign_FD, _NEIGHBOURS)
    around_F, around_E = forward_FK.mean(-1), backward_EK.mean(-1)
    best_F, place_F = _best(forward_FK, english_FK, around_F, around_E)
    best_E, place_E = _best(backward_EK, foreign_EK, around_E, around_F)
    margins = np.concatenate((best_F, best_E))
    rows = np.concatenate((foreign, foreign[place_E]))
    columns = np.concatenate((english[place_F], english))
    taken: set[int] = set()
    kept = []
    for place in np.argsort(-margins, kind="stable").tolist():
        pair = {int(rows[place]), int(columns[place])}
        if taken.isdisjoint(pair) and np.isfinite(margins[place]):
            taken |= pair
            kept.append(place)
    return Pairs(rows[kept], columns[kept], margins[kept])


def _best(
    cosine_NK: torch.Tensor, place_NK: torch.Tensor, around_N: torch.Tensor, around_M: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The best margin of each sentence with one of its neighbours, and which that is, both (N,)."""
    around_NK = (around_N[:, None] + around_M[place_NK]) / 2
    margin_NK = torch.where(around_NK > 0, cosine_NK / around_NK, -torch.inf)
    best_N, which_N = margin_NK.max(-1)
    place_N = place_NK.gather(-1, which_N[:, None]).squeeze(-1)
    return best_N.double().cpu().numpy(), place_N.cpu().numpy()


def threshold(margins: NDArray[np.float64], right: NDArray[np.bool_], n_gold: int) -> float:
    """The margin from which predicting has the highest F1 on these pairs; infinite where none is right.

    It lies half-way to the next margin below, or at the last of all.
    """
    order = np.argsort(-margins, kind="stable")
    falling, found = margins[order], np.cumsum(right[order])
    if not found.size or not found[-1]:
        return np.inf
    f1 = 2 * found / (np.arange(1, len(found) + 1) + n_gold)
    # Pairs of one margin are predicted together or not at all.
    cuts = np.flatnonzero(np.append(falling[:-1] > falling[1:], True))
    last = int(cuts[np.argmax(f1[cuts])])
    return float(falling[last : last + 2].mean())


def _right(pairs: Pairs, keys: Sequence[set[str]]) -> NDArray[np.bool_]:
    """Which pairs share a key."""
    rows = zip(pairs.foreign, pairs.english, strict=True)
    return np.array([not keys[x].isdisjoint(keys[y]) for x, y in rows], dtype=bool)


def _n_gold(
    keys: Sequence[set[str]], foreign: NDArray[np.int64], english: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How many of the English sentences each foreign one is paired with."""
    having: dict[str, set[int]] = {}
    for row in english:
        for key in keys[row]:
            having.setdefault(key, set()).add(int(row))
    partners = [set().union(*(having.get(key, ()) for key in keys[row])) for row in foreign]
    return np.array([len(rows) for rows in partners], dtype=np.float64)


FAMILY = MiningFamily()
