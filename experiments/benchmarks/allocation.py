"""How well a budget is spent: searches replayed on recorded tables, beside what others would do.

    python -m experiments.benchmarks.allocation --table FILE [--json] [--quick] [--seeds 20]
        [--budgets 5] [--largest 0.25] [--devices 2] [--peers none|ray|syne|all] [--out FOLDER]

``FILE`` is a table of ``interlude table record``, or a folder with the published RegMix runs. Budgets
are a share of the device time of everything that a search could run, halved again and again. Syne Tune
needs ``pip install 'interlude-scheduler[peers]'``. Figures are defined in docs/methods.md, "Allocation
benchmark".
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import cast, get_args

import click
from rich.console import Console

from budgets.errors import SpecError
from experiments.benchmarks.allocation_runs import LARGEST, Outcome, Peers, Settings, measured
from experiments.benchmarks.allocation_show import show
from experiments.benchmarks.allocation_world import opened
from scheduler.errors import TableError

_WIDTH = 150  # characters, in a file or a pipe


@click.command()
@click.option(
    "--table", "tables", type=click.Path(exists=True, path_type=Path), multiple=True, required=True
)
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON on standard output.")
@click.option("--quick", is_flag=True, help="Two runs, two budgets.")
@click.option(
    "--seeds", "runs", type=click.IntRange(1), default=20, show_default=True, help="Runs of each."
)
@click.option("--budgets", type=click.IntRange(1, 12), default=5, show_default=True)
@click.option(
    "--largest",
    type=click.FloatRange(0, 1, min_open=True),
    default=LARGEST,
    show_default=True,
    help="The last budget, as a share of everything.",
)
@click.option("--devices", type=click.IntRange(1, 1000), default=2, show_default=True)
@click.option(
    "--peers",
    type=click.Choice(get_args(Peers)),
    default="ray",
    show_default=True,
    help="Who runs beside ours: Ray Tune, Syne Tune (an extra), or both.",
)
@click.option(
    "--processes", type=click.IntRange(1), default=os.cpu_count() or 1, help="Searches at once."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the figures, PNG and SVG.")
def main(
    tables: tuple[Path, ...],
    *,
    as_json: bool,
    quick: bool,
    runs: int,
    budgets: int,
    largest: float,
    devices: int,
    peers: str,
    processes: int,
    out: Path | None,
) -> None:
    """Regret against charged device time on recorded tables."""
    console, told = Console(width=None if sys.stdout.isatty() else _WIDTH), Console(stderr=True)
    most = 2 if quick else max(runs, budgets)
    settings = Settings(
        runs=min(runs, most),
        budgets=min(budgets, most),
        largest=largest,
        devices=devices,
        peers=cast(Peers, peers),
        processes=processes,
    )
    found = []
    for path in tables:
        try:
            world = opened(path)
        except (SpecError, TableError) as error:
            raise click.ClickException(str(error)) from error
        outcome = measured(world, settings, partial(told.print, f"{world.name}:", highlight=False))
        found.append(outcome.to_json())
        if not as_json:
            show(outcome, console)
        if out is not None:
            _draw(outcome, out)
    if as_json:
        click.echo(json.dumps(found, indent=1))


def _draw(outcome: Outcome, folder: Path) -> None:
    from experiments.benchmarks import allocation_plots

    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        allocation_plots.draw(folder, outcome, suffix)


if __name__ == "__main__":
    main()
