"""Memory and energy of answering.

    model    bytes of all parameters and buffers of encoder and head, each counted once
    memory   model + the most that the answer to one sample holds beside it

The second as ``trainers/peak_memory.py`` finds it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from trainers.memory import model_bytes
from trainers.peak_memory import peak_bytes

if TYPE_CHECKING:
    from torch import nn

_NVML = "libnvidia-ml.so.1"


def memory_bytes(answer: Callable[[], object], device: torch.device, *modules: nn.Module) -> int:
    """Bytes that serving takes while one ``answer`` is made."""
    return model_bytes(*modules) + peak_bytes(answer, device)


def joules(device: torch.device, open_library: Callable[[str], Any] = ctypes.CDLL) -> float | None:
    """Energy that the GPU has used since its driver was loaded; None where nobody reports it.

    Source: NVML, ``nvmlDeviceGetTotalEnergyConsumption``, millijoules, since Volta.
    """
    if device.type != "cuda":
        return None
    try:
        nvml = open_library(_NVML)
    except OSError:
        return None
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"  # indices differ where GPUs are hidden
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    asked = (
        nvml.nvmlInit_v2(),
        nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)),
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)),
    )
    return millijoules.value / 1000 if not any(asked) else None
