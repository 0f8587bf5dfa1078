"""What each step is trained on, drawn by a thread while the device works on the step before.

Which task a step is on, and where in its data it stands, follows from the step's number, the stage's
seed and the steps before, so the next draw begins as soon as one is taken. For a GPU the batches lie in
pinned memory, which is copied while the GPU computes.

What is random in a batch comes from a generator with the step's own seed. The step itself (dropout on a
CPU) goes on from the state in which that was left, so that no number depends on which thread drew when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trainers.batches import Position
from trainers.mixing import task_at
from trainers.seeding import derived

if TYPE_CHECKING:
    from types import TracebackType

    from trainers.courses import Course
    from trainers.families.base import Batch
    from trainers.state import Progress


@dataclass(frozen=True, slots=True)
class Draw:
    """What one step is trained on.

    Attributes:
        step: its number.
        course: its task.
        batches: micro-batches on the host, each with the number of its rows.
        n_tokens: in them, without padding.
        position: where the task goes on.
        random_state: of the host's generator once all of it was drawn.
    """

    step: int
    course: Course
    batches: tuple[tuple[Batch, int], ...]
    n_tokens: int
    position: Position
    random_state: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Place:
    """Before a step: its number and the next batch of each task."""

    step: int
    positions: Mapping[str, Position]

    def after(self, draw: Draw) -> _Place:
        """The place before the next step."""
        return _Place(self.step + 1, {**self.positions, draw.course.task: draw.position})


class Drawing:
    """The draws of a stage's steps, one of them ahead. Used as a context, whose end stops the thread.

    Args:
        courses: the tasks that are trained together.
        n_batches: micro-batches of a step.
        seed: of the stage.
        pad_id: of the tokenizer.
        device: that is trained on.
    """

    def __init__(
        self, courses: Sequence[Course], *, n_batches: int, seed: int, pad_id: int, device: torch.device
    ) -> None:
        self._courses = courses
        self._rates = [course.rate for course in courses]
        self._n_batches = n_batches
        self._seed = seed
        self._pad_id = pad_id
        self._pinned = device.type == "cuda"
        # One thread alone touches the batches: a plan of an epoch is kept between two draws.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draw")
        self._ahead: tuple[_Place, Future[Draw]] | None = None

    def __enter__(self) -> Drawing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, progress: Progress) -> Draw:
        """The draw of the step that comes next; that of the one after it is begun.

        Raises:
            TaskError: the family cannot make a batch of the rows.
        """
        place = _Place(progress.step, dict(progress.positions))
        if self._ahead is None or self._ahead[0] != place:
            self._begin(place)
        assert self._ahead is not None
        draw = self._ahead[1].result()
        self._begin(place.after(draw))
        return draw

    def _begin(self, place: _Place) -> None:
        self._ahead = (place, self._thread.submit(self._draw, place))

    def _draw(self, place: _Place) -> Draw:
        course = self._courses[task_at(place.step, self._rates, seed=self._seed)]
        generator = torch.Generator()
        generator.manual_seed(derived(self._seed, "step", place.step))
        position = place.positions.get(course.task, Position())
        batches, n_tokens = [], 0
        for _ in range(self._n_batches):
            rows, position = course.batches.take(position)
            batch = course.family.collate(rows, self._pad_id, generator)
            if self._pinned:
                batch = {name: tensor.pin_memory() for name, tensor in batch.items()}
            batches.append((batch, len(rows)))
            n_tokens += sum(row["n_tokens"] for row in rows)
        return Draw(
            place.step, course, tuple(batches), n_tokens, position, random_state=generator.get_state()
        )
