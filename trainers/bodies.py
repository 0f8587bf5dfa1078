"""The encoders that a worker has on its device, one per model, so that no model is built twice.

What a body's weights are changes from stage to stage; its architecture is what takes long to build.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.adapters import Adapter
from trainers.devices import memory_bytes_of
from trainers.memory import model_bytes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Of the device's memory, for the models that wait beside the one in use: an H200 has room for XLM-R
# large and base both, 24 GB for one of base's size. The rest is the batches'.
_WAITING_SHARE = 1 / 16


@dataclass(slots=True)
class Body:
    """An encoder on the device.

    Attributes:
        encoder: with ``adapter`` in it, where there is one.
        holds: whose weights it has; "" while a stage trains it.
        adapter: that sits in it.
        adapter_of: the stage whose adapter it is; "" while a stage trains it.
    """

    encoder: PreTrainedModel
    holds: str
    adapter: Adapter | None = None
    adapter_of: str = ""

    def forget_adapter(self) -> None:
        """Note that none sits in it any more."""
        self.adapter, self.adapter_of = None, ""

    def take_adapter_out(self) -> None:
        """Leave the encoder as it was before the adapter was put in, to the bit."""
        if self.adapter is not None:
            self.adapter.detach()
        self.forget_adapter()


class Bodies:
    """Bodies by model; those that do not fit beside the one in use are dropped, the oldest first.

    Args:
        device: where they are.
        waiting_bytes: that all but the one in use may take; None for a share of the device's memory.
    """

    def __init__(self, device: torch.device, waiting_bytes: int | None = None) -> None:
        share = int(memory_bytes_of(device) * _WAITING_SHARE)
        self._waiting_bytes = share if waiting_bytes is None else waiting_bytes
        self._bodies: OrderedDict[str, Body] = OrderedDict()  # the one in use last

    @property
    def in_use(self) -> Body | None:
        """The one that was asked for or put last."""
        return next(reversed(self._bodies.values()), None)

    @property
    def n_bytes(self) -> int:
        """Of all encoders."""
        return model_bytes(*(body.encoder for body in self._bodies.values()))

    def of(self, model: str) -> Body | None:
        """That of ``model``, in use from now on; None where there is none."""
        body = self._bodies.get(model)
        return self.put(model, body) if body else None

    def put(self, model: str, body: Body) -> Body:
        """Use ``body`` for ``model``."""
        self._bodies[model] = body
        self._bodies.move_to_end(model)
        sizes = {name: model_bytes(waiting.encoder) for name, waiting in self._bodies.items()}
        del sizes[model]
        while sum(sizes.values()) > self._waiting_bytes:
            oldest = next(iter(sizes))
            del sizes[oldest], self._bodies[oldest]
        return body
