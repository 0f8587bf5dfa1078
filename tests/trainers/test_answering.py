"""Samples and their answers: one by one they are worth what an evaluation says of all together."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from test_evaluate import CELLS, LABELS, never
from tiny_model import ENTRY, WIDTH, tiny_encoder, tiny_task, tiny_tokenizer

import trainers.inference.answering
from trainers.evaluate import DeadlinePassed
from trainers.families import family
from trainers.inference.answering import answering
from trainers.inference.samples import EMBEDDED, Cell
from trainers.stage import ModelRef
from trainers.tasks.spec import FamilyName

TARGETS = sorted(set(FamilyName) - {FamilyName.MASKED})


@pytest.fixture
def model_of(monkeypatch):
    """A model that answers two cells of a family, the second with its examples the other way round."""

    def build(name):
        task, tokenizer = tiny_task(name, LABELS), tiny_tokenizer()
        columns = {"id": ["x-0", "x-1", "x-2"], **CELLS[name]}
        cells = []
        for language, step in (("sw", 1), ("ur", -1)):
            examples = Dataset.from_dict({key: column[::step] for key, column in columns.items()})
            encoded = family(name).encode(examples[:], task, tokenizer, training=False)
            cells.append(Cell(language, examples, Dataset.from_dict(encoded)))
        monkeypatch.setattr(trainers.inference.answering, "cells_of", lambda *_: tuple(cells))
        torch.manual_seed(3)
        head = family(name).make_head(WIDTH, task)
        warm = SimpleNamespace(
            task=lambda _: task,
            tokenizer=lambda _: tokenizer,
            entry=lambda _: ENTRY,
            device=torch.device("cpu"),
            encoder=lambda *_, **__: tiny_encoder(),
            heads=SimpleNamespace(head=lambda *_: head),
        )
        stage = SimpleNamespace(task=task.name, model=ModelRef("tiny", ""), parent=None, folded=False)
        return answering(stage, warm)

    return build


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_answers_are_worth_what_an_evaluation_says_however_many_are_asked_at_once(
    model_of, name, at_once
):
    model = model_of(name)
    points = model.scored(128, never)
    numbers = list(range(len(model.samples)))
    answers = [
        answer
        for begin in range(0, len(numbers), at_once)
        for answer in model.answers(numbers[begin : begin + at_once])
    ]
    assert len(answers) == len(numbers)
    assert model.points(answers) == pytest.approx(points)
    assert set(points) == {"sw", "ur"}


@pytest.mark.parametrize("name", TARGETS)
def test_a_sample_is_an_example_or_a_query(model_of, name):
    model = model_of(name)
    for number in range(len(model.cells)):
        samples = [sample for sample in model.samples if sample.cell == number]
        assert len(samples) == 3
        assert len({sample.place for sample in samples}) == 3
    n_tokens = sum(sample.n_tokens for sample in model.samples)
    n_all = sum(sum(cell.features["n_tokens"]) for cell in model.cells)
    assert n_tokens < n_all if name in EMBEDDED else n_tokens == n_all  # documents are not asked


def test_a_wrong_answer_costs_points(model_of):
    model = model_of(FamilyName.RETRIEVAL)
    assert model.scored(128, never) == {"sw": 100.0, "ur": 100.0}
    answers = model.answers(range(len(model.samples)))
    answers[0] = answers[1]
    assert model.points(answers)["sw"] == pytest.approx(100 * 2 / 3)


def test_scoring_stops_with_its_lease(model_of):
    with pytest.raises(DeadlinePassed):
        model_of(FamilyName.PAIR).scored(128, lambda: True)
