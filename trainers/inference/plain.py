"""Plain timing: one sample after another on this process's own clock, no load generator.

Every sample is asked once, in an order that does not depend on its language, after a few that warm the
device up; time is what passes from the samples in memory to the answer in memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from trainers.evaluate import DeadlinePassed, batch_rows
from trainers.inference.footprint import joules, memory_bytes
from trainers.memory import model_bytes

if TYPE_CHECKING:
    from trainers.inference.answering import Answering

_WARM_UP = 5
_PERCENTILES = (50, 90, 99)


@dataclass(slots=True)
class Timed:
    """What the plain timing found.

    Attributes:
        facts: by name, with units.
        numbers: of the samples that were asked, in that order.
        latencies_ms: of each.
    """

    facts: dict[str, float] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def table(self, model: Answering) -> pa.Table:
        """A row per sample: ``language``, ``example``, ``n_tokens``, ``latency_ms``."""
        asked = [model.samples[number] for number in self.numbers]
        ids = [model.cells[one.cell].columns["id"][one.rows[0]["example"]] for one in asked]
        return pa.table(
            {
                "language": [model.cells[one.cell].language for one in asked],
                "example": [str(name) for name in ids],
                "n_tokens": [one.n_tokens for one in asked],
                "latency_ms": self.latencies_ms,
            }
        )


def time_plainly(
    model: Answering,
    *,
    at_least_s: float,
    at_most_s: float,
    batch_tokens: int,
    seed: int,
    until: Callable[[], bool],
) -> Timed:
    """Latency of single samples, throughput in batches, memory, energy, tokens.

    Args:
        model: who answers.
        at_least_s: for which batches are asked over and over.
        at_most_s: after which no further single sample is asked.
        batch_tokens: of a batch, for the throughput.
        seed: of the order.
        until: true once the lease is over.

    Raises:
        DeadlinePassed: the lease ended first.
    """
    timed = Timed()
    order: list[int] = np.random.default_rng(seed).permutation(len(model.samples)).tolist()
    longest = max(order, key=lambda number: model.samples[number].n_tokens)
    for number in (longest, *order[:_WARM_UP]):
        model.answers([number])
    timed.facts |= _sizes(model, longest)
    timed.facts["host_load"] = os.getloadavg()[0] / (os.cpu_count() or 1)
    before_j, begun_s = joules(model.device), time.perf_counter()
    for number in order:
        if until():
            raise DeadlinePassed
        asked_s = time.perf_counter()
        model.answers([number])
        ended_s = time.perf_counter()
        timed.numbers.append(number)
        timed.latencies_ms.append(1000 * (ended_s - asked_s))
        if ended_s - begun_s > at_most_s:
            break
    after_j = joules(model.device)
    if before_j is not None and after_j is not None:
        timed.facts["plain_joules_per_sample"] = (after_j - before_j) / len(timed.numbers)
    timed.facts |= _latencies(model, timed)
    timed.facts |= _throughput(model, at_least_s, batch_tokens, until)
    return timed


def _sizes(model: Answering, longest: int) -> dict[str, float]:
    return {
        "model_bytes": float(model_bytes(model.encoder, model.head)),
        "memory_bytes": float(
            memory_bytes(lambda: model.answers([longest]), model.device, model.encoder, model.head)
        ),
    }


def _latencies(model: Answering, timed: Timed) -> dict[str, float]:
    """Percentiles of all samples, and of each language its median and its tokens."""
    facts = {f"plain_{name}": ms for name, ms in _percentiles(timed.latencies_ms).items()}
    facts["plain_mean_ms"] = fmean(timed.latencies_ms)
    facts["n_samples"] = float(len(model.samples))
    facts["tokens_per_sample"] = fmean(sample.n_tokens for sample in model.samples)
    cells = np.array([model.samples[number].cell for number in timed.numbers])
    latencies = np.array(timed.latencies_ms)
    for i, cell in enumerate(model.cells):
        own = [sample.n_tokens for sample in model.samples if sample.cell == i]
        facts[f"tokens_per_sample/{cell.language}"] = fmean(own)
        if (cells == i).any():
            facts[f"plain_p50_ms/{cell.language}"] = float(np.percentile(latencies[cells == i], 50))
    return facts


def _percentiles(latencies_ms: Sequence[float]) -> dict[str, float]:
    return {f"p{p}_ms": float(np.percentile(latencies_ms, p)) for p in _PERCENTILES}


def _throughput(
    model: Answering, at_least_s: float, batch_tokens: int, until: Callable[[], bool]
) -> dict[str, float]:
    """All samples in batches, the longest first, again and again until the time is up.

    The first round warms the device up and is not counted.

    Raises:
        DeadlinePassed: the lease ended first.
    """
    lengths = [sample.n_tokens for sample in model.samples]
    batches = list(batch_rows(lengths, batch_tokens))
    n_passes, begun_s = -1, time.perf_counter()
    while n_passes < 1 or time.perf_counter() - begun_s < at_least_s:
        for numbers in batches:
            if until():
                raise DeadlinePassed
            model.answers(numbers)
        n_passes += 1
        begun_s = begun_s if n_passes else time.perf_counter()
    took_s = time.perf_counter() - begun_s
    return {
        "plain_tokens_per_s": n_passes * sum(lengths) / took_s,
        "plain_samples_per_s": n_passes * len(lengths) / took_s,
    }
