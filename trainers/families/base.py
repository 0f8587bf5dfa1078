"""The family protocol: one shape of prediction, from text to loss to per-example records.

Axes: B sequences in a batch, T tokens, D width, K labels.

A *feature* is one row ready to be batched: ``input_ids``, ``example`` (the row number of its
example), ``n_tokens`` (tokens in it, special ones included) and whatever its family needs
(``label``, ``positions``, ``start``, …). While it is made it also has ``n_cut``: of the tokens of
its example's texts, those that no feature of the example has for want of room.

    pair, masked  one feature per example
    choice        one feature per example, whose ``input_ids`` is a list of sequences, one per
                  choice, equally many in every example of a task; ``n_tokens`` is their sum,
                  ``n_padded`` C times the longest, and a batch of B features holds B * C sequences
    spans, tokens a long text gives several windows, features with the same ``example``
    retrieval     two features per example, one per ``side``
    ranking       training: a question and its answer in one feature; else a feature per text
    mining        one feature per sentence
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from trainers.models import ModelEntry
    from trainers.tasks.spec import TaskSpec

Examples = Mapping[str, Sequence[Any]]  # canonical columns of a slice of rows
Features = dict[str, list[Any]]  # columns; always input_ids, example, n_tokens and n_cut
Batch = dict[str, "torch.Tensor"]
Records = dict[str, "NDArray[np.float64]"]  # per-example statistics by name, one row per example


class Family(Protocol):
    """What a family knows. Stateless; one instance per family.

    Attributes:
        least_rows: of a part of a training batch, where memory is too small for all of it.
    """

    least_rows: int

    def encode(
        self, examples: Examples, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
    ) -> Features:
        """Features of some examples. ``example`` counts within the slice given.

        When training, a feature that cannot teach anything (an answer outside its window) is left
        out; when not, every example has at least one feature.
        """

    def collate(
        self,
        rows: Sequence[Mapping[str, Any]],
        pad_id: int,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """One padded batch; ``input_ids`` and ``attention_mask`` are (B, T), or (B * C, T).

        A batch in which every sequence is as long as the longest has no ``attention_mask``: that nothing
        is padded is then known without asking the device.

        What is random in it is drawn from ``generator``, torch's own where that is None.
        """

    def make_head(self, width: int, task: TaskSpec) -> nn.Module:
        """The layer(s) on top of the encoder; ``nn.Identity()`` when there are none."""

    def loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean loss of a batch, a scalar in float32."""

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
        """Per-example statistics (see ``trainers/metrics.py``), a row per scored example, in order.

        ``batches`` yields each batch, collated only when it is asked for, with the feature rows it
        was made of. Where texts are compared as vectors, a batch is left with its ``vectors`` (B, D);
        one that was embedded before comes with them alone. ``entry`` says which layer and pooling
        retrieval reads; ``language`` is the cell's, for answers that each language normalises in its
        own way. Every example is scored but those whose column ``scored`` is false.
        """
