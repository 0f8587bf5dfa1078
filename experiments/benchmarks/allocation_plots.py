"""The benchmark as two pictures: regret along the budget, and the share of it that was enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from experiments.benchmarks.allocation_figures import Estimate, band
from experiments.benchmarks.allocation_replay import Replay
from experiments.benchmarks.allocation_world import World
from experiments.drawing import GREY, SERIES, save

_HOUR_MS = 3_600_000
_POINTS = 200


def regret(folder: Path, world: World, replays: Mapping[str, Sequence[Replay]], suffix: str) -> Path:
    """Regret against charged device time, a line and a band per method."""
    path = folder / f"regret-{world.name}.{suffix}"
    save(path, 4.6, partial(_paint_regret, world=world, replays=replays))
    return path


def _paint_regret(figure: Figure, world: World, replays: Mapping[str, Sequence[Replay]]) -> None:
    axes = figure.subplots()
    cap_ms = next(iter(replays.values()))[0].cap_ms
    grid = [int(ms) for ms in np.geomspace(max(world.base_ms(), cap_ms / 200, 1), cap_ms, _POINTS)]
    hours = [ms / _HOUR_MS for ms in grid]
    for i, (name, runs) in enumerate(replays.items()):
        colour, style = SERIES[i % len(SERIES)], ("-", "--", ":")[i // len(SERIES) % 3]
        middle, low, high = band([run.recommended(world) for run in runs], grid, world.best)
        axes.plot(hours, middle, color=colour, linestyle=style, label=name, linewidth=1.6)
        axes.fill_between(hours, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis(FuncFormatter(_hours))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("charged device-hours")
    axes.set_ylabel("regret, points (mean, 95 % band)")
    axes.set_title(f"{world.name}: how far the recommendation is from the best of the table")
    figure.legend(loc="outside lower center", ncols=3)


def _hours(hours: float, place: int | None = None) -> str:
    """Ones, twos and fives of a logarithmic axis, as plain numbers."""
    del place
    return f"{hours:g}" if f"{hours:e}"[0] in "125" else ""


def ratios(
    folder: Path, world: World, by_budget: Mapping[int, Estimate], baseline: str, suffix: str
) -> Path:
    """The share of each budget after which ours is worth what the baseline is after all of it."""
    path = folder / f"ratio-{world.name}.{suffix}"
    save(path, 2.6, partial(_paint_ratios, world=world, by_budget=by_budget, baseline=baseline))
    return path


def _paint_ratios(
    figure: Figure, world: World, by_budget: Mapping[int, Estimate], baseline: str
) -> None:
    axes = figure.subplots()
    for x, estimate in enumerate(by_budget.values()):
        low, value, high = (min(v, 1.15) for v in (estimate.low, estimate.value, estimate.high))
        axes.plot([x, x], [low, high], color=SERIES[0], linewidth=2)
        axes.plot([x], [value], marker="o", color=SERIES[0])
    axes.axhline(0.25, color=GREY, linestyle="--", linewidth=1)
    axes.axhline(1.0, color=GREY, linewidth=1)
    axes.set_ylim(0, 1.2)
    axes.set_xlim(-0.5, len(by_budget) - 0.5)
    axes.set_xticks(range(len(by_budget)), [f"{ms / _HOUR_MS:.3g} h" for ms in by_budget])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1, 1.15], ["0", "¼", "½", "¾", "1", "not reached"])
    axes.set_xlabel("budget, device-hours")
    axes.set_ylabel("share that was enough")
    axes.set_title(f"{world.name}: to be worth what {baseline} is with all of the budget")
