"""A model that answers samples, and what its answers are worth.

Two kinds. A *predictor* answers an example with its metric's statistics: encoder, head and what the
family makes of the logits are all timed. An *embedder* answers a text with its vector; the documents it
is compared with were embedded before, as an index is, and the comparison is not timed.

Axes: N texts of a cell, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch

from trainers.answers import normaliser
from trainers.batches import row_lengths
from trainers.devices import uses_bf16
from trainers.evaluate import DeadlinePassed, batch_rows, cell_score
from trainers.families import family
from trainers.families.spans import SpansFamily, answer_records
from trainers.families.vectors import Judge, all_vectors, reading, sentence_vectors
from trainers.inference.samples import EMBEDDED, Cell, Sample, cells_of, samples_of
from trainers.metrics import STATISTICS

if TYPE_CHECKING:
    from torch import nn

    from trainers.families.base import Batch, Records
    from trainers.stage import InferStage
    from trainers.warm import WarmCache

Batches = Iterator[tuple["Batch", Sequence[Mapping[str, Any]]]]


class Answering(Protocol):
    """Who answers."""

    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]
    encoder: nn.Module
    head: nn.Module
    device: torch.device

    def answers(self, numbers: Sequence[int]) -> list[bytes]:
        """The answer to each of some samples, all read as one batch; waits for the device."""

    def points(self, answers: Sequence[bytes]) -> dict[str, float]:
        """Points by language, from the answers to all samples in order; after :meth:`scored`."""

    def scored(self, batch_tokens: int, until: Callable[[], bool]) -> dict[str, float]:
        """Points by language as an evaluation finds them, in its batches.

        Raises:
            DeadlinePassed: the lease ended first.
        """


def answering(stage: InferStage, warm: WarmCache) -> Answering:
    """The stage's model, on its device, with the samples in memory.

    Raises:
        TaskError: its data cannot be used.
        ModelError: its model cannot be used.
        StoreError: the store does not have its parent.
    """
    kind = Embedder if warm.task(stage.task).family in EMBEDDED else Predictor
    return kind(stage, warm)


class _Answering:
    """What both kinds hold."""

    def __init__(self, stage: InferStage, warm: WarmCache) -> None:
        self._task = warm.task(stage.task)
        self._shape = family(self._task.family)
        self._entry = warm.entry(stage.model)
        self._pad_id: int = warm.tokenizer(stage.model).pad_token_id
        self.device = warm.device
        self._bf16 = uses_bf16(stage.model.precision, self.device)
        self.encoder = warm.encoder(stage.model, stage.parent, folded=stage.folded)
        self.head = warm.heads.head(self._task, self.encoder.config.hidden_size, stage.parent)
        self.encoder.eval()
        self.head.eval()
        self.cells = cells_of(stage, warm)
        self.samples = samples_of(self._task.family, self.cells)

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        batch = self._shape.collate(rows, self._pad_id)
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _batches(self, cell: Cell, batch_tokens: int, until: Callable[[], bool]) -> Batches:
        for numbers in batch_rows(row_lengths(cell.features), batch_tokens):
            if until():
                raise DeadlinePassed
            columns = cell.features[numbers]
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            yield self._batch(rows), rows

    def _computing(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._bf16)

    def _points(self, cell: Cell, records: Records) -> float:
        return cell_score(self._task, cell.language, records).value

    def _numbers(self, cell: int) -> list[int]:
        return [number for number, sample in enumerate(self.samples) if sample.cell == cell]


class Predictor(_Answering):
    """Answers an example with its metric's statistics, as float64."""

    def __init__(self, stage: InferStage, warm: WarmCache) -> None:
        super().__init__(stage, warm)
        # Plain lists: reading a file is no part of an answer.
        self._columns = [
            {name: list(column) for name, column in cell.columns.items()} for cell in self.cells
        ]

    def answers(self, numbers: Sequence[int]) -> list[bytes]:
        """As the protocol."""
        asked = [self.samples[number] for number in numbers]
        rows = [{**row, "example": i} for i, sample in enumerate(asked) for row in sample.rows]
        with torch.inference_mode(), self._computing():
            records = self._records(asked, rows)
        columns = np.stack([records[name] for name in STATISTICS[self._task.metric]], axis=-1)
        return [row.tobytes() for row in columns.astype(np.float64)]

    def points(self, answers: Sequence[bytes]) -> dict[str, float]:
        """As the protocol."""
        names = STATISTICS[self._task.metric]
        table = np.array([np.frombuffer(answer, np.float64) for answer in answers])
        return {
            cell.language: self._points(
                cell, {name: table[self._numbers(i), column] for column, name in enumerate(names)}
            )
            for i, cell in enumerate(self.cells)
        }

    def scored(self, batch_tokens: int, until: Callable[[], bool]) -> dict[str, float]:
        """As the protocol."""
        points = {}
        for cell in self.cells:
            with torch.inference_mode(), self._computing():
                records = self._shape.score(
                    self.encoder,
                    self.head,
                    self._batches(cell, batch_tokens, until),
                    cell.columns,
                    self._task,
                    entry=self._entry,
                    language=cell.language,
                )
            points[cell.language] = self._points(cell, records)
        return points

    def _records(self, asked: Sequence[Sample], rows: Sequence[Mapping[str, Any]]) -> Records:
        """Statistics of each sample; one batch, whatever the samples' languages."""
        held = [self._columns[sample.cell] for sample in asked]
        columns = {
            name: [own[name][sample.place] for own, sample in zip(held, asked, strict=True)]
            for name in held[0]
        }
        batches = iter([(self._batch(rows), rows)])
        if isinstance(self._shape, SpansFamily):  # whose answers each language normalises in its way
            found = self._shape.predict(self.encoder, self.head, batches, columns)
            rules = [normaliser(self._task.metric, self.cells[one.cell].language) for one in asked]
            return answer_records(found, columns["answers"], rules)
        return self._shape.score(
            self.encoder,
            self.head,
            batches,
            columns,
            self._task,
            entry=self._entry,
            language=self.cells[asked[0].cell].language,
        )


