"""A process that takes more and more memory, or has lost its device, says so and is not gone on with."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from worker_bench import Bench, tiny_mirror

import trainers.training
from budgets.bill import Purpose
from trainers.families.pair import PairFamily
from trainers.order import Outcome
from trainers.stage import stage_name
from trainers.wear import Memory, Wear, device_is_gone, taken_on

CPU = torch.device("cpu")
MB = 2**20
NOTHING = Memory(0, 0)
GONE = (
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("NVML_SUCCESS == r INTERNAL ASSERT FAILED"),
    RuntimeError("No CUDA GPUs are available"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def bench(place, tmp_path):
    return Bench(place, tmp_path)


# -- memory that grows -------------------------------------------------------------------------------


def said_of(taken, kept=None, allowed=100):
    """What is said after each of some stages."""
    seen = iter(taken)
    last = []

    def look(_):
        last[:] = [next(seen, *last)] if last else [next(seen)]
        return last[0]

    wear = Wear(CPU, Memory(allowed, allowed), look)
    return [wear.after_stage(one) for one in kept or [NOTHING] * len(taken)]


@given(sizes=st.lists(st.integers(0, 100), min_size=4, max_size=12))
def test_a_process_that_stays_within_what_it_may_grow_by_goes_on(sizes):
    assert said_of([Memory(size, size) for size in sizes]) == [""] * len(sizes)


@given(kept=st.lists(st.integers(0, 10**12), min_size=4, max_size=12))
def test_what_is_kept_on_purpose_is_no_leak(kept):
    taken = [Memory(5 + size, 7 + size) for size in kept]
    assert set(said_of(taken, [Memory(size, size) for size in kept])) == {""}


@pytest.mark.parametrize(("where", "grown"), [("host", Memory(901, 0)), ("GPU", Memory(0, 901))])
def test_growth_beyond_the_bound_is_said_with_its_figures(where, grown):
    *before, said = said_of([NOTHING, NOTHING, NOTHING, grown, grown])[:4]
    assert before == [""] * 3
    assert f"own memory on the {where} grew from 0.00 GB to 0.00 GB" in said
    assert said.endswith("over 4 stages")


def test_growth_that_goes_away_with_the_caches_is_no_leak():
    looks = iter([0, 0, 0, 500, 20, 500, 500])
    wear = Wear(CPU, Memory(100, 100), lambda _: Memory(next(looks), 0))
    assert [wear.after_stage(NOTHING) for _ in range(4)] == [""] * 4
    assert wear.after_stage(NOTHING)


def test_a_leak_is_said_once_and_again_when_it_has_grown_as_much_again():
    sizes = iter([0, 0, 0, 500, 500, 510, 520, 530, 540, 700, 700])
    wear = Wear(CPU, Memory(100, 100), lambda _: Memory(next(sizes), 0))
    assert [bool(wear.after_stage(NOTHING)) for _ in range(9)] == [
        *[False] * 3,
        True,
        *[False] * 4,
        True,
    ]


@pytest.mark.skipif(taken_on(CPU).host == 0, reason="the system does not say what a process takes")
def test_a_worker_that_leaks_on_purpose_says_so_and_one_that_does_not_is_silent(bench, monkeypatch):
    stages = [replace(bench.target(tokens=300), seed=seed) for seed in range(12)]
    bench.worker._wear = Wear(CPU, Memory(60 * MB, 0))
    assert [bench.run(stage).worn for stage in stages[:6]] == [""] * 6

    leaked, loss = [], PairFamily.loss

    def leaking(*given):
        leaked.append(torch.ones(30 * MB // 4))
        return loss(*given)

    monkeypatch.setattr(PairFamily, "loss", leaking)
    said = [bench.run(stage) for stage in stages[6:]]
    assert all(measurement.outcome is Outcome.DONE for measurement in said)
    assert "the worker leaks: its own memory on the host grew" in "".join(one.worn for one in said)


def test_what_a_worker_keeps_on_purpose_is_counted(bench):
    bench.run(bench.target(tokens=300))
    host, device = bench.worker._warm.kept_bytes
    one_encoder = sum(t.nbytes for t in bench.tensors(bench.target(tokens=300)).values())
    assert device >= one_encoder
    assert host >= 2 * one_encoder  # as published, and as the stage left it
    before = host
    bench.run(bench.evaluation(bench.target(tokens=300)))
    assert bench.worker._warm.kept_bytes[0] > before  # cells


def test_a_worker_may_grow_by_a_share_of_the_memory_and_by_half_a_gigabyte_anywhere(monkeypatch):
    for n_bytes, allowed in ((1 << 40, 1 << 35), (1 << 32, 1 << 29)):
        monkeypatch.setattr("trainers.wear.memory_bytes_of", lambda _, n=n_bytes: n)
        for grown, is_leak in ((allowed, False), (allowed + 1, True)):
            sizes = iter([0, 0, 0, grown, grown])
            wear = Wear(CPU, taken=lambda _, left=sizes: Memory(next(left), 0))
            assert [bool(wear.after_stage(NOTHING)) for _ in range(4)] == [*[False] * 3, is_leak]


# -- a device that is gone ---------------------------------------------------------------------------


def test_a_lost_device_is_told_from_a_full_memory_and_from_a_bug():
    assert all(device_is_gone(error) for error in GONE)
    assert not device_is_gone(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not device_is_gone(torch.AcceleratorError("CUDA error: out of memory"))
    assert not device_is_gone(RuntimeError("shapes do not match"))
    assert not device_is_gone(OSError("CUDA error"))


@pytest.mark.parametrize("error", GONE)
def test_a_stage_whose_device_is_lost_fails_with_its_bill_and_may_be_tried_elsewhere(
    bench, monkeypatch, error
):
    n_calls, loss = iter(range(10**6)), PairFamily.loss

    def lost(*given):
        if next(n_calls) == 3:
            raise error
        return loss(*given)

    monkeypatch.setattr(PairFamily, "loss", lost)
    stage = bench.target(tokens=900)
    measurement = bench.run(stage)
    assert measurement.outcome is Outcome.FAILED
    assert measurement.bill.amounts[Purpose.TRAIN]
    assert measurement.device_is_gone
    assert measurement.error == measurement.worn
    assert measurement.error.startswith("the device cpu (cpu) failed under the stage: ")
    assert "Xid" in measurement.error
    assert not bench.store.has(stage_name(stage))

    def touched(*_):
        raise AssertionError("a dead device was asked for something")

    with monkeypatch.context() as patch:
        patch.setattr(trainers.training, "run_training", touched)
        again = bench.run(stage)
    assert (again.outcome, again.worn) == (Outcome.FAILED, measurement.worn)
    assert bench.run(stage, worker=bench.new_worker()).outcome is Outcome.DONE


def test_an_error_of_the_program_is_still_raised(bench, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(PairFamily, "loss", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        bench.run(bench.target(tokens=300))


def test_the_record_has_the_precision_that_was_computed_in(bench):
    stage = bench.target(tokens=300)
    asked = replace(stage, model=replace(stage.model, precision="bf16"))
    assert bench.run(asked).precision == "fp32"  # a CPU
    assert bench.run(asked).precision == ""  # taken from the store, nothing was computed
