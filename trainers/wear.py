"""When a worker's process should not go on: it takes more and more memory, or its device is gone.

    own memory = taken - kept on purpose (models, weights that stages start from)

Compared after every stage with the most that the first stages left, and once more after caches were
dropped. On the host memory counts that no file stands behind, on a GPU what its allocator has given out.
A process whose device has failed once cannot reach it again, whatever state the device is in.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.devices import memory_bytes_of, resident_bytes
from trainers.memory import free_cached, ran_out

if TYPE_CHECKING:
    import torch

_FIRST_STAGES = 3  # load libraries, models and caches: what they leave is a worker's usual size
_LEAK_SHARE = 1 / 32  # of the memory, that a worker may grow by: eight may by a quarter
_LEAK_BYTES = 1 << 29  # at least: twice what libraries take until every task was met once
_GB = 1e9
_GONE = (
    "CUDA error",
    "CUDA driver error",
    "cuDNN error",
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUBLAS_STATUS_INTERNAL_ERROR",
    "HIP error",
    "NVML",
    "No CUDA GPUs are available",
    "device not found",
)


def device_is_gone(error: BaseException) -> bool:
    """Whether the error says that a GPU has failed: no work reaches it from this process any more."""
    torch = sys.modules.get("torch")
    if ran_out(error) or not isinstance(error, RuntimeError):
        return False
    if torch and isinstance(error, torch.AcceleratorError):
        return True
    return any(name in str(error) for name in _GONE)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the host and on the GPU; ``device`` is 0 where there is none."""

    host: int
    device: int


def taken_on(device: torch.device) -> Memory:
    """What this process has taken; of the host 0 where the system does not say."""
    import torch

    on_gpu = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    return Memory(resident_bytes() or 0, on_gpu)


class Wear:
    """The memory of one process over its stages.

    Args:
        device: of the worker.
        allowed: what its own memory may grow by; None for a share of what there is.
        taken: what the process has taken.
    """

    def __init__(
        self,
        device: torch.device,
        allowed: Memory | None = None,
        taken: Callable[[torch.device], Memory] = taken_on,
    ) -> None:
        self._device = device
        self._allowed = allowed or _share(device)
        self._taken = taken
        self._usual = Memory(0, 0)
        self._n_stages = 0

    def after_stage(self, kept: Memory) -> str:
        """What to say of a process that has grown too much since its first stages; empty for any other.

        Said once: the next comparison is with what it takes from now on.
        """
        self._n_stages += 1
        own = self._own(kept)
        if self._n_stages <= _FIRST_STAGES:
            self._usual = Memory(max(own.host, self._usual.host), max(own.device, self._usual.device))
            return ""
        if not self._grown(own):
            return ""
        _drop_caches()
        own = self._own(kept)
        if not (said := self._grown(own)):
            return ""
        n_stages, self._n_stages, self._usual = self._n_stages, 0, Memory(0, 0)
        return f"{said} over {n_stages} stages"

    def _own(self, kept: Memory) -> Memory:
        taken = self._taken(self._device)
        return Memory(taken.host - kept.host, taken.device - kept.device)

    def _grown(self, own: Memory) -> str:
        usual, allowed = self._usual, self._allowed
        for where, now, before, room in (
            ("the host", own.host, usual.host, allowed.host),
            ("the GPU", own.device, usual.device, allowed.device),
        ):
            if now - before > room:
                return (
                    f"the worker leaks: its own memory on {where} grew from {before / _GB:.2f} GB to "
                    f"{now / _GB:.2f} GB, by more than {room / _GB:.2f} GB,"
                )
        return ""


def _share(device: torch.device) -> Memory:
    import torch

    host = memory_bytes_of(torch.device("cpu"))
    on_gpu = memory_bytes_of(device) if device.type == "cuda" else 0
    return Memory(*(max(_LEAK_BYTES, int(n_bytes * _LEAK_SHARE)) for n_bytes in (host, on_gpu)))


def _drop_caches() -> None:
    """Give back what nobody uses: cycles of objects, the allocators' spare blocks."""
    gc.collect()
    free_cached()
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):  # glibc
            library.malloc_trim(0)
