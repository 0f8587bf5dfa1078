"""The objective: cells in, one number out.

    score = mean over target tasks of (mean over that task's cells)

in points, 0 to 100 (XTREME's own rule: Hu et al. 2020, arXiv:2003.11080, section 3.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from trainers.stage import CellScore
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
