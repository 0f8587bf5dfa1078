"""Memory and energy of answering.

    model    bytes of all parameters and buffers of encoder and head, each counted once
    memory   model + the most that the answer to one sample holds beside it

On a GPU the allocator says the second. On a CPU the tensors that live while one answer is made are
counted as they come and go: what the process as a whole has taken tells more of what it did before.
A fused kernel's own work space is not seen there.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainers.memory import model_bytes

if TYPE_CHECKING:
    from torch import nn

_NVML = "libnvidia-ml.so.1"


def memory_bytes(answer: Callable[[], object], device: torch.device, *modules: nn.Module) -> int:
    """Bytes that serving takes while one ``answer`` is made."""
    if device.type != "cuda":
        live = _LiveBytes()
        with live:
            answer()
        return model_bytes(*modules) + live.peak
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    answer()
    torch.cuda.synchronize(device)
    return model_bytes(*modules) + torch.cuda.max_memory_allocated(device) - before


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations make, until these are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = {storage.data_ptr() for storage in _storages((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            if storage.data_ptr() not in given and storage not in self._known:
                self._note(storage)
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage)
        n_bytes = storage.nbytes()
        self.live += n_bytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._freed, n_bytes)

    def _freed(self, n_bytes: int) -> None:
        self.live -= n_bytes


def _storages(tree: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


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