class Embedder(_Answering):
    """Answers a text with its vector, as float32."""

    def __init__(self, stage: InferStage, warm: WarmCache) -> None:
        super().__init__(stage, warm)
        self._read = reading(self._task, self._entry)
        self._judge = cast(Judge, self._shape)
        self._vectors: dict[int, torch.Tensor] = {}  # of all texts, by cell, once they are scored

    def answers(self, numbers: Sequence[int]) -> list[bytes]:
        """As the protocol."""
        rows = [row for number in numbers for row in self.samples[number].rows]
        with torch.inference_mode(), self._computing():
            vectors_ND = sentence_vectors(self.encoder, self._batch(rows), *self._read)
        return [row.tobytes() for row in vectors_ND.cpu().numpy()]

    def points(self, answers: Sequence[bytes]) -> dict[str, float]:
        """As the protocol; documents keep the vectors that :meth:`scored` found."""
        points = {}
        for i, cell in enumerate(self.cells):
            vectors_ND = self._vectors[i].clone()
            for number in self._numbers(i):
                vector = torch.frombuffer(bytearray(answers[number]), dtype=torch.float32)
                vectors_ND[self._place(self.samples[number])] = vector.to(vectors_ND.device)
            points[cell.language] = self._points(cell, self._judge.judge(vectors_ND, cell.columns))
        return points

    def scored(self, batch_tokens: int, until: Callable[[], bool]) -> dict[str, float]:
        """As the protocol."""
        points = {}
        for i, cell in enumerate(self.cells):
            with torch.inference_mode(), self._computing():
                self._vectors[i] = all_vectors(
                    self.encoder,
                    self._batches(cell, batch_tokens, until),
                    cell.features.num_rows,
                    read=self._read,
                    place_of=self._judge.place,
                )
            records = self._judge.judge(self._vectors[i], cell.columns)
            points[cell.language] = self._points(cell, records)
        return points

    def _place(self, sample: Sample) -> int:
        (row,) = sample.rows
        return self._judge.place(row)
