"""How many tokens go through a model at once: estimated, else probed once, else learnt by accident."""

import json
import random

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import PAD_ID, WIDTH, tiny_encoder, tiny_task

from trainers.batches import TaskBatches
from trainers.devices import free_bytes_of, resident_bytes
from trainers.families import family
from trainers.fitting import Fit, Fits, Fitting, token_bytes
from trainers.loop import Course, Leg, Losses, SaveRhythm, Training, train
from trainers.order import Outcome
from trainers.peak_memory import peak_bytes
from trainers.schedule import trunk
from trainers.stage import ModelRef, Optimisation
from trainers.state import Learner, Progress
from trainers.tasks.spec import FamilyName

CPU = torch.device("cpu")
MODEL = ModelRef("mini", "r1")
PAIR = tiny_task(FamilyName.PAIR, ("no", "yes"))
OPTIMISATION = Optimisation(learning_rate=1e-3, batch_tokens=512)
LONGEST = 22
ENDLESS = Leg(10**9, trunk(warmup_tokens=0))


class HandClock:
    def now_s(self):
        return 0.0


def rows():
    generator = random.Random(3)
    ids = [[0, *generator.choices(range(5, 60), k=k % 20 + 1), 2] for k in range(80)]
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "n_tokens": [len(one) for one in ids],
            "example": list(range(80)),
            "label": [0, 1] * 40,
        }
    )


ROWS = rows()


def a_learner():
    return Learner(tiny_encoder(), [PAIR], width=WIDTH, optimisation=OPTIMISATION, seed=5)


def a_training(n_steps=3, *, over=False):
    batches = TaskBatches([ROWS], batch_tokens=512, seed=5, task=PAIR.name)
    course = Course(PAIR.name, 1.0, family(PAIR.family), batches)
    asked = iter(range(n_steps + 1))
    rhythm = SaveRhythm(HandClock(), lambda: None)
    until = (lambda: True) if over else (lambda: next(asked) >= n_steps)
    return Training([course], OPTIMISATION, 5, "fp32", PAD_ID, until, rhythm)


class Device:
    """A device with so many bytes free, on which work takes ``fixed`` and ``slope`` times its tokens.

    ``holds_tokens`` are what really fits.
    """

    def __init__(self, monkeypatch, free_bytes, *, holds_tokens=10**9, fixed=1_000, slope=100):
        self.free_bytes, self.holds_tokens = free_bytes, holds_tokens
        self.fixed, self.slope = fixed, slope
        self.probed, self.sizes = [], []
        shape, real = type(family(PAIR.family)), type(family(PAIR.family)).loss

        def limited(shape_of, encoder, head, batch):
            self.sizes.append(batch["input_ids"].numel())
            if self.sizes[-1] > self.holds_tokens:
                raise torch.OutOfMemoryError("2 GiB wanted")
            return real(shape_of, encoder, head, batch)

        monkeypatch.setattr(shape, "loss", limited)

    def peak(self, work, _):
        work()
        self.probed.append(self.sizes.pop())
        return self.fixed + self.slope * self.probed[-1]

    def fitting(self, learner, training, folder, model=MODEL):
        fits = Fits(folder, CPU)
        return Fitting(
            model, learner, training, fits, free_bytes=lambda _: self.free_bytes, peak=self.peak
        )


def states_bytes(learner):
    return sum(3 * weight.nbytes for _, weight in learner.named_parameters())


def begun(device, folder, **kinds):
    """The progress of a fresh stage once it has been found out how its batches fit."""
    learner, progress = a_learner(), Progress()
    device.fitting(learner, a_training(), folder, **kinds).begin(progress, fresh=True)
    return progress.part_tokens


def room_for(n_tokens, fixed=1_000, slope=100):
    """Free bytes of which the usable part takes gradients, moments and so many tokens."""
    of_layers = 1 + 1 / tiny_encoder().config.num_hidden_layers
    return (states_bytes(a_learner()) + fixed + of_layers * slope * (n_tokens + 0.5)) / 0.9


def test_where_the_estimate_is_far_below_what_is_free_nothing_is_probed_kept_or_split(
    monkeypatch, tmp_path
):
    device = Device(monkeypatch, 10**12)
    assert begun(device, tmp_path) == {}
    assert device.probed == []
    assert list(tmp_path.iterdir()) == []


