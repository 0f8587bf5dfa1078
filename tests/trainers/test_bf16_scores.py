"""What bf16 may change of a score: the bound that docs/methods.md states ("Precision of scores")."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from trained_model import trained

from trainers.devices import uses_bf16
from trainers.evaluate import cell_score
from trainers.metrics import STATISTICS
from trainers.tasks.spec import FamilyName
from trainers.tasks.toy.catalog import TOY_TASKS

# By family: points by which the score of a cell may differ, and the share of its records.
BOUNDS = {
    FamilyName.PAIR: (1.0, 0.03),
    FamilyName.SPANS: (1.0, 0.03),
    FamilyName.TOKENS: (1.0, 0.03),
    FamilyName.RETRIEVAL: (1.0, 0.03),
    FamilyName.CHOICE: (3.0, 0.08),
    FamilyName.MASKED: (1.0, 1.0),  # a record is a loss, which always differs
}
N_STEPS = 60
NAMES = ("toy_xnli", "toy_xqa", "toy_pos", "toy_tatoeba", "toy_continuation", "toy_text")
SCORED = {task.name: task for task in TOY_TASKS if task.name in NAMES}

scored_tasks = pytest.mark.parametrize("name", NAMES)


@cache
def model_of(name):
    """A tiny model that has learnt a little of the task, and a whole cell of it."""
    task = SCORED[name]
    n_steps = N_STEPS if task.train else 0
    return trained(task, task.score_languages[0], None, n_examples=None, n_taught=64, n_steps=n_steps)


def scored(name, device, *, bf16):
    """The score of the cell and a row of statistics per example, as an evaluation computes them."""
    model = model_of(name)
    encoder, head = model.encoder.to(device), model.head.to(device)
    batches = (
        ({key: tensor.to(device) for key, tensor in batch.items()}, rows)
        for batch, rows in model.batches()
    )
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
        records = model.family.score(
            encoder,
            head,
            batches,
            model.examples,
            model.task,
            entry=model.entry,
            language=model.language,
        )
    columns = [records[statistic] for statistic in STATISTICS[model.task.metric]]
    return cell_score(model.task, model.language, records), np.stack(columns, axis=-1)


def assert_within_the_bound(name, device):
    (full, full_rows), (half, half_rows) = (scored(name, device, bf16=bf16) for bf16 in (False, True))
    changed = float((full_rows != half_rows).any(-1).mean())
    told = f"{name}: {full.value:.2f} in fp32, {half.value:.2f} in bf16, {changed:.1%} of records differ"
    assert full.n_examples >= 100, told
    most_points, most_records = BOUNDS[SCORED[name].family]
    assert abs(full.value - half.value) <= most_points, told
    assert changed <= most_records, told


@scored_tasks
def test_scores_in_bf16_stay_within_the_bound_on_a_cpu(name):
    assert_within_the_bound(name, "cpu")


@pytest.mark.gpu
@scored_tasks
def test_scores_in_bf16_stay_within_the_bound_on_a_gpu(name):
    assert uses_bf16("bf16", torch.device("cuda"))
    assert_within_the_bound(name, "cuda")


def test_the_bound_is_about_another_computation():
    """Autocast does compute otherwise: were it off, the tests above could not fail."""
    model = model_of(NAMES[0])
    batch, _ = next(model.batches())
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
    with torch.inference_mode():
        full = model.encoder(**inputs).last_hidden_state
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model.encoder(**inputs).last_hidden_state
    assert not torch.equal(full, half.float())
    assert torch.allclose(full, half.float(), atol=0.2)
