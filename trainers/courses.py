"""The tasks that a stage trains on together: their batches, and what of their data is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.batches import Position, TaskBatches
from trainers.families import family
from trainers.features import n_truncated
from trainers.stage import TrainingStage, shares_of

if TYPE_CHECKING:
    from trainers.families.base import Family
    from trainers.state import Progress
    from trainers.warm import WarmCache


@dataclass(frozen=True, slots=True)
class Course:
    """One task as it is trained on.

    Attributes:
        task: its name.
        rate: its share of the steps.
        family: of the task.
        batches: of its data.
        n_skipped: rows of its data that are left out by rule (``trainers/tasks/rules.py``).
    """

    task: str
    rate: float
    family: Family
    batches: TaskBatches
    n_skipped: int = 0


def courses_of(stage: TrainingStage, warm: WarmCache) -> list[Course]:
    """The courses of a stage.

    Raises:
        MalformedDataError: the data is not what the stage names.
        EmptySplitError: a set of data has no row that can be trained on.
    """
    return [
        Course(
            share.task,
            share.rate,
            family(warm.task(share.task).family),
            warm.batches(share, stage.model, stage.optimisation, stage.seed),
            warm.n_skipped(share, stage.model),
        )
        for share in shares_of(stage)
    ]


def open_data(courses: Sequence[Course], progress: Progress, n_tokens: float) -> None:
    """Read, and tokenise where nobody has, about what each task is trained on in ``n_tokens`` more.

    Raises:
        EmptySplitError: a task has no feature to train on.
        StoreError: the cache cannot be written.
    """
    all_rates = sum(course.rate for course in courses)
    for course in courses:
        course.batches.open(_next(course, progress), n_tokens * course.rate / all_rates)


def left_out(courses: Sequence[Course], progress: Progress) -> dict[str, float]:
    """As facts of a stage, what it was not taught with; what never happened has no entry.

    ``n_rows_skipped`` counts rows that are left out by rule, of all the data; ``n_examples_truncated``
    those examples of which some tokens are (docs/methods.md, "What is cut"), of the shards that were
    read so far, over the whole chain.
    """
    read = [shard for one in courses for shard in one.batches.shards_before(_next(one, progress))]
    counts = {
        "n_rows_skipped": sum(course.n_skipped for course in courses),
        "n_examples_truncated": sum(map(n_truncated, read)),
    }
    return {name: float(count) for name, count in counts.items() if count}


def _next(course: Course, progress: Progress) -> Position:
    return progress.positions.get(course.task, Position())