def test_a_probe_of_a_few_longest_rows_finds_what_fits_and_its_finding_is_kept(monkeypatch, tmp_path):
    device = Device(monkeypatch, room_for(200))
    assert begun(device, tmp_path) == {PAIR.name: 200}
    assert device.probed == [LONGEST, LONGEST, 4 * LONGEST]
    other = Device(monkeypatch, room_for(300))  # more is free now; the line is the same
    assert begun(other, tmp_path) == {PAIR.name: 300}
    assert other.probed == []


def test_a_batch_that_a_probe_finds_to_fit_goes_whole(monkeypatch, tmp_path):
    device = Device(monkeypatch, room_for(512))
    assert begun(device, tmp_path) == {}
    assert device.probed


def test_a_finding_is_of_one_model_and_precision_alone(monkeypatch, tmp_path):
    device = Device(monkeypatch, room_for(200))
    begun(device, tmp_path)
    begun(device, tmp_path, model=ModelRef("mini", "r1", precision="bf16"))
    begun(device, tmp_path, model=ModelRef("mini", "r1", tuning="lora"))
    assert len(device.probed) == 9


def test_a_probe_leaves_neither_gradients_nor_other_weights(monkeypatch, tmp_path):
    device, learner = Device(monkeypatch, room_for(200)), a_learner()
    before = {name: weight.detach().clone() for name, weight in learner.named_parameters()}
    device.fitting(learner, a_training(), tmp_path).begin(Progress(), fresh=True)
    assert device.probed
    for name, weight in learner.named_parameters():
        assert weight.grad is None
        assert torch.equal(weight, before[name])


def test_a_probe_that_runs_out_of_memory_tries_what_its_first_rows_took(monkeypatch, tmp_path):
    device = Device(monkeypatch, room_for(200), holds_tokens=2 * LONGEST)
    assert begun(device, tmp_path) == {PAIR.name: LONGEST}


def test_a_lease_that_is_over_is_not_spent_on_a_probe(monkeypatch, tmp_path):
    device, progress = Device(monkeypatch, room_for(200)), Progress()
    device.fitting(a_learner(), a_training(over=True), tmp_path).begin(progress, fresh=True)
    assert device.probed == []


def test_a_stage_that_goes_on_keeps_its_parts_whatever_is_free_now(monkeypatch, tmp_path):
    device, progress = Device(monkeypatch, room_for(200)), Progress(part_tokens={PAIR.name: 90})
    device.fitting(a_learner(), a_training(), tmp_path).begin(progress, fresh=False)
    assert progress.part_tokens == {PAIR.name: 90}
    assert device.probed == []


def test_what_an_accident_taught_is_not_met_again(monkeypatch, tmp_path):
    """Far more seems free than fits: the first stage runs out of memory, the next does not."""
    device = Device(monkeypatch, 10**12, holds_tokens=150)
    for stage in range(2):
        learner, setup, progress = a_learner(), a_training(), Progress()
        fitting = device.fitting(learner, setup, tmp_path)
        fitting.begin(progress, fresh=True)
        assert train(learner, ENDLESS, setup, progress, Losses()) is Outcome.TRUNCATED
        fitting.note(progress)
        assert (progress.oom_splits > 0) is (stage == 0)
        assert 0 < progress.part_tokens[PAIR.name] <= 150
    assert device.probed == []


@given(
    fixed=st.integers(0, 10**6),
    slope=st.floats(0.5, 1e4),
    free=st.integers(0, 10**9),
    most=st.integers(0, 10**5),
)
def test_the_tokens_of_a_finding_fit_and_are_never_none(fixed, slope, free, most):
    fit = Fit(fixed, slope, most)
    tokens = fit.tokens_in(free)
    assert tokens >= 1
    assert tokens == 1 or fixed + slope * tokens <= free * (1 + 1e-9)
    assert not most or tokens <= most


def test_findings_are_lowered_never_raised_and_what_was_measured_stays(tmp_path):
    fits = Fits(tmp_path, CPU)
    fits.note(Fit(10, 2.0), "train")
    for asked in (400, 100, 300):
        fits.lower(asked, "train")
    assert fits.of("train") == Fit(10, 2.0, 100)
    assert fits.of("score") == Fit()


