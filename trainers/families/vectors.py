"""A vector for each text, and the nearest of many: what the retrieval families share.

Axes: B texts in a batch, T tokens, D width, N texts, Q queries, K nearest.

Vectors have length 1, so their dot product is the cosine. Similarities are computed in the vectors' own
precision, float32, whatever precision the encoder ran in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from trainers.families.sequences import attended, encode_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainers.families.base import Batch, Examples, Records
    from trainers.model_table import Pooling
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

# Bound the similarity matrix, whatever the cell's size: 256 MiB in float32.
_QUERIES_AT_ONCE = 1_024
_DOCUMENTS_AT_ONCE = 65_536


class Reading(NamedTuple):
    """Where a text's vector is read: index into ``hidden_states`` (None: the last output), pooling."""

    layer: int | None
    pooling: Pooling


def reading(task: TaskSpec, entry: ModelEntry) -> Reading:
    """A trained dual encoder reads its first token's last state, any other task what the entry says."""
    return Reading(None, "first") if task.train else Reading(entry.retrieval_layer, entry.pooling)


class Judge(Protocol):
    """A family whose records follow from the vectors of its texts."""

    def place(self, row: Mapping[str, Any]) -> int:
        """The place of a feature's text among the vectors of its cell."""

    def judge(self, vectors_ND: torch.Tensor, examples: Examples) -> Records:
        """Per-example statistics, from the vectors of all texts of a cell."""


def sentence_vectors(
    encoder: nn.Module, batch: Batch, layer: int | None, pooling: Pooling = "mean"
) -> torch.Tensor:
    """Each text's vector at one layer, of length 1, (B, D), float32.

    Args:
        encoder: the model.
        batch: ``input_ids`` and, where there is padding, ``attention_mask``, (B, T).
        layer: index into ``hidden_states``; None for the model's last output.
        pooling: ``mean`` over all tokens, special ones included, or the ``first`` token.
    """
    hidden_BTD = encode_batch(encoder, batch, layer)
    with torch.autocast(hidden_BTD.device.type, enabled=False):
        if pooling == "first":
            return nn.functional.normalize(hidden_BTD[:, 0].float(), dim=-1)
        mask_BT1 = attended(batch).unsqueeze(-1).float()
        mean_BD = (hidden_BTD.float() * mask_BT1).sum(1) / mask_BT1.sum(1)
        return nn.functional.normalize(mean_BD, dim=-1)


def all_vectors(
    encoder: nn.Module,
    batches: Iterator[tuple[Batch, Sequence[Mapping[str, Any]]]],
    n_texts: int,
    *,
    read: Reading,
    place_of: Callable[[Mapping[str, Any]], int] = itemgetter("example"),
) -> torch.Tensor:
    """The vectors of all texts on the device, (N, D); ``place_of`` is the place of a feature's text.

    A batch is left with its ``vectors``; one that comes with them is not embedded again.

    Raises:
        ValueError: there are texts and not one batch of them.
    """
    vectors_ND: torch.Tensor | None = None
    for batch, rows in batches:
        if "vectors" not in batch:
            batch["vectors"] = sentence_vectors(encoder, batch, *read)
        vectors_BD = batch["vectors"]
        if vectors_ND is None:
            vectors_ND = vectors_BD.new_zeros(n_texts, vectors_BD.shape[-1])
        places_B = torch.tensor([place_of(row) for row in rows])
        vectors_ND[places_B.to(vectors_BD.device, non_blocking=True)] = vectors_BD
    if vectors_ND is None:
        if n_texts:
            raise ValueError(f"{n_texts} texts and no batch of them: nothing was embedded")
        return torch.zeros(0, 0)
    return vectors_ND


def vectors_of(vectors_ND: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
    """The vectors of some texts, in rising order; not copied where they follow one another."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return vectors_ND[rows[0] : rows[-1] + 1]
    return vectors_ND[torch.from_numpy(rows).to(vectors_ND.device)]


def nearest(
    queries_QD: torch.Tensor, documents_ND: torch.Tensor, n_nearest: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and places of the documents nearest to each query, nearest first, both (Q, K).

    K is ``n_nearest``, or N where there are fewer documents. Neither all queries nor all documents are
    compared at once.
    """
    cosines, places = [], []
    with torch.autocast(queries_QD.device.type, enabled=False):
        for asked in torch.split(queries_QD, _QUERIES_AT_ONCE):
            best_QK = asked.new_zeros(len(asked), 0)
            place_QK = torch.zeros(len(asked), 0, dtype=torch.long, device=asked.device)
            for begin in range(0, len(documents_ND), _DOCUMENTS_AT_ONCE):
                some = documents_ND[begin : begin + _DOCUMENTS_AT_ONCE]
                best, place = (asked @ some.T).topk(min(n_nearest, len(some)), dim=-1)
                best_QK = torch.cat((best_QK, best), dim=-1)
                place_QK = torch.cat((place_QK, place + begin), dim=-1)
                best_QK, kept = best_QK.topk(min(n_nearest, best_QK.shape[-1]), dim=-1)
                place_QK = place_QK.gather(-1, kept)
            cosines.append(best_QK)
            places.append(place_QK)
    return torch.cat(cosines), torch.cat(places)
