"""The objective: cells in, one number out.

    score      = mean over target tasks of (mean over that task's cells)
    group mean = the same over the tasks of one group

in points, 0 to 100 (XTREME's own rule: Hu et al. 2020, arXiv:2003.11080, section 3.3). A cell of a
question-answering task is itself the mean of its F1 and its exact match; since means are linear, that
is the mean of the two averages over languages, which XTREME publishes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from trainers.order import CellScore
from trainers.tasks.spec import RETRIEVAL_METRICS


def task_scores(cells: Iterable[CellScore]) -> dict[str, float]:
    """Mean over each task's cells, in points."""
    by_task: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        by_task[cell.task].append(cell.value)
    return {task: fmean(values) for task, values in by_task.items()}


def score(cells: Iterable[CellScore], *, retrieval: bool = True) -> float:
    """The study's score over ``cells``, in points.

    Args:
        cells: at least one.
        retrieval: whether retrieval tasks count. They carry most of the published gain, so every
            report shows the score both ways.

    Raises:
        ValueError: there is nothing to average.
    """
    counted = [cell for cell in cells if retrieval or cell.metric not in RETRIEVAL_METRICS]
    if not counted:
        raise ValueError("a score needs at least one cell")
    return fmean(task_scores(counted).values())


def sampling_error(cells: Sequence[CellScore]) -> float:
    """Standard deviation of :func:`score` that the number of scored examples implies, in points.

        var = sum over cells of p (100 - p) / n / (cells of the task)^2 / (tasks)^2

    as if each example were right or wrong, and cells had nothing in common; at least half an example is
    taken to be wrong, and half right.
    """
    n_cells = Counter(cell.task for cell in cells)
    variances = (
        p * (100 - p) / n / (n_cells[cell.task] * len(n_cells)) ** 2
        for cell in cells
        for n in (max(1, cell.n_examples),)
        for p in (min(max(cell.value, 50 / n), 100 - 50 / n),)
    )
    return math.sqrt(sum(variances))


def group_means(cells: Iterable[CellScore], groups: Mapping[str, str]) -> dict[str, float]:
    """Mean over the tasks of each group, each task the mean over its cells, in points.

    Args:
        cells: of tasks in any order; a group without cells is left out.
        groups: group of each task (``TaskSpec.group``).

    Raises:
        ValueError: a task has no group.
    """
    by_group: dict[str, list[float]] = defaultdict(list)
    for task, mean in task_scores(cells).items():
        if task not in groups:
            raise ValueError(
                f"task {task} has no group; groups are given for {', '.join(sorted(groups)) or 'none'}. "
                "Pass the group of every task that has a cell."
            )
        by_group[groups[task]].append(mean)
    return {group: fmean(means) for group, means in by_group.items()}
