"""The objective is the mean over tasks of each task's mean, in points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.score import group_means, score, task_scores
from trainers.metrics import value
from trainers.order import CellScore
from trainers.tasks.spec import RETRIEVAL_METRICS, Metric


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


TASKS = {
    "xnli": (Metric.ACCURACY, "pair"),
    "panx": (Metric.SPAN_F1, "structured"),
    "udpos": (Metric.SPAN_F1, "structured"),
    "mlqa": (Metric.MLQA_F1_EM, "qa"),
    "tydiqa": (Metric.QA_F1_EM, "qa"),
    "tatoeba": (Metric.ACCURACY_AT_1, "retrieval"),
    "bucc": (Metric.MINING_F1, "retrieval"),
    "lareqa": (Metric.MAP_AT_20, "retrieval"),
}
GROUPS = {task: group for task, (_, group) in TASKS.items()}
points_by_cell = st.dictionaries(
    st.tuples(st.sampled_from(sorted(TASKS)), st.sampled_from(["sw", "te", "th", "ur"])),
    st.floats(0, 100),
    min_size=1,
)


def cells_of(points):
    return [CellScore(task, code, str(TASKS[task][0]), p, 9) for (task, code), p in points.items()]


def naive_mean(points, tasks):
    """Sums and counts by hand; None where there is nothing."""
    total, n_tasks = 0.0, 0
    for task in tasks:
        of_task = [p for (name, _), p in points.items() if name == task]
        if of_task:
            total += sum(of_task) / len(of_task)
            n_tasks += 1
    return total / n_tasks if n_tasks else None


@given(points_by_cell)
def test_scores_and_group_means_are_those_added_up_by_hand(points):
    cells = cells_of(points)
    assert score(cells) == pytest.approx(naive_mean(points, TASKS))
    for group in set(GROUPS.values()):
        expected = naive_mean(points, [task for task in TASKS if GROUPS[task] == group])
        found = group_means(cells, GROUPS).get(group)
        assert found == (expected if expected is None else pytest.approx(expected))


@given(points_by_cell)
def test_without_retrieval_is_the_score_of_the_other_tasks(points):
    others = [task for task in TASKS if GROUPS[task] != "retrieval"]
    assert {task for task, (metric, _) in TASKS.items() if metric in RETRIEVAL_METRICS}.isdisjoint(
        others
    )
    expected = naive_mean(points, others)
    if expected is None:
        with pytest.raises(ValueError, match="at least one cell"):
            score(cells_of(points), retrieval=False)
    else:
        assert score(cells_of(points), retrieval=False) == pytest.approx(expected)


@given(points_by_cell)
def test_the_score_is_the_group_means_weighted_by_their_number_of_tasks(points):
    cells = cells_of(points)
    n_tasks = {group: 0 for group in GROUPS.values()}
    for task in task_scores(cells):
        n_tasks[GROUPS[task]] += 1
    means = group_means(cells, GROUPS)
    weighted = sum(n_tasks[group] * mean for group, mean in means.items()) / sum(n_tasks.values())
    assert score(cells) == pytest.approx(weighted)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_a_qa_task_is_the_mean_of_its_average_f1_and_its_average_exact_match(languages):
    cells = [
        CellScore("mlqa", f"l{i}", "mlqa_f1_em", float(value(Metric.MLQA_F1_EM, sums, n)), n)
        for i, (n, f1, em) in enumerate(languages)
        for sums in [{"f1": f1 * n, "em": em * n}]
    ]
    average_f1 = np.mean([100 * f1 for _, f1, _ in languages])
    average_em = np.mean([100 * em for _, _, em in languages])
    assert task_scores(cells)["mlqa"] == pytest.approx((average_f1 + average_em) / 2)


def test_a_task_without_a_group_is_refused_by_name():
    with pytest.raises(ValueError, match=r"task tatoeba has no group; groups are given for panx"):
        group_means(CELLS, {"panx": "structured"})
