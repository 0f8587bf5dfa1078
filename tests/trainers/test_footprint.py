"""Memory that is counted, and energy that a GPU's driver reports."""

import ctypes
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainers.inference.footprint import joules, memory_bytes
from trainers.memory import model_bytes

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
WIDTH, N_ROWS = 100, 50


def test_shared_weights_count_once():
    first, second = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
    assert model_bytes(nn.Sequential(first, second)) == 2 * 4 * WIDTH**2
    second.weight = first.weight
    assert model_bytes(nn.Sequential(first, second)) == 4 * WIDTH**2


def test_memory_is_the_model_and_the_most_that_lives_at_once():
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(6)))
    given = torch.zeros(N_ROWS, WIDTH)

    def answer():
        with torch.inference_mode():
            model(given)

    answer()
    layer_bytes = 4 * N_ROWS * WIDTH
    # However deep the model is, what a layer reads and what it writes are all that has to live.
    assert memory_bytes(answer, CPU, model) == model_bytes(model) + 2 * layer_bytes
    assert memory_bytes(answer, CPU, model) == memory_bytes(answer, CPU, model)


def nvml(*, fails=""):
    """A driver library that has used 12 345 millijoules."""

    def total(_, millijoules):
        ctypes.cast(millijoules, ctypes.POINTER(ctypes.c_ulonglong))[0] = 12_345
        return int(fails == "total")

    return SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetHandleByUUID=lambda name, _: int(name != b"GPU-some-uuid" or fails == "handle"),
        nvmlDeviceGetTotalEnergyConsumption=total,
    )


@pytest.fixture
def gpu(monkeypatch):
    properties = SimpleNamespace(uuid="some-uuid")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)


def test_a_gpu_reports_its_energy_in_joules(gpu):
    assert joules(GPU, lambda _: nvml()) == pytest.approx(12.345)


@pytest.mark.parametrize("fails", ["handle", "total"])
def test_a_gpu_whose_driver_refuses_has_no_energy(gpu, fails):
    assert joules(GPU, lambda _: nvml(fails=fails)) is None


def test_without_the_drivers_library_or_a_gpu_there_is_no_energy(gpu):
    def missing(name):
        raise OSError(name)

    assert joules(GPU, missing) is None
    assert joules(CPU, lambda _: nvml()) is None
