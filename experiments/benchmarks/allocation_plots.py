"""The benchmark as pictures: regret along the budget, what was enough, what each part brings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from experiments.benchmarks.allocation_figures import Estimate, Row, band
from experiments.benchmarks.allocation_replay import Replay
from experiments.benchmarks.allocation_runs import ABLATED, ANEW, LOOKING, OURS, UNSHARED, Outcome
from experiments.benchmarks.allocation_world import World
from experiments.drawing import GREY, INK, SERIES, save

_HOUR_MS = 3_600_000
_POINTS = 200
_COLUMNS = 3
_OURS, _THEIRS = SERIES[0], SERIES[4]
_BEYOND = 1.18  # where a share is drawn that was not reached


def draw(folder: Path, outcome: Outcome, suffix: str) -> None:
    """Every picture of a table into ``folder``."""
    world, by_budget = outcome.world, _by_budget(outcome)
    last = list(by_budget.values())[-1]
    without = {method.name for method in (*ABLATED, ANEW, LOOKING, UNSHARED)}
    others = {name: runs for name, runs in outcome.replays.items() if name not in {OURS.name, *without}}
    rows = math.ceil(len(others) / _COLUMNS)
    pictures: dict[str, tuple[float, Callable[[Figure], None]]] = {
        "regret": (
            1.9 * rows + 0.7,
            partial(_regret, world=world, ours=outcome.replays[OURS.name], others=others),
        ),
        "ratio": (2.6, partial(_ratios, outcome=outcome, by_budget=by_budget)),
        "methods": (0.27 * len(last) + 1.1, partial(_methods, world=world, rows=last)),
        "parts": (
            0.55 * len({one.part for one in outcome.parts}) + 1.3,
            partial(_parts, outcome=outcome),
        ),
    }
    for name, (height_in, paint) in pictures.items():
        save(folder / f"{name}-{world.name}.{suffix}", height_in, paint)


def _by_budget(outcome: Outcome) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in outcome.rows:
        found.setdefault(row.budget_ms, []).append(row)
    return found


# -- regret along the budget -------------------------------------------------------------------------


def _regret(
    figure: Figure,
    world: World,
    ours: Sequence[Sequence[Replay]],
    others: Mapping[str, Sequence[Sequence[Replay]]],
) -> None:
    """A panel for every other method: its line, and ours again."""
    rows = math.ceil(len(others) / _COLUMNS)
    panels = list(figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).flat)
    for axes, (name, theirs) in zip(panels, others.items(), strict=False):
        _line(axes, world, theirs, _THEIRS)
        _line(axes, world, ours, _OURS)
        axes.set_title(name, color=_THEIRS)
    for axes in panels[len(others) :]:
        axes.set_visible(False)
    for axes in panels[len(others) - _COLUMNS : len(others)]:
        axes.xaxis.set_tick_params(labelbottom=True)
    first = panels[0]
    first.annotate("ours", (0.03, 0.88), xycoords="axes fraction", color=_OURS, fontweight="bold")
    first.set_xscale("log")
    first.set_ylim(bottom=0)
    ends = [one[0].cap_ms / _HOUR_MS for one in ours]
    first.xaxis.set_major_locator(FixedLocator(ends))
    first.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: f"{hours:.3g}"))
    first.xaxis.set_minor_locator(NullLocator())
    figure.supxlabel("charged device-hours", fontsize=9.5)
    figure.supylabel("regret, points", fontsize=9.5)
    figure.suptitle(
        f"{world.name}: how far the recommendation is from the best of the table\n"
        "dots: at the end of each budget; line: along the largest; 95 % intervals",
        fontsize=9.5,
        x=0.01,
        ha="left",
    )


def _line(axes: Axes, world: World, by_cap: Sequence[Sequence[Replay]], colour: str) -> None:
    smallest_ms, cap_ms = by_cap[0][0].cap_ms, by_cap[-1][0].cap_ms
    grid = [int(ms) for ms in np.geomspace(max(world.base_ms(), smallest_ms / 8, 1), cap_ms, _POINTS)]
    curves = [run.recommended(world) for run in by_cap[-1]]
    middle, low, high = band(curves, grid, world.best)
    hours = [ms / _HOUR_MS for ms in grid]
    axes.plot(hours, middle, color=colour, linewidth=1.4)
    axes.fill_between(hours, low, high, color=colour, alpha=0.15, linewidth=0)
    for runs in by_cap:
        ends_ms = runs[0].cap_ms
        steps = [run.recommended(world) for run in runs]
        value, low, high = band(steps, [ends_ms], world.best)[:, 0]
        axes.plot([ends_ms / _HOUR_MS] * 2, [low, high], color=colour, linewidth=1.4)
        axes.plot([ends_ms / _HOUR_MS], [value], "o", color=colour, markersize=3.5)


# -- what was enough ---------------------------------------------------------------------------------


def _ratios(figure: Figure, outcome: Outcome, by_budget: Mapping[int, Sequence[Row]]) -> None:
    axes = figure.subplots()
    for x, rows in enumerate(by_budget.values()):
        (share,) = (row.reached for row in rows if row.method == OURS.name)
        low, value, high = (min(v, _BEYOND) for v in (share.low, share.value, share.high))
        axes.plot([x, x], [low, high], color=_OURS, linewidth=2)
        axes.plot([x], [value], marker="o", color=_OURS)
        said = f"{share.value:.2f}" if math.isfinite(share.value) else "more than all"
        axes.annotate(said, (x, value), xytext=(6, 0), textcoords="offset points", va="center")
    axes.axhline(0.25, color=GREY, linestyle="--", linewidth=1)
    axes.axhline(1.0, color=GREY, linewidth=1)
    axes.set_ylim(0, 1.25)
    axes.set_xlim(-0.5, len(by_budget) - 0.3)
    axes.set_xticks(range(len(by_budget)), [f"{ms / _HOUR_MS:.3g} h" for ms in by_budget])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1, _BEYOND], ["0", "¼", "½", "¾", "1", "not reached"])
    axes.set_xlabel("budget, device-hours")
    axes.set_ylabel("share that was enough")
    axes.set_title(
        f"{outcome.world.name}: for ours to be worth what {outcome.baseline} is with all of the budget"
    )


# -- every method at the largest budget --------------------------------------------------------------


def _methods(figure: Figure, world: World, rows: Sequence[Row]) -> None:
    """A line per method, a column per figure, the value beside its dot."""
    hours = rows[0].budget_ms / _HOUR_MS
    columns: list[tuple[str, Callable[[Row], Estimate | float | None]]] = [
        ("regret, points", lambda row: row.regret),
        ("share to the baseline", lambda row: row.reached),
        ("overspent, %", lambda row: 100 * row.overspent_ms / row.budget_ms),
        ("repeated, %", lambda row: 100 * row.repeated_ms / row.budget_ms),
    ]
    if world.rung_is_choice:
        columns.insert(1, ("hypervolume", lambda row: row.hypervolume))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (title, of) in zip(panels, columns, strict=True):
        for y, row in enumerate(rows):
            _dot(axes, y, of(row), _OURS if row.method == OURS.name else INK)
        axes.set_title(title, fontweight="normal")
        axes.margins(x=0.12)
        right = axes.get_xlim()[1]
        axes.set_xlim(0, right * 1.35 if right > 0.06 else 1)
        axes.grid(visible=False, axis="x")
    panels[0].set_yticks(range(len(rows)), [row.method for row in rows])
    panels[0].invert_yaxis()
    figure.suptitle(
        f"{world.name}: {hours:.3g} device-hours, {rows[0].n_runs} runs, 95 % intervals",
        fontsize=10,
        fontweight="bold",
        x=0.01,
        ha="left",
    )


def _dot(axes: Axes, y: int, found: Estimate | float | None, colour: str) -> None:
    if found is None:
        return
    value, low, high = (
        (found.value, found.low, found.high) if isinstance(found, Estimate) else (found,) * 3
    )
    low, at, high = (x if math.isfinite(x) else _BEYOND for x in (low, value, high))
    axes.plot([low, high], [y, y], color=colour, linewidth=1.6)
    axes.plot([at], [y], "o", color=colour, markersize=4)
    said = f"{value:.2g}" if math.isfinite(value) else "never"
    axes.annotate(
        said, (high, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=colour
    )


# -- what each part brings ---------------------------------------------------------------------------


def _parts(figure: Figure, outcome: Outcome) -> None:
    """Per part and budget: share that is enough for ours, and how much more regret is left without."""
    names = list(dict.fromkeys(one.part for one in outcome.parts))
    budgets = list(dict.fromkeys(one.budget_ms for one in outcome.parts))
    left, right = figure.subplots(1, 2, sharey=True)
    for one in outcome.parts:
        step = budgets.index(one.budget_ms)
        y = names.index(one.part) + 0.7 * (step / max(len(budgets) - 1, 1) - 0.5)
        colour = _shade(step, len(budgets))
        for axes, found in ((left, one.enough), (right, one.regret)):
            low, at, high = (min(x, _BEYOND) for x in (found.low, found.value, found.high))
            if axes is right:
                low, at, high = found.low, found.value, found.high
            axes.plot([low, high], [y, y], color=colour, linewidth=1.6)
            axes.plot([at], [y], "o", color=colour, markersize=3.5)
        if one.part == names[0]:
            right.annotate(
                f"{one.budget_ms / _HOUR_MS:.3g} h",
                (one.regret.high, y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7.5,
                color=colour,
            )
    left.axvline(1.0, color=GREY, linewidth=1)
    right.axvline(0.0, color=GREY, linewidth=1)
    left.set_xlim(0, 1.25)
    left.set_xticks([0, 0.25, 0.5, 0.75, 1, _BEYOND], ["0", "¼", "½", "¾", "1", "never"])
    left.set_yticks(range(len(names)), [f"without {name}" for name in names])
    left.invert_yaxis()
    left.set_title("share that is enough for ours", fontweight="normal")
    right.set_title("more regret without, points", fontweight="normal")
    figure.suptitle(
        f"{outcome.world.name}: what each part brings, by budget, 95 % intervals; left of 1 and right "
        "of 0 it helps",
        fontsize=9.5,
        fontweight="bold",
        x=0.01,
        ha="left",
    )


def _shade(step: int, steps: int) -> tuple[float, float, float]:
    """From pale to full blue, the larger the budget."""
    full = np.array([0, 0x72, 0xB2]) / 255
    share = 0.35 + 0.65 * (step + 1) / steps
    red, green, blue = (1 - share * (1 - full)).tolist()
    return (red, green, blue)
