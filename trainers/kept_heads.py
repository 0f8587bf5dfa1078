"""The heads that stages trained: written beside their encoder, and those of the last stage at hand.

A file holds the weights of all heads of a stage under ``<task>.<weight>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from trainers.checkpoints import StageStore
from trainers.errors import ModelError
from trainers.state import make_head
from trainers.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import nn

HEADS = "heads.safetensors"


def save_heads(heads: nn.ModuleDict, folder: Path) -> None:
    """Write the heads of a stage into its folder."""
    weights = heads.state_dict()
    save_file({name: weight.cpu().contiguous() for name, weight in weights.items()}, folder / HEADS)


class KeptHeads:
    """Heads by the stage that trained them; those of the stage kept last are read from no file.

    Args:
        store: of stages.
        device: where heads are wanted.
    """

    def __init__(self, store: StageStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._last: tuple[str, nn.ModuleDict] | None = None

    def keep(self, stage: str, heads: nn.ModuleDict) -> None:
        """Note that ``heads`` are now what the finished ``stage`` saved."""
        self._last = (stage, heads)

    def head(self, task: TaskSpec, width: int, parent: str | None) -> nn.Module:
        """The head of ``task`` that ``parent`` trained; one without weights needs no parent.

        Raises:
            ModelError: the task needs a trained head and ``parent`` has none.
        """
        _, head = make_head(task, width, 0)
        if not head.state_dict():
            return head
        if self._last is not None and self._last[0] == parent and task.name in self._last[1]:
            return self._last[1][task.name]
        file = self._store.open(parent) / HEADS if parent else None
        kept = load_file(file) if file is not None and file.is_file() else {}
        prefix = f"{task.name}."
        weights = {key.removeprefix(prefix): kept[key] for key in kept if key.startswith(prefix)}
        if not weights:
            raise ModelError(
                f"{task.name} needs a head that was trained and {parent or 'the published model'} has "
                "none. Evaluate the target stage of that task."
            )
        head.load_state_dict(weights)
        return head.to(self._device)
