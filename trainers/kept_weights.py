"""The weights that stages start from, in host memory, so that going back to them reads no file.

whole      the latest few encoders, of each of several models where they fit in memory: as
           published, a pretrain or intermediate stage
mapped     encoders to merge, mapped from their files: what many mixes share is in the system's
           page cache, for all workers of a machine
adapters   the latest few adapters, each a hundredth of an encoder or less
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch

from trainers.adapters import Adapter, Left, adapter_weights, what_was_left
from trainers.checkpoints import StageStore
from trainers.devices import memory_bytes_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

Weights = dict[str, torch.Tensor]
_Kept = TypeVar("_Kept")

_WHOLE_KEPT = 3  # a published model, its pretrain or intermediate stage, and one more
_WHOLE_MOST = 4 * _WHOLE_KEPT  # as many of each of four models
_WHOLE_SHARE = 1 / 16  # of the host's memory, beyond which _WHOLE_KEPT stay: eight workers take half
# In memory they are pages that the system takes back when it needs them. An encoder of XLM-R base's
# size is added in 0.1 to 0.2 s from there and from a copy, and the copy takes 1 to 8 s to make (one
# core, warm and cold pages).
_MAPPED_KEPT = 32
_ADAPTERS_KEPT = 32  # of XLM-R large 13 MB each at most


class KeptWeights:
    """Weights by the name of the stage that left them, or of the published model.

    Args:
        store: of stages.
        whole_bytes: that more than the latest three encoders may take; None for a share of the host's
            memory.
    """

    def __init__(self, store: StageStore, whole_bytes: int | None = None) -> None:
        self._store = store
        share = int(memory_bytes_of(torch.device("cpu")) * _WHOLE_SHARE)
        self._whole_bytes = share if whole_bytes is None else whole_bytes
        self._whole: OrderedDict[str, Weights] = OrderedDict()
        self._mapped: OrderedDict[str, Weights] = OrderedDict()
        self._adapters: OrderedDict[str, tuple[Left, Weights]] = OrderedDict()
        self._is_whole: set[str] = set()

    @property
    def n_bytes(self) -> int:
        """Of all copies; what is mapped from files is none."""
        adapters = (weights for _, weights in self._adapters.values())
        return sum(w.nbytes for weights in (*self._whole.values(), *adapters) for w in weights.values())

    def whole(self, name: str) -> Weights | None:
        """An encoder that is kept."""
        if name in self._whole:
            self._whole.move_to_end(name)
        return self._whole.get(name)

    def keep_whole(self, name: str, encoder: nn.Module) -> None:
        """Keep a copy of ``encoder``."""
        self._is_whole.add(name)
        copied = {key: _on_host(value) for key, value in encoder.state_dict().items()}
        _put(self._whole, name, copied, _WHOLE_MOST)
        sizes = [sum(tensor.nbytes for tensor in weights.values()) for weights in self._whole.values()]
        while len(self._whole) > _WHOLE_KEPT and sum(sizes) > self._whole_bytes:
            self._whole.popitem(last=False)
            del sizes[0]

    def to_merge(self, name: str, load: Callable[[], PreTrainedModel]) -> Weights:
        """An encoder on the host, to be read only; ``load`` maps it where it is not kept."""
        if name in self._whole:
            return self._whole[name]
        weights = self._mapped.get(name)
        if weights is None:
            weights = load().state_dict()
        _put(self._mapped, name, weights, _MAPPED_KEPT)
        return weights

    def adapter(self, stage: str | None) -> tuple[Left, Weights] | None:
        """The adapter that ``stage`` left; None where it left a whole encoder, or there is no stage.

        Raises:
            StoreError: the store does not have ``stage``, or its adapter cannot be read.
        """
        if stage is None or stage in self._is_whole:
            return None
        if stage not in self._adapters:
            folder = self._store.open(stage)
            left = what_was_left(folder)
            if left is None:
                self._is_whole.add(stage)
                return None
            _put(self._adapters, stage, (left, adapter_weights(folder)), _ADAPTERS_KEPT)
        self._adapters.move_to_end(stage)
        return self._adapters[stage]

    def keep_adapter(self, stage: str, adapter: Adapter, base: str | None) -> None:
        """Keep a copy of the adapter that ``stage`` trained in the encoder of ``base``."""
        copied = {name: _on_host(weight) for name, weight in adapter.weights().items()}
        _put(self._adapters, stage, (Left(adapter.tuning, base), copied), _ADAPTERS_KEPT)


def _put(kept: OrderedDict[str, _Kept], name: str, weights: _Kept, most: int) -> None:
    kept[name] = weights
    kept.move_to_end(name)
    while len(kept) > most:
        kept.popitem(last=False)


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)
