"""A comparison of runs, as a table on the screen and as plain JSON."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from experiments.compare import Comparison, Side
from experiments.evidence import Json, interval_json
from experiments.stats import Interval
from experiments.wording import listed, mix_name, p_value, points, signed


def show(found: Comparison, console: Console) -> None:
    """Print the runs side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("run", "best mix", "k"):
        table.add_column(head)
    first = found.sides[0].study.spec.name
    for head in ("score", "gain over k = 0", f"score over {first}", f"gain over {first}'s", "p"):
        table.add_column(head, justify="right")
    for side in found.sides:
        table.add_row(*_cells(side))
    console.print(table)
    languages = sorted({language for _, language in found.cells})
    tasks = sorted({task for task, _ in found.cells})
    console.print(
        f"On the {len(found.cells)} cells that all runs have, {found.half} examples: {listed(tasks)} in "
        f"{listed(languages)}. {len(found.left_out)} other cells are left out. Points with 95 % "
        "intervals, paired on examples and on common seeds; p after Holm's correction over the runs.",
        markup=False,
        highlight=False,
    )
    for side in found.sides:
        if side.study.interim:
            console.print(f"interim: {side.study.spec.name} has not ended", highlight=False)


def _cells(side: Side) -> tuple[str, ...]:
    best = side.answer.best
    mix = mix_name(best.trial.recipe.mix) if best else ""
    name = side.study.spec.name + (f" ({side.arm})" if side.arm else "")
    score = f"{points(side.score.value)} ({points(side.score.low)} to {points(side.score.high)})"
    p = "" if side.adjusted_p is None else p_value(side.adjusted_p).removeprefix("= ")
    return (
        *(name, mix, str(best.trial.recipe.mix.count) if best else "", score, _difference(side.gain)),
        *(_difference(side.against_first), _difference(side.gain_against_first), p),
    )


def _difference(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"{signed(interval.value)} ({signed(interval.low)} to {signed(interval.high)})"


def comparison_json(found: Comparison) -> Json:
    """Runs, common cells, and differences to the first run."""
    return {
        "examples": str(found.half),
        "cells": [f"{task}/{language}" for task, language in found.cells],
        "left_out": {f"{task}/{code}": why for (task, code), why in found.left_out.items()},
        "runs": [
            {
                "study": side.study.spec.name,
                "arm": side.arm,
                "interim": side.study.interim,
                "best": side.answer.best.trial.name if side.answer.best else None,
                "tasks": list(side.answer.best.trial.recipe.mix.tasks) if side.answer.best else [],
                "score": interval_json(side.score),
                "gain": interval_json(side.gain),
                "against_first": interval_json(side.against_first),
                "gain_against_first": interval_json(side.gain_against_first),
                "adjusted_p": side.adjusted_p,
            }
            for side in found.sides
        ],
    }
