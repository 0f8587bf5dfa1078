"""``python -m experiments.benchmarks.merging SPEC``: what a merged mix foretells of the mix trained.

Every mix of two or more tasks is looked at in several ways, on search cells and with one seed: merged at
each scale from the single-task encoders of rung 0, and trained at each rung.

    tau    Kendall's tau-b between the orders of the mixes that two looks give
    scale  a number, or ``sqrt`` and ``k`` for the square root of the number of tasks and that number

Beside them stands what needs no merge: the mean of the single tasks' scores at rung 0, by their rates.
Device times are of stages that really ran. What mixes share (single tasks, the control) is not counted,
nor is what the store had from an earlier run.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from budgets.amount import DeviceTime
from budgets.clock import MonotonicClock
from experiments.ranks import kendall_tau
from experiments.stats import Array
from scheduler.errors import StudyError
from scheduler.lessons import worked
from scheduler.mix import Mix
from scheduler.run import worker_settings
from scheduler.score import score, task_scores
from scheduler.spec import StudySpec, load
from scheduler.spec_parts import MergedSpec
from scheduler.study import space_of, tree_of
from scheduler.tree import Node, StageTree
from scheduler.trial import MERGED, Recipe
from trainers.stage import CellScore, Half, Measurement, MergeStage, Order, Outcome, StageKind
from trainers.worker import Worker

Cells = tuple[CellScore, ...]
Looks = Mapping[str, Mapping[Mix, Cells]]

SINGLES = "mean of single tasks"
_SHARED = "shared"
_UNLIMITED, _GRACE = DeviceTime.from_hours(24), DeviceTime(1000)
_POWERS = {"sqrt": 0.5, "k": 1.0}


@dataclass(frozen=True, slots=True)
class Foretold:
    """How well one look at the mixes foretells the order of another.

    Attributes:
        look: the earlier one.
        rung: the one that is foretold, of trained mixes.
        of: ``score`` or a target task.
        tau: with ``low`` and ``high``, its 95 % interval over mixes; None where one look has no spread.
        gap: mean of the earlier look minus that of the rung, in points.
    """

    look: str
    rung: int
    of: str
    tau: float | None
    low: float | None
    high: float | None
    gap: float


@dataclass
class Bench:
    """Stages carried out one after the other, outside any budget.

    Attributes:
        ms: device time of the stages that ran, by kind and look.
    """

    tree: StageTree
    carry_out: Callable[[Order], Measurement]
    ms: dict[tuple[StageKind, str], int] = field(default_factory=lambda: defaultdict(int))

    def looks(self, recipes: Sequence[Recipe], scales: Sequence[str], n_rungs: int) -> Looks:
        """The search cells of every recipe at every look.

        Raises:
            StudyError: a stage was not done.
        """
        control = replace(recipes[0], mix=Mix())
        self._scored(self.tree.nodes(control, 0, Half.SEARCH), _SHARED)
        parts = {part for recipe in recipes for part in self.tree.parts(recipe)}
        alone = {
            part.mix.tasks[0]: self._scored(self.tree.nodes(part, 0, Half.SEARCH), _SHARED)
            for part in sorted(parts, key=lambda part: part.mix.tasks)
        }
        found = {SINGLES: {r.mix: _mean(alone, dict(self.tree.rates(r.mix))) for r in recipes}}
        for scale in scales:
            look = f"merged, scale {scale}"
            found[look] = {r.mix: self._scored(self._merged(r, scale), look) for r in recipes}
        for rung in range(n_rungs):
            look = f"rung {rung}"
            found[look] = {
                r.mix: self._scored(self.tree.nodes(r, rung, Half.SEARCH), look) for r in recipes
            }
        return found

    def _merged(self, recipe: Recipe, scale: str) -> Iterable[Node]:
        factor = scale_of(scale, recipe.mix.count)
        for node in self.tree.nodes(recipe, MERGED, Half.SEARCH):
            changed = replace(node.stage, scale=factor) if isinstance(node.stage, MergeStage) else None
            yield replace(node, stage=changed) if changed else node

    def _scored(self, nodes: Iterable[Node], look: str) -> Cells:
        cells: list[CellScore] = []
        for node in nodes:
            order = Order(node.name, node.stage, 1, _UNLIMITED, _GRACE)
            found = self.carry_out(order)
            if found.outcome is not Outcome.DONE:
                raise StudyError(f"{node.stage.kind} {found.stage} ended {found.outcome}: {found.error}")
            if worked(found):
                self.ms[node.stage.kind, look] += found.bill.total.ms
            cells.extend(found.scores)
        return tuple(cells)

    def seconds(self, n_mixes: int) -> dict[str, float]:
        """Device seconds per mix, by look and kind of stage."""
        own = ((kind, look, ms) for (kind, look), ms in self.ms.items() if look != _SHARED)
        return {f"{look}: {kind}": ms / 1000 / n_mixes for kind, look, ms in own}


def scale_of(text: str, n_tasks: int) -> float:
    """The scale that a number or a word stands for, with so many tasks.

    Raises:
        ValueError: it is neither.
    """
    return float(n_tasks ** _POWERS[text]) if text in _POWERS else float(text)


def _mean(alone: Mapping[str, Cells], rates: Mapping[str, float]) -> Cells:
    """Each cell's mean over single tasks, by their rates."""
    columns = zip(*(alone[name] for name in rates), strict=True)
    weights = list(rates.values())
    return tuple(
        replace(cells[0], value=float(np.average([cell.value for cell in cells], weights=weights)))
        for cells in columns
    )


