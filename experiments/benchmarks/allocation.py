"""How well a budget is spent: searches replayed on recorded tables, beside what others would do.

    python -m experiments.benchmarks.allocation --table FILE [--json] [--quick] [--seeds 20]
        [--budgets 5] [--largest 0.25] [--devices 2] [--ablate] [--no-peers] [--out FOLDER]

``FILE`` is a table of ``interlude table record``, or a folder with the published RegMix runs. Budgets
are a share of the device time of everything that a search could run, halved again and again. Figures
are defined in docs/methods.md, "Allocation benchmark".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as Grid

from experiments.benchmarks.allocation_figures import Row
from experiments.benchmarks.allocation_runs import LARGEST, OURS, Outcome, measured
from experiments.benchmarks.allocation_world import opened
from scheduler.errors import TableError

_HOUR_MS = 3_600_000


def show(outcome: Outcome, console: Console) -> None:
    """Print the figures, a table per budget."""
    world = outcome.world
    for line in world.left_out:
        console.print(f"{world.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    for ms, share in outcome.ratios.items():
        console.print(_grid(ms, [r for r in outcome.rows if r.budget_ms == ms]))
        console.print(
            f"{OURS.name} is worth what {outcome.baseline} is with all of the budget after "
            f"{_share(share.value)} of it (95 %: {_share(share.low)} to {_share(share.high)})",
            highlight=False,
        )


def _grid(budget_ms: int, rows: Sequence[Row]) -> Grid:
    grid = Grid(
        title=f"{budget_ms / _HOUR_MS:.4g} device-hours, {rows[0].n_runs} runs", title_justify="left"
    )
    for name in (
        "method",
        "regret, points",
        "hypervolume",
        "overspent",
        "repeated",
        "ask ms, p50",
        "p99",
    ):
        grid.add_column(name, justify="left" if name == "method" else "right")
    for r in rows:
        asks = [f"{ms:.2f}" for ms in r.decision_ms] if r.decision_ms else ["", ""]
        grid.add_row(
            r.method,
            f"{r.regret.value:.3f} ({r.regret.low:.3f} to {r.regret.high:.3f})",
            f"{r.hypervolume.value:.3f}" if r.hypervolume else "",
            f"{r.overspent_ms / r.budget_ms:.1%}",
            f"{r.repeated_ms / r.budget_ms:.1%}",
            *asks,
        )
    return grid


def _share(value: float) -> str:
    return f"{value:.2f}" if value <= 1 else "more than all"


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
@click.option("--ablate", is_flag=True, help="Every sampler under every policy too.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Ray Tune beside ours.")
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
    ablate: bool,
    peers: bool,
    out: Path | None,
) -> None:
    """Regret against charged device time on recorded tables."""
    console, told = Console(), Console(stderr=True)
    found = []
    for path in tables:
        try:
            world = opened(path)
        except TableError as error:
            raise click.ClickException(str(error)) from error
        outcome = measured(
            world,
            runs=min(runs, 2) if quick else runs,
            budgets=min(budgets, 2) if quick else budgets,
            largest=largest,
            devices=devices,
            ablate=ablate,
            peers=peers,
            say=partial(told.print, f"{world.name}:", highlight=False),
        )
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
    largest = {name: by_cap[-1] for name, by_cap in outcome.replays.items()}
    for suffix in ("png", "svg"):
        allocation_plots.regret(folder, outcome.world, largest, suffix)
        allocation_plots.ratios(folder, outcome.world, outcome.ratios, outcome.baseline, suffix)


if __name__ == "__main__":
    main()
