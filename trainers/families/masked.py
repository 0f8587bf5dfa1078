"""Masked text: the pretraining of the toy world, and continued pretraining as a task of a mix.

Axes: B sequences in a batch, T tokens, D width, M masked tokens of a batch, V vocabulary, E width of
an embedding (D but for RemBERT's kind).

Anew for every batch, 15 % of the tokens that are not special are chosen; of these 80 % are replaced
by the mask token, 10 % by a random token, 10 % stay. A text is cut at its end. Masks are drawn on
the host while a batch is collated, so the same seed gives the same masks on every device and the
loss waits for nothing.

Source: Devlin et al. 2019, arXiv:1810.04805.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from trainers.errors import ModelError
from trainers.families.fetching import fetched
from trainers.families.sequences import Frame, column, encode_batch, linear, longest, pad, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainers.families.base import Batch, Examples, Features, Records
    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

MASKED_SHARE = 0.15
_MASK_SHARE, _RANDOM_SHARE = 0.8, 0.1  # of the chosen; the rest stay as they are
_EVALUATION_SEED = 0
_WIDENINGS = ("embedding_hidden_mapping_in", "embeddings_project")  # RemBERT and ALBERT; ELECTRA


class MaskedHead(nn.Module):
    """Dense, GELU, LayerNorm: XLM-R's language-model head before its tied output embedding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden_MD: torch.Tensor) -> torch.Tensor:
        """Vectors to compare with the input embeddings, (M, D)."""
        vectors_MD: torch.Tensor = self.norm(nn.functional.gelu(self.dense(hidden_MD)))
        return vectors_MD


class MaskedFamily:
    """Masked language modelling. Statistics: ``loss`` (summed, nats) and ``n_tokens`` (masked)."""

    least_rows = 1

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """One feature per text.

        ``text_from`` and ``text_to`` bound what may be masked; ``mask_id`` and ``n_vocabulary``
        travel with the rows because a batch is made without the tokenizer.

        Raises:
            ModelError: the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise ModelError(
                f"task {task.name} masks tokens and the tokenizer has no mask token. Set one, or leave "
                "masked text out of the mix."
            )
        frame = Frame.of(tokenizer)
        room = frame.room_alone(longest(task, tokenizer))
        texts = token_ids(tokenizer, examples["text"])
        numbered = [(number, text) for number, text in enumerate(texts) if text or not training]
        sequences = [frame.alone(text[:room]) for _, text in numbered]
        n_features = len(sequences)
        return {
            "input_ids": sequences,
            "example": [number for number, _ in numbered],
            "n_tokens": [len(sequence) for sequence in sequences],
            "n_cut": [max(0, len(text) - room) for _, text in numbered],
            "text_from": [len(frame.start)] * n_features,
            "text_to": [len(frame.start) + min(len(text), room) for _, text in numbered],
            "mask_id": [tokenizer.mask_token_id] * n_features,
            "n_vocabulary": [len(tokenizer)] * n_features,
        }

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """Masked ``input_ids`` and ``attention_mask`` (B, T), ``positions`` and ``targets`` (M,).

        At least one token is masked wherever the batch has a token that may be.
        """
        batch = pad([row["input_ids"] for row in rows], pad_id)
        positions_M = _chosen(batch["input_ids"].shape, rows, generator)
        ids = batch["input_ids"].flatten()
        targets_M = ids[positions_M]
        lot_M = torch.rand(len(positions_M), generator=generator)
        random_M = torch.randint(rows[0]["n_vocabulary"], (len(positions_M),), generator=generator)
        replaced_M = torch.where(lot_M < _MASK_SHARE + _RANDOM_SHARE, random_M, targets_M)
        replaced_M = torch.where(lot_M < _MASK_SHARE, rows[0]["mask_id"], replaced_M)
        ids[positions_M] = replaced_M
        return {
            **batch,
            "input_ids": ids.view(batch["input_ids"].shape),
            "positions": positions_M,
            "targets": targets_M,
        }

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """What comes before the tied output embedding."""
        del task
        return MaskedHead(width)

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean cross-entropy of the masked tokens; 0 for a batch that has none."""
        return _losses(encoder, head, batch).sum() / max(1, len(batch["targets"]))

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
        """Summed loss and number of masked tokens per text, under masks that are always the same."""
        del task, entry, language
        records = {name: np.zeros(len(examples["text"])) for name in ("loss", "n_tokens")}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(_EVALUATION_SEED)
            losses = ((_losses_of_rows(encoder, head, batch), rows) for batch, rows in batches)
            for losses_M2, rows in fetched(losses):
                example_M = np.array([row["example"] for row in rows])[losses_M2[:, 1].astype(np.int64)]
                np.add.at(records["loss"], example_M, losses_M2[:, 0])
                np.add.at(records["n_tokens"], example_M, 1)
        return records


def _chosen(
    shape: torch.Size, rows: Sequence[Mapping[str, Any]], generator: torch.Generator | None
) -> torch.Tensor:
    """Positions to predict, counted through (B, T) laid out flat, in order."""
    position_T = torch.arange(shape[1])
    may_BT = (position_T >= column(rows, "text_from")[:, None]) & (
        position_T < column(rows, "text_to")[:, None]
    )
    lot_BT = torch.rand(shape, generator=generator).masked_fill(~may_BT, 2.0)
    chosen = (lot_BT < MASKED_SHARE).flatten().nonzero().squeeze(-1)
    if len(chosen) == 0 and bool(may_BT.any()):
        return lot_BT.flatten().argmin().view(1)
    return chosen


def _losses(encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
    """Cross-entropy of each masked token, (M,), float32; the vocabulary is scored only there."""
    hidden_MD = encode_batch(encoder, batch).flatten(0, 1)[batch["positions"]]
    embedding_VE = encoder.get_input_embeddings().weight  # type: ignore[operator]
    vectors_ME = _narrowed(encoder, head(hidden_MD), embedding_VE.shape[1])
    logits_MV = nn.functional.linear(vectors_ME, embedding_VE)
    return nn.functional.cross_entropy(logits_MV.float(), batch["targets"], reduction="none")


def _losses_of_rows(encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
    """The loss of each masked token, and the number of its row, (M, 2), float64."""
    row_M = batch["positions"] // batch["input_ids"].shape[1]
    return torch.stack((_losses(encoder, head, batch).double(), row_M.double()), dim=-1)


def _narrowed(encoder: nn.Module, vectors_MD: torch.Tensor, n_embedding: int) -> torch.Tensor:
    """Vectors to compare with embeddings that the encoder widens before its first layer, (M, E).

        h . (W e) = (W' h) . e

    with W the encoder's own widening, so that the head stays as wide as the encoder.

    Raises:
        ModelError: the encoder widens them in a way that is not known here.
    """
    if vectors_MD.shape[1] == n_embedding:
        return vectors_MD
    for name, module in encoder.named_modules():
        if name.endswith(_WIDENINGS) and isinstance(module, nn.Linear):
            return vectors_MD @ module.weight
    raise ModelError(
        f"{type(encoder).__name__} has embeddings of width {n_embedding} and layers of width "
        f"{vectors_MD.shape[1]}, with none of {', '.join(_WIDENINGS)} between. Leave masked text out of "
        "the mix."
    )


FAMILY = MaskedFamily()
