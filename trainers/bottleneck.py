"""The bottleneck adapter, which PEFT does not have.

    y = h + U relu(D h)        h the output of a feed-forward block, before its residual connection

One per layer, after the feed-forward block alone: as good as a second one after attention, at half the
weights. U begins as zeros, so a new adapter changes nothing.

Source: the adapter, Houlsby et al. 2019, arXiv:1902.00751; its place and its width (that of the encoder
divided by 16), Pfeiffer et al. 2021, arXiv:2005.00247. Theirs reads h behind the layer norm of
post-norm encoders; here it reads h itself, which encoders of every kind have.
"""

from __future__ import annotations

import re

import torch
from torch import nn

_REDUCTION = 16


class Bottleneck(nn.Module):
    """A linear layer with an adapter behind it.

    Args:
        base_layer: the second of a feed-forward block.
    """

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        width = base_layer.out_features
        self.base_layer = base_layer
        self.down = nn.Linear(width, max(1, width // _REDUCTION))
        self.up = nn.Linear(self.down.out_features, width)
        for weights in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(weights)
        self.to(base_layer.weight.device)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the block gives, adapted; the same shape."""
        hidden = self.base_layer(inputs)
        adapted: torch.Tensor = hidden + self.up(nn.functional.relu(self.down(hidden)))
        return adapted


class BottleneckModel:
    """An encoder with bottlenecks in it and everything else frozen; its verb is that of PEFT's models.

    Args:
        encoder: is changed in place.
        places: regular expression for the names of the layers that get one.
    """

    def __init__(self, encoder: nn.Module, places: str) -> None:
        self._encoder = encoder
        self._names = [name for name, _ in encoder.named_modules() if re.fullmatch(places, name)]
        if not self._names:
            raise ValueError(f"no layer of {type(encoder).__name__} is called like {places}")
        encoder.requires_grad_(False)
        for name in self._names:
            self._replace(name, Bottleneck(encoder.get_submodule(name)))  # type: ignore[arg-type]

    def unload(self) -> nn.Module:
        """The encoder without them."""
        for name in self._names:
            self._replace(name, self._encoder.get_submodule(f"{name}.base_layer"))
        return self._encoder

    def _replace(self, name: str, layer: nn.Module) -> None:
        parent, _, child = name.rpartition(".")
        setattr(self._encoder.get_submodule(parent), child, layer)
