"""What a model takes of memory, and what to do when that runs out: know it, and split the batch.

Axes: B sequences, T tokens, W positions that are predicted, rows as features in the batch.

Torch is not imported here: its error is looked up where it has been.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from trainers.families.base import Batch

# How libraries that have no class for it name a full memory: torch's allocator on the host, cuBLAS,
# and the driver of a device.
_NAMES = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
_BY_SEQUENCE = ("input_ids", "attention_mask", "token_type_ids")


def ran_out(error: BaseException) -> bool:
    """Whether the error says that the device's or the host's memory is full."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(name in str(error) for name in _NAMES)


def free_cached() -> None:
    """Give back what torch's allocator keeps of the device."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()


def model_bytes(*modules: nn.Module) -> int:
    """Bytes of parameters and buffers, those that are shared counted once."""
    tensors = (t for module in modules for t in (*module.parameters(), *module.buffers()))
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(sizes.values())


def halves(batch: Batch, n_rows: int) -> Iterator[tuple[Batch, float]]:
    """Both halves of a training batch, each with its share of what the batch's loss averages over.

        loss(batch) = sum over halves of share * loss(half)

    A batch with ``positions`` (counted through (B, T) laid out flat) averages over those, any other
    over its rows. A batch of one row is its own only half.

    Args:
        batch: as its family collated it, on the host.
        n_rows: features in it; B is a multiple of that where a feature has several sequences.
    """
    n_sequences, n_tokens = batch["input_ids"].shape
    per_row = n_sequences // n_rows
    middle = n_rows // 2
    for begin, end in ((0, middle), (middle, n_rows)) if middle else ((0, n_rows),):
        part = {
            name: batch[name][begin * per_row : end * per_row] for name in _BY_SEQUENCE if name in batch
        }
        rest = {name: column for name, column in batch.items() if name not in _BY_SEQUENCE}
        if "positions" not in batch:
            part |= {name: column[begin:end] for name, column in rest.items()}
            yield part, (end - begin) / n_rows
            continue
        first, past = begin * per_row * n_tokens, end * per_row * n_tokens
        inside_W = (batch["positions"] >= first) & (batch["positions"] < past)
        part |= {name: column[inside_W] for name, column in rest.items()}
        part["positions"] = part["positions"] - first
        yield part, len(part["positions"]) / max(1, len(batch["positions"]))