@pytest.mark.parametrize("text", ["", "[]", '{"fit": {"unknown": 1}}', '{"fit": 3}'])
def test_a_finding_that_cannot_be_read_is_none(tmp_path, text):
    fits = Fits(tmp_path, CPU)
    fits.note(Fit(1, 1.0), "train")
    (file,) = (tmp_path / "fits").iterdir()
    assert json.loads(file.read_text())["of"][0] == "train"
    file.write_text(text)
    assert fits.of("train") == Fit()


def peak_with_gradients(fitting, course, rows, device):
    """Of a part that is not a step's first."""
    fitting._loss(course, rows[:1]).backward()
    return peak_bytes(lambda: fitting._loss(course, rows).backward(), device)


def test_what_a_probe_foretells_of_a_larger_batch_is_what_that_takes(tmp_path):
    """Counted on the CPU, where attention matrices are kept whole while there is dropout."""
    learner, setup = a_learner(), a_training()
    fitting = Fitting(MODEL, learner, setup, Fits(tmp_path, CPU))
    (course,) = setup.courses
    row = course.batches.longest
    fit = fitting._probed(course, row)
    foretold = fit.fixed_bytes + fit.bytes_per_token * 64 * LONGEST
    taken = peak_with_gradients(fitting, course, [row] * 64, CPU)
    assert 0.95 * taken < foretold < 1.6 * taken
    assert fit.bytes_per_token < 1.6 * token_bytes(learner.encoder.config, row)
    assert token_bytes(learner.encoder.config, row) * 64 * LONGEST > taken


def test_free_memory_is_some_of_this_machines():
    assert 0 < free_bytes_of(CPU) < 1 << 50
    held = torch.ones(1 << 24)
    assert held.nbytes < (resident_bytes() or 1 << 50)


@pytest.mark.gpu
def test_a_probe_on_a_gpu_foretells_the_peak_of_a_larger_batch(tmp_path):
    device, setup = torch.device("cuda"), a_training()
    learner = Learner(tiny_encoder().to(device), [PAIR], width=WIDTH, optimisation=OPTIMISATION, seed=5)
    fitting = Fitting(MODEL, learner, setup, Fits(tmp_path, device))
    (course,) = setup.courses
    row = course.batches.longest
    fit = fitting._probed(course, row)
    n_rows = 512
    foretold = fit.fixed_bytes + fit.bytes_per_token * n_rows * LONGEST
    taken = peak_with_gradients(fitting, course, [row] * n_rows, device)
    assert 0.9 * taken < foretold < 2 * taken
    assert 0 < free_bytes_of(device) <= torch.cuda.get_device_properties(device).total_memory


@pytest.mark.gpu
def test_a_gpu_that_is_too_small_trains_in_parts(tmp_path):
    """Memory that really runs out, of 256 MB; the batch takes several times that."""
    device, total = torch.device("cuda"), torch.cuda.mem_get_info()[1]
    optimisation = Optimisation(learning_rate=1e-3, batch_tokens=1 << 18)
    ids = [[0, *[7] * 20, 2]] * (1 << 14)
    features = Dataset.from_dict(
        {
            "input_ids": ids,
            "n_tokens": [22] * len(ids),
            "example": [0] * len(ids),
            "label": [1] * len(ids),
        }
    )
    batches = TaskBatches([features], batch_tokens=1 << 18, seed=5, task=PAIR.name)
    course = Course(PAIR.name, 1.0, family(PAIR.family), batches)
    asked = iter(range(3))
    rhythm = SaveRhythm(HandClock(), lambda: None)
    setup = Training([course], optimisation, 5, "fp32", PAD_ID, lambda: next(asked) >= 2, rhythm)
    encoder = tiny_encoder().to(device)
    learner = Learner(encoder, [PAIR], width=WIDTH, optimisation=optimisation, seed=5)
    progress = Progress()
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (256 << 20)) / total)
        assert train(learner, ENDLESS, setup, progress, Losses()) is Outcome.TRUNCATED
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert progress.step == 2
    assert 0 < progress.part_tokens[PAIR.name] < 1 << 18
