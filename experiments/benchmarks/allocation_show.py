"""The figures of a table as text: a grid per budget, and what each part of ours brings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Grid

from experiments.benchmarks.allocation_figures import Brought, Estimate, Row
from experiments.benchmarks.allocation_runs import OURS, Outcome

_HOUR_MS = 3_600_000


def show(outcome: Outcome, console: Console) -> None:
    """Print the figures."""
    world = outcome.world
    for line in world.left_out:
        console.print(f"{world.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    for budget_ms in dict.fromkeys(row.budget_ms for row in outcome.rows):
        rows = [row for row in outcome.rows if row.budget_ms == budget_ms]
        console.print(_grid(budget_ms, rows))
        (ours,) = (row.reached for row in rows if row.method == OURS.name)
        console.print(
            f"{OURS.name} is worth what {outcome.baseline} is with all of the budget after "
            f"{_share(ours.value)} of it (95 %: {_share(ours.low)} to {_share(ours.high)})\n",
            highlight=False,
        )
    console.print(_parts(outcome.parts))
    console.print(_time_taken(outcome), highlight=False)


def _grid(budget_ms: int, rows: Sequence[Row]) -> Grid:
    title = f"{budget_ms / _HOUR_MS:.4g} device-hours, {rows[0].n_runs} runs"
    grid = Grid(title=title, title_justify="left")
    grid.add_column("method")
    for name in (
        "regret, points",
        "hypervolume",
        "hours to the baseline",
        "overspent",
        "repeated",
        "ask ms, p50",
        "p99",
    ):
        grid.add_column(name, justify="right")
    for r in rows:
        asks = [f"{ms:.2f}" for ms in r.decision_ms] if r.decision_ms else ["", ""]
        grid.add_row(
            r.method,
            _interval(r.regret),
            _interval(r.hypervolume) if r.hypervolume else "",
            _hours(r.reached, budget_ms),
            f"{r.overspent_ms / r.budget_ms:.1%}",
            f"{r.repeated_ms / r.budget_ms:.1%}",
            *asks,
        )
    return grid


def _parts(parts: Sequence[Brought]) -> Grid:
    """Shares below 1 and regret above 0 say that the part helps."""
    grid = Grid(title="What each part brings: ours beside ours without it", title_justify="left")
    grid.add_column("without")
    for name in ("device-hours", "share that is enough for ours", "more regret without, points"):
        grid.add_column(name, justify="right")
    for one in parts:
        enough = one.enough
        grid.add_row(
            one.part,
            f"{one.budget_ms / _HOUR_MS:.4g}",
            f"{_share(enough.value)} ({_share(enough.low)} to {_share(enough.high)})",
            _interval(one.regret),
        )
    return grid


def _time_taken(outcome: Outcome) -> str:
    longest = sorted(outcome.search_s.items(), key=lambda item: -item[1])
    lines = [f"{outcome.world.name}: {outcome.wall_s:.0f} s in all. Searches, added up:"]
    lines += [f"  {name}: {seconds:.0f} s" for name, seconds in longest]
    if outcome.slept_share is not None:
        lines.append(
            f"Ray Tune's trials slept at least {outcome.slept_share:.0%} of the time that their workers "
            "had; the rest is Ray's own"
        )
    return "\n".join(lines)


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _hours(share: Estimate, budget_ms: int) -> str:
    value, low, high = (
        f"{x * budget_ms / _HOUR_MS:.3g}" if math.isfinite(x) else "never"
        for x in (share.value, share.low, share.high)
    )
    return f"{value} ({low} to {high})"


def _share(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "more than all"
