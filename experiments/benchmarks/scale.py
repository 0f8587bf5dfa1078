"""What one driver can do: a study of thousands of recipes on a thousand virtual devices.

    python -m experiments.benchmarks.scale [--json] [--quick] [--recipes 10000] [--devices 1000]
        [--sampler random|structured|tpe] [--stage-s 60] [--journal FILE]

Engine, books, policy and sampler are the real ones, and so is the journal where ``--journal`` names a
file; what stages cost and score follows from their fingerprints. The one driver decides and writes one
thing after another, and virtual time goes on meanwhile: a device whose stage has ended waits until the
driver has booked that and named the next stage. What each figure means is said in docs/scale.md.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.benchmarks.scale_study import SamplerName, TimedEngine, opened
from scheduler.drivers.table import drive_table
from scheduler.trial import Role
from trainers.provenance import environment

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Spread:
    """Times in milliseconds."""

    n: int
    median: float
    p99: float
    most: float

    @classmethod
    def of(cls, times_s: Iterable[float]) -> Spread:
        """The spread of times in seconds; of none, zeros."""
        ms = 1000 * np.array(list(times_s) or [0.0])
        return cls(len(ms), float(np.median(ms)), float(np.quantile(ms, 0.99)), float(ms.max()))


@dataclass(frozen=True, slots=True)
class Scale:
    """One study's figures.

    Attributes:
        recipes: that were tried; repetitions of finalists are not among them.
        stages: leases granted.
        stage_s: their mean length.
        ask: the whole answer to "what next", without writing; of asks that were answered by a stage.
        proposal: of these, asks that proposed a recipe or promoted one.
        tell: learning what came of a stage, without writing.
        write: one transaction of the journal.
        journal_mb: its size; 0 where it was kept in memory.
        driver_s: all asks, tells and writes.
        wall_h: virtual time from first to last.
        waiting: share of device time spent waiting for the driver.
        peak_mb: of this process, with its imports.
        reason: why it ended.
    """

    sampler: str
    devices: int
    recipes: int
    stages: int
    stage_s: float
    ask: Spread
    proposal: Spread
    tell: Spread
    write: Spread
    journal_mb: float
    driver_s: float
    wall_h: float
    waiting: float
    peak_mb: float
    reason: str


def measured(
    *, recipes: int, devices: int, sampler: SamplerName, stage_s: float, journal: Path | None = None
) -> Scale:
    """Run one study to its end in virtual time.

    Args:
        recipes: to try; the cap pays for about so many, and as many promotions as halving makes.
        devices: at once.
        sampler: who proposes.
        stage_s: mean length of a stage on the first rung.
        journal: an SQLite file, which must not exist; None keeps the journal in memory.
    """
    study = opened(recipes=recipes, devices=devices, sampler=sampler, stage_s=stage_s, journal=journal)
    with study as (engine, writes, stages):
        timed = TimedEngine(engine, writes)
        outcome = drive_table(timed, stages.run, devices, thought_ms=timed.thought_ms)
        roles = [trial.role for trial in engine.state.trials.values()]
    decided = [one for one in timed.asks if one.started]
    return Scale(
        sampler,
        devices,
        len(roles) - roles.count(Role.FINAL),
        stages.n,
        stages.total_ms / 1000 / max(1, stages.n),
        Spread.of(one.took_s for one in decided),
        Spread.of(one.took_s for one in decided if one.began),
        Spread.of(timed.tells_s),
        Spread.of(writes.times_s),
        journal.stat().st_size / _MB if journal else 0.0,
        timed.total_s,
        outcome.wall_ms / 3_600_000,
        outcome.waited_ms / max(1, outcome.wall_ms * devices),
        _peak_mb(),
        outcome.reason,
    )


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MB if sys.platform == "darwin" else peak * 1024 / _MB


def show(scale: Scale, console: Console) -> None:
    """Print one study's figures."""
    table = Table("decision", "number", "median ms", "p99 ms", "most ms")
    for name in ("ask", "proposal", "tell", "write"):
        spread: Spread = getattr(scale, name)
        table.add_row(
            name, str(spread.n), f"{spread.median:.2f}", f"{spread.p99:.2f}", f"{spread.most:.1f}"
        )
    console.print(
        f"{scale.sampler}: {scale.recipes} recipes, {scale.stages} stages of {scale.stage_s:.0f} s "
        f"on {scale.devices} devices, {scale.wall_h:.2f} virtual h, {scale.driver_s:.0f} s of deciding"
    )
    console.print(table)
    console.print(
        f"waiting for the driver {scale.waiting:.3%} of device time, peak {scale.peak_mb:.0f} MB, "
        f"journal {scale.journal_mb:.0f} MB\n{scale.reason}"
    )


@click.command()
@click.option("--recipes", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--devices", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--sampler", type=click.Choice(get_args(SamplerName)), default="random", show_default=True)
@click.option("--stage-s", type=click.FloatRange(0.1), default=60.0, show_default=True)
@click.option("--journal", type=click.Path(path_type=Path, exists=False), help="A new SQLite file.")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on standard output.")
@click.option("--quick", is_flag=True, help="200 recipes on 20 devices.")
def main(
    *,
    recipes: int,
    devices: int,
    sampler: SamplerName,
    stage_s: float,
    journal: Path | None,
    as_json: bool,
    quick: bool,
) -> None:
    """Decision times, memory and waiting devices of one large study in virtual time."""
    if quick:
        recipes, devices = min(recipes, 200), min(devices, 20)
    if journal is not None and journal.exists():
        raise click.ClickException(f"{journal} is there already; name a file that is not")
    scale = measured(recipes=recipes, devices=devices, sampler=sampler, stage_s=stage_s, journal=journal)
    if as_json:
        click.echo(json.dumps({**asdict(scale), "environment": environment()}, indent=1))
    else:
        show(scale, Console())


if __name__ == "__main__":
    main()
