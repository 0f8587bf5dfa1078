"""What a device found in batch after batch, brought to the host.

Whatever a fetch asks for, the device first finishes all that it was given, and then has nothing to do
until the host has made the next batch. Results are small beside batches, so several wait for one fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Sequence[Mapping[str, Any]]

AT_ONCE = 16  # batches whose rows wait on the host


def fetched(results: Iterator[tuple[torch.Tensor, Rows]]) -> Iterator[tuple[NDArray[Any], Rows]]:
    """Each batch's result on the host, with its rows and in order; one fetch per ``AT_ONCE`` batches.

    Args:
        results: tensors of one dtype that differ in length alone.
    """
    waiting: list[tuple[torch.Tensor, Rows]] = []
    for result in results:
        waiting.append(result)
        if len(waiting) == AT_ONCE:
            yield from _fetch(waiting)
            waiting = []
    if waiting:
        yield from _fetch(waiting)


def _fetch(waiting: list[tuple[torch.Tensor, Rows]]) -> Iterator[tuple[NDArray[Any], Rows]]:
    together = torch.cat([result for result, _ in waiting]).detach().cpu().numpy()
    cuts = np.cumsum([len(result) for result, _ in waiting])[:-1]
    rows = (rows for _, rows in waiting)
    yield from zip(np.split(together, cuts), rows, strict=True)