def foretold(found: Looks, n_rungs: int, seed: int) -> tuple[Foretold, ...]:
    """Tau of every look with each trained rung above it: of the score, and of each target task."""
    columns = {look: _columns(of_mixes.values()) for look, of_mixes in found.items()}
    rungs = [f"rung {rung}" for rung in range(n_rungs)]
    rows = []
    for rung, name in enumerate(rungs):
        for look in (look for look in columns if look not in rungs[rung:]):
            for of, values in columns[look].items():
                later = columns[name][of]
                tau = kendall_tau(values, later, seed=seed)
                middle, low, high = (tau.value, tau.low, tau.high) if tau else (None, None, None)
                gap = float(np.mean(values - later))
                rows.append(Foretold(look, rung, of, middle, low, high, gap))
    return tuple(rows)


def _columns(mixes: Iterable[Cells]) -> dict[str, Array]:
    """Score and task scores, each of shape (mixes,)."""
    columns: dict[str, list[float]] = defaultdict(list)
    for cells in mixes:
        for name, value in {"score": score(cells), **task_scores(cells)}.items():
            columns[name].append(value)
    return {name: np.array(values) for name, values in columns.items()}


def with_merged(spec: StudySpec) -> StudySpec:
    """The same study with a merged rung."""
    part = spec.intermediate.model_copy(update={"merged": MergedSpec()})
    return spec.model_copy(update={"intermediate": part})


def _recipes(spec: StudySpec, n_mixes: int) -> list[Recipe]:
    several = [mix for mix in space_of(spec).all_mixes() if mix.count > 1]
    several = random.Random(spec.seed).sample(several, min(n_mixes, len(several)))
    return [Recipe(mix, spec.seed, spec.model.name, spec.model.tuning) for mix in several]


@click.command()
@click.argument("spec_file", metavar="SPEC")
@click.option("--store", default=None, help="Where stages go; the spec's by default.")
@click.option("--mixes", default=30, show_default=True, type=click.IntRange(min=5), help="Drawn.")
@click.option("--scales", default="0.5,1,1.5,sqrt,k", show_default=True, help="Parted by commas.")
@click.option(
    "--rungs", default=2, show_default=True, type=click.IntRange(min=1), help="From the first."
)
@click.option("--json", "to", type=click.Path(path_type=Path), help="A file for all figures.")
def main(
    spec_file: str, *, store: str | None, mixes: int, scales: str, rungs: int, to: Path | None
) -> None:
    """What merged mixes of SPEC foretell of the mixes trained."""
    spec = with_merged(load(spec_file, store)[0])
    bench = Bench(tree_of(spec), Worker(worker_settings(spec), MonotonicClock()).run)
    recipes = _recipes(spec, mixes)
    n_rungs = min(rungs, bench.tree.n_rungs)
    found = bench.looks(recipes, scales.split(","), n_rungs)
    rows, taken = foretold(found, n_rungs, spec.seed), bench.seconds(len(recipes))
    _show(rows, taken, len(recipes))
    if to is not None:
        record = {
            "mixes": [list(recipe.mix.tasks) for recipe in recipes],
            "scores": {look: [score(cells) for cells in by.values()] for look, by in found.items()},
            "foretold": [asdict(row) for row in rows],
            "seconds": taken,
        }
        to.write_text(json.dumps(record, indent=1))


def _show(rows: Sequence[Foretold], taken: Mapping[str, float], n_mixes: int) -> None:
    table = Table("look", "foretells", "of", "tau", "95 % interval", "gap, points")
    for row in rows:
        tau = "no spread" if row.tau is None else f"{row.tau:+.2f}"
        ends = "" if row.low is None else f"{row.low:+.2f} to {row.high:+.2f}"
        table.add_row(row.look, f"rung {row.rung}", row.of, tau, ends, f"{row.gap:+.1f}")
    times = Table("stages", f"device seconds a mix, {n_mixes} mixes")
    for what, time_s in taken.items():
        times.add_row(what, f"{time_s:.2f}")
    console = Console()
    console.print(table, times)


if __name__ == "__main__":
    main()
