"""Two small tasks and what trains on them, for tests of the training loop."""

import random

import torch
from datasets import Dataset
from tiny_model import PAD_ID, WIDTH, tiny_encoder, tiny_task, tiny_tokenizer

from trainers.batches import TaskBatches
from trainers.courses import Course
from trainers.families import family
from trainers.loop import Leg, SaveRhythm, Training
from trainers.schedule import trunk
from trainers.stage import Optimisation
from trainers.state import Learner
from trainers.tasks.spec import FamilyName

PAIR = tiny_task(FamilyName.PAIR, ("no", "yes"))
MASKED = tiny_task(FamilyName.MASKED)
OPTIMISATION = Optimisation(learning_rate=3e-3, batch_tokens=128)
TRUNK = Leg(3_000, trunk(warmup_tokens=500))


class HandClock:
    time_s = 0.0

    def now_s(self) -> float:
        return self.time_s


def sequences(generator, count):
    return [[0, *generator.choices(range(5, 60), k=generator.randint(3, 20)), 2] for _ in range(count)]


def features():
    generator = random.Random(11)
    pair, text = sequences(generator, 80), sequences(generator, 80)
    return {
        PAIR.name: Dataset.from_dict(
            {
                "input_ids": pair,
                "n_tokens": [len(ids) for ids in pair],
                "example": list(range(80)),
                "label": [ids[1] % 2 for ids in pair],
            }
        ),
        MASKED.name: Dataset.from_dict(
            {
                "input_ids": text,
                "n_tokens": [len(ids) for ids in text],
                "example": list(range(80)),
                "text_from": [1] * 80,
                "text_to": [len(ids) - 1 for ids in text],
                "mask_id": [4] * 80,
                "n_vocabulary": [len(tiny_tokenizer())] * 80,
            }
        ),
    }


FEATURES = features()


def training(optimisation=OPTIMISATION, until=lambda: False, tasks=(PAIR, MASKED), seed=5):
    courses = [
        Course(
            task.name,
            1 / len(tasks),
            family(task.family),
            TaskBatches(
                [FEATURES[task.name]],
                batch_tokens=optimisation.batch_tokens // optimisation.accumulation,
                seed=seed,
                task=task.name,
            ),
        )
        for task in tasks
    ]
    rhythm = SaveRhythm(HandClock(), lambda: None)
    return Training(courses, optimisation, seed, "fp32", PAD_ID, until, rhythm)


def learner(tasks=(PAIR, MASKED), dropout=0.1):
    encoder = tiny_encoder()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return Learner(encoder, tasks, width=WIDTH, optimisation=OPTIMISATION, seed=5)


def weights(a_learner):
    return {name: parameter.detach().clone() for name, parameter in a_learner.named_parameters()}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def stop_after(n_steps):
    asked = iter(range(n_steps + 1))
    return lambda: next(asked) >= n_steps
