"""The objective is the mean over tasks of each task's mean, in points."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.score import score, task_scores
from trainers.stage import CellScore


def cell(task, language, value):
    metric = "accuracy_at_1" if task == "tatoeba" else "accuracy"
    return CellScore(task, language, metric, value, 100)


CELLS = [cell("panx", "sw", 40.0), cell("panx", "te", 60.0), cell("tatoeba", "sw", 10.0)]


def test_a_task_with_many_cells_weighs_as_much_as_one_with_few():
    assert task_scores(CELLS) == {"panx": 50.0, "tatoeba": 10.0}
    assert score(CELLS) == 30.0


def test_the_score_without_retrieval_leaves_its_tasks_out():
    assert score(CELLS, retrieval=False) == 50.0


@given(st.permutations(CELLS))
def test_the_order_of_cells_decides_nothing(cells):
    assert score(cells) == 30.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_a_score_lies_between_the_worst_and_the_best_cell(values):
    cells = [cell("panx", f"l{i}", value) for i, value in enumerate(values)]
    assert min(values) - 1e-9 <= score(cells) <= max(values) + 1e-9


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="at least one cell"):
        score([])
    with pytest.raises(ValueError, match="at least one cell"):
        score([cell("tatoeba", "sw", 10.0)], retrieval=False)
