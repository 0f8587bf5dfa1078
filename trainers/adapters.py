"""An adapter in an encoder: the few weights that are trained in place of the encoder's own.

    lora         W x + (alpha / r) B A x     queries and values, r = 8, alpha = 16
    ia3          l * (W x) and W (l * x)     keys and values; the inner side of each feed-forward block
    bottleneck   h + U relu(D h)             behind each feed-forward block (trainers/bottleneck.py)

The encoder is frozen and changed in place: it is called as before, and :meth:`Adapter.detach` leaves
it as it was, to the bit. LoRA and (IA)^3 are PEFT's, and their files are PEFT's too: what
:meth:`Adapter.save` writes is what ``PeftModel.from_pretrained`` reads. They can be folded into the
encoder's weights, which then runs as fast as one without; a bottleneck cannot.

Source: LoRA, Hu et al. 2021, arXiv:2106.09685; (IA)^3, Liu et al. 2022, arXiv:2205.05638.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from trainers.adapter_places import FOLDABLE, TUNINGS, places_of
from trainers.bottleneck import BottleneckModel
from trainers.errors import ModelError, StoreError
from trainers.seeding import seed_everything

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel

RANK, ALPHA = 8, 16  # for RoBERTa large; base had the same rank: Hu et al., table 9
SCALES = ".ia3_l.default"  # what the names of (IA)^3's vectors end with, in the encoder

_NAME = "default"  # PEFT's, of the only adapter of an encoder; its files leave it out
_PREFIX = "base_model.model."  # PEFT's, of every tensor in its files
_WEIGHTS, _RECORD = "adapter_model.safetensors", "adapter.json"  # the first is PEFT's name


class _Tuner(Protocol):
    """What PEFT's models and the bottleneck's have in common."""

    def unload(self) -> nn.Module:
        """Take the adapter out."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a stage that trained an adapter says of it.

    Attributes:
        tuning: its kind.
        base: fingerprint of the stage whose encoder it belongs to; None for the published model.
    """

    tuning: str
    base: str | None


class Adapter:
    """An adapter that sits in ``encoder``; the only one there.

    Args:
        encoder: without adapter, on its device; is changed in place and frozen.
        tuning: kind of adapter.
        seed: of its first weights; whatever it is, a new adapter changes no output.

    Raises:
        ModelError: nobody knows where it sits in this architecture.
    """

    def __init__(self, encoder: PreTrainedModel, tuning: str, *, seed: int) -> None:
        self.encoder = encoder
        self.tuning = tuning
        seed_everything(seed, "adapter", tuning)
        self._tuner, self._config = _put_in(encoder, tuning)

    def weights(self) -> dict[str, torch.Tensor]:
        """Its weights by the names that they have in its file."""
        return {
            _PREFIX + name.replace(f".{_NAME}", ""): parameter
            for name, parameter in self.encoder.named_parameters()
            if parameter.requires_grad
        }

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Give it the values of ``weights``, by the same names.

        Raises:
            ModelError: they are of another adapter.
        """
        own = self.weights()
        shapes = [{name: tuple(t.shape) for name, t in some.items()} for some in (own, weights)]
        if shapes[0] != shapes[1]:
            odd = min(shapes[0].items() ^ shapes[1].items())
            raise ModelError(
                f"these are not the weights of this {self.tuning} adapter: {odd[0]} {odd[1]} is in one "
                "and not in the other. Drop the stage that left them and run it again."
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])

    def save(self, folder: Path, base: str | None) -> None:
        """Write it into ``folder``; what is kept of a stage beside it are its heads."""
        on_host = {name: weight.detach().cpu().contiguous() for name, weight in self.weights().items()}
        save_file(on_host, folder / _WEIGHTS)
        if self._config is not None:
            self._config.save_pretrained(folder)
        (folder / _RECORD).write_text(json.dumps({"tuning": self.tuning, "base": base}))

    def detach(self) -> None:
        """Take it out: the encoder is as it was before, and all of it can be trained."""
        self._tuner.unload()
        self.encoder.requires_grad_(True)

    def fold(self) -> None:
        """Take it out and leave its effect in the encoder's weights.

        Raises:
            ModelError: it is not linear.
        """
        if self.tuning not in FOLDABLE:
            raise ModelError(
                f"a {self.tuning} adapter is not linear and cannot be folded into the encoder's "
                f"weights; {' and '.join(FOLDABLE)} can. Run it as it is."
            )
        self._tuner.merge_and_unload()  # type: ignore[attr-defined]
        self.encoder.requires_grad_(True)


def what_was_left(folder: Path) -> Left | None:
    """The adapter in a stage's folder; None where the stage left a whole encoder."""
    record = folder / _RECORD
    return Left(**json.loads(record.read_text())) if record.is_file() else None


def adapter_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the adapter in a stage's folder, on the host.

    Raises:
        StoreError: they cannot be read.
    """
    try:
        weights: dict[str, torch.Tensor] = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"cannot read the adapter in {folder}: {error}. Drop the stage and run it again."
        ) from error
    return weights


def _put_in(encoder: PreTrainedModel, tuning: str) -> tuple[_Tuner, PeftConfig | None]:
    """A new adapter in ``encoder``, and what PEFT calls its config."""
    kind = encoder.config.model_type
    places = places_of(kind, f"the encoder to tune with {tuning}")
    try:
        if tuning == "bottleneck":
            return BottleneckModel(encoder, places.feed_forward), None
        from peft import IA3Config, IA3Model, LoraConfig, LoraModel

        if tuning == "lora":
            config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=places.queries_values)
            return LoraModel(encoder, config, _NAME), config
        if tuning == "ia3":
            both = f"{places.keys_values}|{places.feed_forward}"
            config = IA3Config(target_modules=both, feedforward_modules=places.feed_forward)
            return IA3Model(encoder, config, _NAME), config
    except ValueError as error:
        raise ModelError(
            f"a {kind} encoder has no layers where a {tuning} adapter sits ({error}). Tune it in full."
        ) from error
    raise ModelError(f"tuning {tuning!r} is not known. Known: {', '.join(TUNINGS)}.")
