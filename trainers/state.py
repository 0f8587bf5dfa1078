"""What a training stage needs to go on exactly where it stopped.

A :class:`Learner` is the encoder (or the adapter in it), one head per task and the optimiser.
:class:`Progress` says how far it has come. A :class:`Snapshot` is both as tensors on the host, and lies
on disk as ``state.safetensors`` (weights and optimiser by parameter name) and ``progress.json``.
Randomness needs no state: it follows from seed and step (``trainers/seeding.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from trainers.adapters import SCALES
from trainers.batches import Position
from trainers.errors import StoreError
from trainers.families import family
from trainers.seeding import seed_everything
from trainers.stage import Optimisation
from trainers.tasks.spec import TaskSpec

_STATE, _PROGRESS = "state.safetensors", "progress.json"


@dataclass(slots=True)
class Progress:
    """How far a training stage has come.

    Attributes:
        step: optimiser steps taken, over the whole chain.
        n_tokens: tokens trained on, without padding, over the whole chain.
        n_padded: the same with padding.
        leg: the leg of the stage that is being run, from 0.
        leg_start_tokens: ``n_tokens`` when that leg began.
        positions: the next batch of each task.
        steps_by_task: optimiser steps each task got.
        oom_splits: how often memory ran out and batches were cut into smaller parts, in this stage.
        part_tokens: by task, tokens with padding that go through the model at once in this stage; none
            for a task whose micro-batches go whole.
    """

    step: int = 0
    n_tokens: int = 0
    n_padded: int = 0
    leg: int = 0
    leg_start_tokens: int = 0
    positions: dict[str, Position] = field(default_factory=dict)
    steps_by_task: dict[str, int] = field(default_factory=dict)
    oom_splits: int = 0
    part_tokens: dict[str, int] = field(default_factory=dict)

    def begin_stage(self) -> None:
        """Mark that another stage goes on from here."""
        self.leg, self.oom_splits, self.part_tokens = 0, 0, {}

    def begin_leg(self, leg: int) -> None:
        """Mark that ``leg`` begins here."""
        self.leg, self.leg_start_tokens = leg, self.n_tokens

    def copy(self) -> Progress:
        """An independent copy."""
        return replace(
            self,
            positions=dict(self.positions),
            steps_by_task=dict(self.steps_by_task),
            part_tokens=dict(self.part_tokens),
        )

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """The progress that :meth:`to_json` wrote."""
        fields = json.loads(text)
        positions = {task: Position(**at) for task, at in fields.pop("positions").items()}
        return cls(**fields, positions=positions)


class Learner:
    """An encoder, one head per task, and AdamW over both.

    Args:
        encoder: on its device, in float32; of it is trained what ``requires_grad``.
        tasks: those trained together; each gets the head of its family, freshly made from ``seed``.
        width: of the encoder.
        optimisation: how to step.
        seed: of the stage.
    """

    def __init__(
        self,
        encoder: nn.Module,
        tasks: Sequence[TaskSpec],
        *,
        width: int,
        optimisation: Optimisation,
        seed: int,
    ) -> None:
        self.encoder = encoder
        self.heads = nn.ModuleDict(dict(make_head(task, width, seed) for task in tasks))
        self.device = next(encoder.parameters()).device
        self.heads.to(self.device)
        named = list(self.named_parameters())
        groups: list[dict[str, Any]] = [
            {"params": [weight for name, weight in named if _decays(name, weight)]},
            {"params": [w for name, w in named if not _decays(name, w)], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(
            groups,
            lr=optimisation.learning_rate,
            betas=(0.9, 0.98),  # with eps: as RoBERTa and XLM-R were trained, arXiv:1907.11692
            eps=1e-6,
            weight_decay=optimisation.weight_decay,
            fused=True,
        )

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every trained parameter once, under a name that is the same in every process."""
        for name, parameter in self.encoder.named_parameters():
            if parameter.requires_grad:
                yield f"encoder.{name}", parameter
        for name, parameter in self.heads.named_parameters():
            yield f"heads.{name}", parameter

    def take_head(self, task: str, earlier: nn.Module) -> None:
        """Start the head of ``task`` from ``earlier``, the head of another, if they are of one shape."""
        shapes = [
            {name: weight.shape for name, weight in head.state_dict().items()}
            for head in (self.heads[task], earlier)
        ]
        if shapes[0] == shapes[1]:
            self.heads[task].load_state_dict(earlier.state_dict())

    def assert_float32(self) -> None:
        """Refuse weights in half precision: small updates would be lost in them."""
        for name, parameter in self.named_parameters():
            if parameter.dtype != torch.float32:
                raise TypeError(f"{name} is {parameter.dtype}; weights are trained in float32")


def _decays(name: str, weight: nn.Parameter) -> bool:
    """Whether a weight is pulled towards zero.

    One dimension means bias or LayerNorm: shrinking those changes scale, not capacity. A scale of
    (IA)^3 has two and changes nothing at one, not at zero.
    """
    return weight.ndim > 1 and not name.endswith(SCALES)


def make_head(task: TaskSpec, width: int, seed: int) -> tuple[str, nn.Module]:
    """The task's name and its fresh head, a function of ``(seed, task)`` alone."""
    seed_everything(seed, "head", task.name)
    return task.name, family(task.family).make_head(width, task)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A learner and its progress at one moment, on the host."""

    tensors: dict[str, torch.Tensor]
    progress: Progress

    @classmethod
    def of(cls, learner: Learner, progress: Progress) -> Snapshot:
        """A copy that later steps do not change."""
        tensors = {}
        for name, parameter in learner.named_parameters():
            tensors[f"weight/{name}"] = _on_host(parameter)
            for slot, value in learner.optimiser.state.get(parameter, {}).items():
                tensors[f"{slot}/{name}"] = _on_host(value)
        return cls(tensors, progress.copy())

    def restore(self, learner: Learner) -> Progress:
        """Put the weights and the optimiser's state back; returns a copy of the progress."""
        slots: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in self.tensors.items():
            slot, _, name = key.partition("/")
            slots.setdefault(name, {})[slot] = tensor
        learner.optimiser.state.clear()
        with torch.no_grad():
            for name, parameter in learner.named_parameters():
                kept = slots[name]
                parameter.copy_(kept.pop("weight"))
                if kept:
                    learner.optimiser.state[parameter] = {
                        slot: value.to(parameter.device, copy=True) for slot, value in kept.items()
                    }
        return self.progress.copy()

    def save(self, folder: Path) -> None:
        """Write the snapshot into ``folder``, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.tensors, folder / _STATE)
        (folder / _PROGRESS).write_text(self.progress.to_json())

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """The snapshot that :meth:`save` wrote.

        Raises:
            StoreError: ``folder`` holds none.
        """
        if not (folder / _PROGRESS).is_file():
            raise StoreError(
                f"{folder} holds no training state to continue from. Drop the stage it belongs to and "
                "run it again: only its final model was kept."
            )
        progress = Progress.from_json((folder / _PROGRESS).read_text())
        try:
            return cls(load_file(folder / _STATE), progress)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"cannot read the training state in {folder}: {error}. Drop the stage it belongs to and "
                "run it again."
            ) from error


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()
