"""Models that have learnt a little of a task, so that their predictions are partly right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tiny_model import as_rows, tiny_encoder

from trainers.encoder import load_encoder, load_tokenizer, model_place
from trainers.families import family
from trainers.models import ModelEntry, entry
from trainers.stage import Half
from trainers.tasks import open_source
from trainers.tasks.canonical import cell_examples
from trainers.tasks.spec import TaskSpec
from trainers.tasks.toy.source import ToySource
from trainers.tasks.toy.tokenizer import build_tokenizer


@dataclass(frozen=True)
class Trained:
    """A task, its encoder and head, and the examples of one cell."""

    task: TaskSpec
    language: str
    entry: ModelEntry
    tokenizer: Any
    encoder: torch.nn.Module
    head: torch.nn.Module
    examples: dict[str, list]

    @property
    def family(self):
        return family(self.task.family)

    def batches(self):
        """The cell's batches, as evaluation makes them."""
        rows = as_rows(self.family.encode(self.examples, self.task, self.tokenizer, training=False))
        for begin in range(0, len(rows), 16):
            part = rows[begin : begin + 16]
            yield self.family.collate(part, self.tokenizer.pad_token_id), part

    def predictions(self, *more):
        """What the family predicts for each example."""
        with torch.inference_mode():
            return self.family.predict(self.encoder, self.head, self.batches(), self.examples, *more)

    def records(self):
        """The statistics of each example."""
        with torch.inference_mode():
            return self.family.score(
                self.encoder,
                self.head,
                self.batches(),
                self.examples,
                self.task,
                entry=self.entry,
                language=self.language,
            )


def trained(task, language, place, *, n_examples, n_steps=0, n_taught=None, lr=1e-3, batch=8) -> Trained:
    """A model after ``n_steps`` on the first of the examples that it will be scored on.

    Args:
        task: from the catalogue.
        language: the cell.
        place: folder of the mirror, whose ``mini-xlmr`` starts; None for the toy world and random
            weights.
        n_examples: to score.
        n_steps: of AdamW.
        n_taught: examples taught, half of those scored by default: the rest is mostly wrong.
        lr: learning rate.
        batch: features a step.
    """
    if place is None:
        source, tokenizer, model = ToySource(seed=1), build_tokenizer(), entry("toy-tiny")
        encoder = tiny_encoder(n_vocabulary=len(tokenizer))
    else:
        source, model = open_source("mirror", place), entry("mini-xlmr")
        encoder = load_encoder(model, model_place(model, "mirror", place))
        tokenizer = load_tokenizer(model, "mirror", place)
    examples = cell_examples(task, language, Half.REPORT, source, n_examples)[:]
    shape = family(task.family)
    torch.manual_seed(0)
    head = shape.make_head(encoder.config.hidden_size, task)
    if n_steps:
        taught = {name: column[: n_taught or n_examples // 2] for name, column in examples.items()}
        rows = as_rows(shape.encode(taught, task, tokenizer, training=True))
        optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=lr)
        order = torch.Generator().manual_seed(0)
        for _ in range(n_steps):
            picks = torch.randint(len(rows), (batch,), generator=order).tolist()
            loss = shape.loss(
                encoder, head, shape.collate([rows[pick] for pick in picks], tokenizer.pad_token_id)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    encoder.eval()
    return Trained(task, language, model, tokenizer, encoder, head, examples)
