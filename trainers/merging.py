"""An encoder made of task vectors, with nothing trained.

    theta = base + scale * sum_i weight_i (theta_i - base) [+ theta_target - base]

It is added up in float32 as one linear combination, an encoder at a time, in the place where the result
is wanted:

    theta  = c_base base + sum_i scale weight_i theta_i [+ theta_target]
    c_base = 1 - scale sum_i weight_i [- 1]

An encoder whose coefficient is 0 is not read, so one part with weight 1 and scale 1 gives that part to
the bit, and no part at all gives the base.

Source: task arithmetic, Ilharco et al. 2023, arXiv:2212.04089.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import torch

from trainers.errors import ModelError
from trainers.stage import MergeStage

if TYPE_CHECKING:
    from torch import Tensor, nn

Weights = Mapping[str, "Tensor"]


@dataclass(frozen=True, slots=True)
class Term:
    """``coefficient`` times the encoder of ``stage``; the published model where that is None."""

    stage: str | None
    coefficient: float


def terms(stage: MergeStage) -> tuple[Term, ...]:
    """What a merge adds up: the base first, then the parts, then the target; without zeros."""
    parts = [Term(part.stage, stage.scale * part.weight) for part in stage.parts]
    if stage.target is not None:
        parts.append(Term(stage.target, 1.0))
    base = Term(stage.base, 1.0 - math.fsum(part.coefficient for part in parts))
    return tuple(term for term in (base, *parts) if term.coefficient)


def merge(
    encoder: nn.Module, wanted: Sequence[Term], weights_of: Callable[[str | None], Weights]
) -> None:
    """Give ``encoder`` the sum of ``wanted``, in place.

    Tied weights are added once. What is not a floating-point number (a table of positions) is that of
    the first term.

    Args:
        encoder: of the model; what it holds before does not matter.
        wanted: at least one.
        weights_of: a stage's state dict, on any device; it is asked for one at a time.

    Raises:
        ModelError: a stage's encoder has other tensors, or one of another shape.
    """
    expected = encoder.state_dict()
    # In the state dict tied weights appear once per name, here once.
    named = chain(encoder.named_parameters(), encoder.named_buffers())
    held = {name: tensor for name, tensor in named if name in expected}
    with torch.no_grad():
        for number, term in enumerate(wanted):
            weights = weights_of(term.stage)
            _check(term.stage, weights, expected)
            for name, tensor in held.items():
                given = weights[name].to(tensor.device)
                if number == 0:
                    tensor.copy_(given)
                    if tensor.is_floating_point() and term.coefficient != 1.0:
                        tensor.mul_(term.coefficient)
                elif tensor.is_floating_point():
                    tensor.add_(given, alpha=term.coefficient)


def _check(stage: str | None, weights: Weights, expected: Weights) -> None:
    """Refuse an encoder that is not of the same architecture and shape."""
    source = f"the encoder of stage {stage}" if stage else "the published encoder"
    for name in (*expected, *weights):
        shape, other = (tuple(w[name].shape) if name in w else None for w in (expected, weights))
        if shape != other:
            raise ModelError(
                f"{source} cannot be merged: its {name} has {_words(other)}, and in the encoder that "
                f"it is merged into {_words(shape)}. Merge stages of one model and one vocabulary."
            )


def _words(shape: tuple[int, ...] | None) -> str:
    return "no values" if shape is None else f"shape {shape}"
