"""Our loop against ``Trainer``, interleaved: ratios of trained tokens per second, and when they count.

    ratio of a repetition = our tokens per second / theirs, run one after the other

A ratio is void where the two do not learn the same: where the ranges over the repetitions of the loss on
held-out rows do not meet. Of two samples of n from one distribution that happens with a chance of
2 / (2n choose n), 0.8 % for five repetitions. It is void with one repetition, which has no range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from experiments.benchmarks.cases import CASES, sequence_lengths
from experiments.benchmarks.peers import Peer, Way, compiler_fault
from experiments.benchmarks.runs import Run, Workload, ours
from experiments.benchmarks.shapes import Shape, ops_per_token
from trainers.families.masked import MASKED_SHARE
from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    import torch

OURS = "ours"
_WARM_STEPS = 4
_LEAST_SEEDS = 2


@dataclass(frozen=True, slots=True)
class Spread:
    """Some numbers, by their median and range."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Of at least one number."""
        return cls(median(numbers), min(numbers), max(numbers))

    def meets(self, other: Spread) -> bool:
        """Whether the ranges have a number in common."""
        return self.least <= other.most and other.least <= self.most


@dataclass(frozen=True, slots=True)
class Figures:
    """What the runs of one way came to.

    Attributes:
        tokens_per_s: trained tokens.
        n_tokens: trained in a run, the median.
        padding_share: of what went through the model, over all runs, 0 to 1.
        peak_bytes: the most of any run; None where nobody can say.
        loss: on held-out rows after a run.
        matrix_share: of the device's matrix rate that trained tokens alone took, the median, 0 to 1.
    """

    tokens_per_s: Spread
    n_tokens: float
    padding_share: float
    peak_bytes: int | None
    loss: Spread
    matrix_share: float

    @classmethod
    def of(cls, runs: Sequence[Run], ops: float, matrix_ops_per_s: float) -> Figures:
        """The figures of at least one run; ``ops`` of a trained token."""
        tokens_per_s = Spread.of([run.tokens_per_s for run in runs])
        peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
        return cls(
            tokens_per_s=tokens_per_s,
            n_tokens=median(run.n_tokens for run in runs),
            padding_share=1.0 - sum(run.n_tokens for run in runs) / sum(run.n_padded for run in runs),
            peak_bytes=max(peaks, default=None),
            loss=Spread.of([run.loss for run in runs]),
            matrix_share=tokens_per_s.median * ops / matrix_ops_per_s,
        )


@dataclass(frozen=True, slots=True)
class Against:
    """Our loop against one way of setting ``Trainer``.

    Attributes:
        figures: theirs; None where the way was not run.
        ratio: ours by theirs, paired by repetition; None where the way was not run.
        void: why the ratio does not count; empty where it does.
        skipped: why the way was not run; empty where it was.
    """

    figures: Figures | None = None
    ratio: Spread | None = None
    void: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One family on one encoder: our figures, and each way's beside them."""

    family: str
    shape: str
    ops_per_token: float
    ours: Figures
    against: Mapping[str, Against]


def compare(
    family_name: str,
    shape: Shape,
    ways: Sequence[Way],
    *,
    device: torch.device,
    n_steps: int,
    n_repetitions: int,
    matrix_ops_per_s: float,
) -> Result:
    """Run every way as often as asked, in turns, after a run of each that is not counted."""
    import torch

    work = Workload(CASES[family_name], shape, device, n_steps)
    skipped = {way: fault for way in ways if (fault := _fault(way, device))}
    if Way.COMPILED in ways and Way.COMPILED not in skipped:
        torch.compiler.reset()  # else the variants that other families compiled count towards the limit
    runners: dict[str, Callable[[int, int], Run]] = {OURS: lambda seed, steps: ours(work, seed, steps)}
    for way in ways:
        if way not in skipped:
            runners[way] = Peer(work, way).run
    for name, run in runners.items():
        # What is compiled is compiled again for some shapes: let that be over before it counts.
        run(0, n_steps if name == Way.COMPILED else min(_WARM_STEPS, n_steps))
    runs: dict[str, list[Run]] = {name: [] for name in runners}
    for repetition in range(n_repetitions):
        for name, run in runners.items():
            runs[name].append(run(repetition + 1, n_steps))
    ops = _ops(work)
    figures = {name: Figures.of(done, ops, matrix_ops_per_s) for name, done in runs.items()}
    return Result(
        family=family_name,
        shape=shape.name,
        ops_per_token=ops,
        ours=figures[OURS],
        against={
            way.value: Against(skipped=skipped[way])
            if way in skipped
            else Against(figures[way], ratios(runs[OURS], runs[way]), void(runs[OURS], runs[way]))
            for way in ways
        },
    )


def ratios(mine: Sequence[Run], theirs: Sequence[Run]) -> Spread:
    """Our tokens per second by theirs, repetition by repetition."""
    return Spread.of(
        [one.tokens_per_s / other.tokens_per_s for one, other in zip(mine, theirs, strict=True)]
    )


def void(mine: Sequence[Run], theirs: Sequence[Run]) -> str:
    """Why a ratio does not count, with the losses; empty where it does."""
    if len(mine) < _LEAST_SEEDS:
        return f"{len(mine)} repetition shows no spread of the loss; {_LEAST_SEEDS} are needed"
    if not all(math.isfinite(run.loss) for run in (*mine, *theirs)):
        return "a loss is not a finite number"
    losses = [Spread.of([run.loss for run in runs]) for runs in (mine, theirs)]
    if losses[0].meets(losses[1]):
        return ""
    ranges = [f"{loss.least:.4g} to {loss.most:.4g}" for loss in losses]
    return f"the losses differ: ours {ranges[0]}, theirs {ranges[1]}"


def _fault(way: Way, device: torch.device) -> str:
    return compiler_fault(device) if way is Way.COMPILED else ""


def _ops(work: Workload) -> float:
    """Operations that a trained token of the workload takes."""
    lengths = sequence_lengths(work.features).astype(np.float64)
    predicted_share = MASKED_SHARE if work.case.family is FamilyName.MASKED else 0.0
    mean_length = float((lengths**2).sum() / lengths.sum())
    return ops_per_token(work.encoder, mean_length, predicted_share)
