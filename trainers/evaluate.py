"""Zero-shot scores: one target task on each of its languages, with a record per example.

The longest sequences go first, in batches of a token budget (padding counted), so that a batch that
does not fit in memory shows itself at once. Scores do not depend on the batching but for masked
text, whose masks are drawn batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from trainers.batches import read_rows, row_lengths
from trainers.devices import uses_bf16
from trainers.families import family
from trainers.features import features, n_truncated
from trainers.metrics import STATISTICS, value
from trainers.order import CellScore

if TYPE_CHECKING:
    from pathlib import Path

    from datasets import Dataset
    from numpy.typing import ArrayLike, NDArray
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from trainers.candidates import Candidates
    from trainers.cells import Cells
    from trainers.families.base import Batch, Examples, Family, Records
    from trainers.models import ModelEntry
    from trainers.stage import ScoringStage
    from trainers.tasks.spec import TaskSpec


class Scored(NamedTuple):
    """What a task is worth in some languages.

    Attributes:
        scores: per language, in the stage's order.
        records: with the columns ``language``, ``example`` (its id) and the metric's statistics, a
            row per example.
        n_truncated: of all examples that were embedded or answered, those that lost tokens
            (docs/methods.md, "What is cut").
    """

    scores: tuple[CellScore, ...]
    records: pa.Table
    n_truncated: int


class DeadlinePassed(Exception):  # noqa: N818 - a planned stop, not something gone wrong
    """The lease ended between two batches. Nothing of the cell under way is kept."""


def evaluate(
    stage: ScoringStage,
    task: TaskSpec,
    encoder: nn.Module,
    head: nn.Module,
    *,
    tokenizer: PreTrainedTokenizerBase,
    entry: ModelEntry,
    cells: Cells,
    cache_dir: Path,
    batch_tokens: int,
    device: torch.device,
    until: Callable[[], bool],
    candidates: Candidates,
) -> Scored:
    """Scores of the stage's task in each of its languages.

    Args:
        stage: which languages and examples.
        task: the stage's task.
        encoder: on ``device``; it and ``head`` are left in evaluation mode.
        head: the task's head.
        tokenizer: the model's.
        entry: the model's entry, for its retrieval layer and pooling.
        cells: where examples come from.
        cache_dir: where tokenised examples are kept.
        batch_tokens: tokens of a batch at most, padding counted; a longer example goes alone.
        device: where batches are sent.
        until: true once the lease is over; asked before every batch.
        candidates: that this encoder has embedded for cells of the stage.

    Raises:
        DeadlinePassed: the lease ended first.
    """
    scores, tables, n_cut_short = [], [], 0
    bf16 = uses_bf16(stage.model.precision, device)
    for language in stage.languages:
        examples = cells.examples(task, language, stage.half, stage.max_examples, stage.data)
        made = features(examples, task, tokenizer, training=False, cache_dir=cache_dir)
        n_cut_short += n_truncated(made)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            records = score_cell(
                examples,
                made,
                task,
                encoder,
                head,
                pad_id=tokenizer.pad_token_id,
                entry=entry,
                language=language,
                batch_tokens=batch_tokens,
                device=device,
                until=until,
                candidates=candidates,
            )
        scores.append(cell_score(task, language, records))
        tables.append(records_table(task, language, scored_ids(examples), records))
    return Scored(tuple(scores), pa.concat_tables(tables), n_cut_short)


def score_cell(
    examples: Dataset,
    features: Dataset,
    task: TaskSpec,
    encoder: nn.Module,
    head: nn.Module,
    *,
    pad_id: int,
    entry: ModelEntry,
    language: str,
    batch_tokens: int,
    device: torch.device,
    until: Callable[[], bool],
    candidates: Candidates,
) -> Records:
    """Statistics of each scored example of one cell, in the order of ``examples``.

    ``features`` are those of ``examples``, made for evaluation; where the task has a pool,
    ``candidates`` has what was embedded of it before.

    Raises:
        DeadlinePassed: the lease ended first.
    """
    shape = family(task.family)
    columns: Examples = examples[:]
    encoder.eval()
    head.eval()
    read = partial(
        _batches, shape, features, pad_id=pad_id, batch_tokens=batch_tokens, device=device, until=until
    )
    with torch.inference_mode():
        batches = candidates.batches(columns, read) if task.pool else read(np.arange(features.num_rows))
        return shape.score(encoder, head, batches, columns, task, entry=entry, language=language)


def scored_ids(examples: Dataset) -> list[str]:
    """Ids of the examples that have a record: all, or those whose column ``scored`` is true."""
    if "scored" not in examples.column_names:
        return list(examples["id"][:])
    columns = examples.select_columns(["id", "scored"])[:]
    return [name for name, scored in zip(columns["id"], columns["scored"], strict=True) if scored]


def cell_score(task: TaskSpec, language: str, records: Records) -> CellScore:
    """The cell's score from its examples' statistics."""
    columns = [records[name] for name in STATISTICS[task.metric]]
    sums = {name: records[name].sum() for name in STATISTICS[task.metric]}
    n_examples = len(columns[0])
    points = float(value(task.metric, sums, n_examples))
    return CellScore(task.name, language, str(task.metric), points, n_examples)


def records_table(task: TaskSpec, language: str, ids: Sequence[str], records: Records) -> pa.Table:
    """A row per example: ``language``, ``example`` and the metric's statistics."""
    return pa.table(
        {
            "language": pa.array([language] * len(ids), pa.string()),
            "example": pa.array([str(name) for name in ids], pa.string()),
            **{name: pa.array(records[name], pa.float64()) for name in STATISTICS[task.metric]},
        }
    )


def batch_rows(lengths: ArrayLike, batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers of each batch, longest rows first.

    Rows times the longest row stay within ``batch_tokens``; a longer row is a batch of its own.

    Args:
        lengths: tokens that each row takes, ``row_lengths`` of ``trainers/batches.py``.
        batch_tokens: of a batch at most.
    """
    falling = -np.asarray(lengths, dtype=np.int64)
    order = np.argsort(falling, kind="stable").tolist()
    begin = 0
    while begin < len(order):
        n_rows = max(1, batch_tokens // max(1, -int(falling[order[begin]])))
        yield order[begin : begin + n_rows]
        begin += n_rows


def _batches(
    shape: Family,
    features: Dataset,
    numbers: NDArray[np.int64],
    *,
    pad_id: int,
    batch_tokens: int,
    device: torch.device,
    until: Callable[[], bool],
) -> Iterator[tuple[Batch, Sequence[Mapping[str, Any]]]]:
    """Batches of some features on the device, each with its rows, made as they are asked for."""
    in_arrow = features.with_format("arrow")
    for places in batch_rows(row_lengths(features)[numbers], batch_tokens):
        if until():
            raise DeadlinePassed
        rows = read_rows(in_arrow, numbers[places])
        batch = shape.collate(rows, pad_id)
        yield {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}, rows
