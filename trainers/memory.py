"""What a model takes of memory, and what to do when that runs out: know it, and cut the batch.

Axes: B sequences, T tokens, W positions that are predicted, rows as features in the batch.

Torch is not imported here: its error is looked up where it has been.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(slots=True)
class Parts:
    """A task's micro-batches, cut by rows so that no part has more tokens than fit at once.

    Attributes:
        most_tokens: of a part, with padding; 0 for a whole micro-batch.
        least_rows: of a part, however many tokens that is.
        n_rows: of the part that was given last.
        row_tokens: of each of its rows.
    """

    most_tokens: int = 0
    least_rows: int = 1
    n_rows: int = 0
    row_tokens: int = 0

    def of(self, batch: Batch, n_rows: int) -> Iterator[tuple[Batch, float]]:
        """The parts of a micro-batch of so many rows, with their shares; see :func:`parts`."""
        self.row_tokens = batch["input_ids"].numel() // n_rows
        most_rows = max(1, self.most_tokens // self.row_tokens) if self.most_tokens else n_rows
        n_parts = min(math.ceil(n_rows / most_rows), max(1, n_rows // self.least_rows))
        for part, share in parts(batch, n_rows, n_parts):
            self.n_rows = part["input_ids"].numel() // self.row_tokens
            yield part, share

    def halved(self) -> int:
        """``most_tokens`` for parts half as large as the last one; 0 where that cannot be cut."""
        can_be_cut = self.n_rows >= 2 * self.least_rows
        return math.ceil(self.n_rows / 2) * self.row_tokens if can_be_cut else 0


def parts(batch: Batch, n_rows: int, n_parts: int) -> Iterator[tuple[Batch, float]]:
    """A training batch in parts, each with its share of what the batch's loss averages over.

        loss(batch) = sum over parts of share * loss(part)

    A batch with ``positions`` (counted through (B, T) laid out flat) averages over those, any other
    over its rows.

    Args:
        batch: as its family collated it, on the host.
        n_rows: features in it; B is a multiple of that where a feature has several sequences.
        n_parts: of as many rows as each other, or one more; as many as rows at most.
    """
    if n_parts == 1:
        yield batch, 1.0
        return
    n_sequences, n_tokens = batch["input_ids"].shape
    per_row = n_sequences // n_rows
    n_parts = min(n_parts, n_rows)
    cuts = [n_rows * number // n_parts for number in range(n_parts + 1)]
    rest = {name: column for name, column in batch.items() if name not in _BY_SEQUENCE}
    for begin, end in itertools.pairwise(cuts):
        part = {
            name: batch[name][begin * per_row : end * per_row] for name in _BY_SEQUENCE if name in batch
        }
        if "positions" not in batch:
            part |= {name: column[begin:end] for name, column in rest.items()}
            yield part, (end - begin) / n_rows
            continue
        first, past = begin * per_row * n_tokens, end * per_row * n_tokens
        inside_W = (batch["positions"] >= first) & (batch["positions"] < past)
        part |= {name: column[inside_W] for name, column in rest.items()}
        part["positions"] = part["positions"] - first
        yield part, len(part["positions"]) / max(1, len(batch["positions"]))
