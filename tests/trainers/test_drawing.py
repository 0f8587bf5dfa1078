"""What a step is trained on is the same whichever thread drew it, and whenever."""

import random
import threading

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import PAD_ID, tiny_task, tiny_tokenizer

from trainers.batches import Position, TaskBatches
from trainers.courses import Course
from trainers.drawing import Drawing
from trainers.errors import MalformedDataError
from trainers.families import family
from trainers.seeding import seed_everything
from trainers.state import Progress
from trainers.tasks.spec import FamilyName

TASKS = (tiny_task(FamilyName.PAIR, ("no", "yes")), tiny_task(FamilyName.MASKED))
CPU = torch.device("cpu")


def features(seed, n_rows=40):
    generator = random.Random(seed)
    ids = [[0, *generator.choices(range(5, 60), k=generator.randint(3, 20)), 2] for _ in range(n_rows)]
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "n_tokens": [len(sequence) for sequence in ids],
            "label": [sequence[1] % 2 for sequence in ids],
            "text_from": [1] * n_rows,
            "text_to": [len(sequence) - 1 for sequence in ids],
            "mask_id": [4] * n_rows,
            "n_vocabulary": [len(tiny_tokenizer())] * n_rows,
        }
    )


FEATURES = features(3)


def courses(batch_tokens=64, families=None):
    return [
        Course(
            task.name,
            0.5,
            (families or {}).get(task.name, family(task.family)),
            TaskBatches([FEATURES], batch_tokens=batch_tokens, seed=1, task=task.name),
        )
        for task in TASKS
    ]


def drawing(n_batches=1, seed=1, **changes):
    return Drawing(courses(**changes), n_batches=n_batches, seed=seed, pad_id=PAD_ID, device=CPU)


def move(progress, draw):
    progress.step += 1
    progress.positions[draw.course.task] = draw.position


def same(one, other):
    assert (one.step, one.course.task, one.n_tokens, one.position) == (
        other.step,
        other.course.task,
        other.n_tokens,
        other.position,
    )
    assert torch.equal(one.random_state, other.random_state)
    for (left, n_left), (right, n_right) in zip(one.batches, other.batches, strict=True):
        assert n_left == n_right
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)


@settings(max_examples=20)
@given(n_batches=st.integers(1, 3), seed=st.integers(0, 50), n_steps=st.integers(1, 12))
def test_a_draw_that_was_made_ahead_is_the_draw_of_a_stage_that_begins_there(n_batches, seed, n_steps):
    progress = Progress()
    with drawing(n_batches, seed) as steady:
        for _ in range(n_steps):
            draw = steady.take(progress)
            with drawing(n_batches, seed) as fresh:
                same(draw, fresh.take(progress))
            move(progress, draw)


def test_masks_are_those_that_the_seed_of_the_step_gives_and_dropout_goes_on_after_them():
    text = courses()[1]
    alone = Drawing([text], n_batches=1, seed=7, pad_id=PAD_ID, device=CPU)
    progress = Progress()
    with alone:
        for step in range(3):
            draw = alone.take(progress)
            rows, _ = text.batches.take(progress.positions.get(text.task, Position()))
            seed_everything(7, "step", step)
            batch = text.family.collate(rows, PAD_ID)
            assert torch.equal(draw.batches[0][0]["input_ids"], batch["input_ids"])
            assert torch.equal(draw.random_state, torch.get_rng_state())
            move(progress, draw)


def test_the_next_draw_is_begun_by_another_thread_as_soon_as_one_is_taken():
    begun, drawn_by = threading.Event(), []

    class Watched:
        def collate(self, rows, pad_id, generator):
            drawn_by.append(threading.current_thread().name)
            if len(drawn_by) == 2:
                begun.set()
            return family(FamilyName.PAIR).collate(rows, pad_id, generator)

    with drawing(families={task.name: Watched() for task in TASKS}) as steady:
        steady.take(Progress())
        assert begun.wait(timeout=30)
    assert all(name.startswith("draw") for name in drawn_by)


def test_a_stage_that_is_set_back_gets_the_draws_of_where_it_is():
    progress = Progress()
    with drawing() as steady:
        first = steady.take(progress)
        same(first, steady.take(progress))
        move(progress, first)
        second = steady.take(progress)
        same(first, steady.take(Progress()))
        same(second, steady.take(progress))


def test_bad_rows_are_told_of_at_the_step_that_needs_them():
    class Broken:
        n_good = 1

        def collate(self, rows, pad_id, generator):
            if self.n_good == 0:
                raise MalformedDataError("two choices here and three there")
            self.n_good -= 1
            return family(FamilyName.PAIR).collate(rows, pad_id, generator)

    progress, broken = Progress(), Broken()
    with drawing(families={task.name: broken for task in TASKS}) as steady:
        move(progress, steady.take(progress))
        with pytest.raises(MalformedDataError, match="two choices"):
            steady.take(progress)


def test_its_thread_ends_with_it():
    with drawing() as steady:
        steady.take(Progress())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("draw")]
