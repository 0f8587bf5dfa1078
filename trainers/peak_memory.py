"""The most memory that a piece of work takes beside what is there before it.

On a GPU the allocator says it. On a CPU the tensors that live while the work is done are counted as they
come and go: what the process as a whole has taken tells more of what it did before. A fused kernel's
own work space is not seen there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that ``work`` takes at its peak, of those it takes itself."""
    if device.type != "cuda":
        live = _LiveBytes()
        with live:
            work()
        return live.peak
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


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
