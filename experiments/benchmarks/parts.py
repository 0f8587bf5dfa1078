"""``python -m experiments.benchmarks.parts``: what each part of our stage loop brings.

    gain of a part = tokens per second with it / without it, run one after the other

Without a part means the loop with that part alone put back to what a plain training loop does:

    length     batches of rows in random order, cut by the same token budget
    ahead      a batch is drawn when its step begins, not by a thread during the step before
    fused      AdamW tensor by tensor, torch's default on a CPU
    attention  attention as plain matrix products
    labelled   masked text: the vocabulary is scored at every token, not at the masked ones alone
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import click
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.cases import CASES
from experiments.benchmarks.shapes import SHAPES

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from experiments.benchmarks.compare import Spread
    from experiments.benchmarks.runs import Workload

_STEPS, _REPETITIONS, _WARM_STEPS = 30, 7, 4


@dataclass(frozen=True, slots=True)
class Gain:
    """What one part brings in one family: tokens per second with it by those without it."""

    family: str
    part: str
    gain: Spread


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--device", default=None, help="cpu or cuda; by default the GPU, where there is one.")
@click.option("--family", "families", multiple=True, type=click.Choice(list(CASES)), help="Only these.")
@click.option("--model", type=click.Choice(list(SHAPES)), default="mini", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=_STEPS, show_default=True)
@click.option("--repetitions", type=click.IntRange(min=1), default=_REPETITIONS, show_default=True)
def main(
    *,
    as_json: bool,
    device: str | None,
    families: Sequence[str],
    model: str,
    steps: int,
    repetitions: int,
) -> None:
    """Measure what each part of the stage loop brings, family by family."""
    import torch

    on = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    gains = []
    for family_name in families or CASES:
        click.echo(f"{model}, {family_name} …", err=True)
        gains += gains_of(family_name, model, on, n_steps=steps, n_repetitions=repetitions)
    if as_json:
        click.echo(json.dumps([asdict(gain) for gain in gains], indent=1))
        return
    table = Table("family", "part", "with / without")
    for gain in gains:
        spread = gain.gain
        table.add_row(
            gain.family, gain.part, f"{spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f})"
        )
    (Console() if sys.stdout.isatty() else Console(width=160)).print(table)


def gains_of(
    family_name: str, model: str, device: torch.device, *, n_steps: int, n_repetitions: int
) -> list[Gain]:
    """The gain of every part that the family uses; each repetition runs the loop with and without."""
    from experiments.benchmarks.compare import Spread
    from experiments.benchmarks.runs import Workload, ours

    work = Workload(CASES[family_name], SHAPES[model], device, n_steps)
    ours(work, 0, min(_WARM_STEPS, n_steps))
    gains = []
    for part, without in PARTS.items():
        if part == "labelled" and family_name != "masked":
            continue
        ratios = []
        for repetition in range(n_repetitions):
            whole = ours(work, repetition + 1, n_steps)
            with without(work):
                less = ours(work, repetition + 1, n_steps)
            ratios.append(whole.tokens_per_s / less.tokens_per_s)
        gains.append(Gain(family_name, part, Spread.of(ratios)))
    return gains


@contextmanager
def _random_order(work: Workload) -> Iterator[None]:
    del work

    def packed(
        lengths: NDArray[np.int64], batch_tokens: int, generator: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        import numpy as np

        order = generator.permutation(len(lengths))
        cuts, begin, longest = [], 0, 0
        for place, length in enumerate(lengths[order].tolist()):
            longest = max(longest, length)
            if place > begin and (place - begin + 1) * longest > batch_tokens:
                cuts.append(place)
                begin, longest = place, length
        return np.split(order, cuts)

    with patch("trainers.batches._packed", packed):
        yield


class _NoThread:
    """In the place of the thread: what is asked for is done when its result is wanted."""

    def __init__(self, **_: object) -> None:
        """Needs nothing."""

    def submit(self, draw: Callable[[Any], Any], place: object) -> Future[Any]:
        """The draw, not yet made."""
        return _Later(draw, place)

    def shutdown(self, **_: object) -> None:
        """There is nothing to stop."""


class _Later(Future[Any]):
    def __init__(self, draw: Callable[[Any], Any], place: object) -> None:
        super().__init__()
        self._draw, self._place = draw, place

    def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - as its base has it
        """Draw now."""
        if not self.done():
            self.set_result(self._draw(self._place))
        return super().result(timeout)


@contextmanager
def _drawn_in_the_step(work: Workload) -> Iterator[None]:
    del work
    with patch("trainers.drawing.ThreadPoolExecutor", _NoThread):
        yield


@contextmanager
def _adamw_by_tensor(work: Workload) -> Iterator[None]:
    import torch

    del work
    adamw = torch.optim.AdamW

    def plain(*args: Any, **settings: Any) -> torch.optim.Optimizer:  # noqa: ANN401 - AdamW's own
        return adamw(*args, **{**settings, "fused": False, "foreach": False})

    with patch("torch.optim.AdamW", plain):
        yield


@contextmanager
def _plain_attention(work: Workload) -> Iterator[None]:
    work.encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        work.encoder.set_attn_implementation("sdpa")


@contextmanager
def _scored_everywhere(work: Workload) -> Iterator[None]:
    import torch
    from torch import nn

    from trainers.families.sequences import encode_batch

    def loss(encoder: nn.Module, head: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        hidden_ND = head(encode_batch(encoder, dict(batch)).flatten(0, 1))
        logits_NV = nn.functional.linear(hidden_ND, encoder.get_input_embeddings().weight)  # type: ignore[operator]
        targets_N = torch.full_like(batch["input_ids"].flatten(), -100)
        targets_N[batch["positions"]] = batch["targets"]
        return nn.functional.cross_entropy(logits_NV.float(), targets_N)

    with patch.object(type(work.family), "loss", staticmethod(loss)):
        yield


PARTS: Mapping[str, Callable[[Workload], AbstractContextManager[None]]] = {
    "length": _random_order,
    "ahead": _drawn_in_the_step,
    "fused": _adamw_by_tensor,
    "attention": _plain_attention,
    "labelled": _scored_everywhere,
}


if __name__ == "__main__":
    main()
