"""``python -m experiments.benchmarks.merging SPEC``: what a merged mix foretells of the mix trained.

Mixes of two or more tasks are looked at in several ways, on search cells and with one seed: merged at
each scale from the single-task encoders of rung 0, and trained at each rung.

    tau    Kendall's tau-b between the orders of the mixes that two looks give
    scale  a number, or ``sqrt`` and ``k`` for the square root of the number of tasks and that number

Beside them stand what needs no merge, the mean of the single tasks' scores at rung 0 by their rates, and
what nothing can be expected to pass: the highest rung, trained with another seed.

Times are medians over mixes, of stages that really ran; on a CPU the processor's own, so that other work
beside them does not count. What mixes share (single tasks, the control) is left out, and what an earlier
run left in the store.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from budgets.amount import DeviceTime
from budgets.clock import Clock, MonotonicClock
from experiments.bootstrap import Array
from experiments.ranks import kendall_tau
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
from trainers.order import CellScore, Measurement, Order, Outcome
from trainers.stage import Half, MergeStage, StageKind
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
        rung: the later one, of trained mixes.
        of: ``score`` or a target task.
        tau: with ``low`` and ``high``, its 95 % interval over mixes; None where one look has no spread.
        gap: mean of the earlier look minus that of the rung, in points.
    """

    look: str
    rung: str
    of: str
    tau: float | None
    low: float | None
    high: float | None
    gap: float


@dataclass
class Bench:
    """Stages carried out one after the other, outside any budget.

    Attributes:
        ms: time of the stages that ran, by look and kind, a number per mix.
    """

    tree: StageTree
    carry_out: Callable[[Order], Measurement]
    ms: dict[tuple[str, StageKind], list[int]] = field(default_factory=lambda: defaultdict(list))

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
            found[f"rung {rung}"] = self._trained(recipes, rung, f"rung {rung}")
        again = [replace(recipe, seed=recipe.seed + 1) for recipe in recipes]
        found[another(n_rungs - 1)] = self._trained(again, n_rungs - 1, another(n_rungs - 1))
        return found

    def _trained(self, recipes: Sequence[Recipe], rung: int, look: str) -> dict[Mix, Cells]:
        return {r.mix: self._scored(self.tree.nodes(r, rung, Half.SEARCH), look) for r in recipes}

    def _merged(self, recipe: Recipe, scale: str) -> Iterable[Node]:
        factor = scale_of(scale, recipe.mix.count)
        for node in self.tree.nodes(recipe, MERGED, Half.SEARCH):
            changed = replace(node.stage, scale=factor) if isinstance(node.stage, MergeStage) else None
            yield replace(node, stage=changed) if changed else node

    def _scored(self, nodes: Iterable[Node], look: str) -> Cells:
        cells: list[CellScore] = []
        ms: Counter[StageKind] = Counter()
        for node in nodes:
            order = Order(node.name, node.stage, 1, _UNLIMITED, _GRACE)
            found = self.carry_out(order)
            if found.outcome is not Outcome.DONE:
                raise StudyError(f"{node.stage.kind} {found.stage} ended {found.outcome}: {found.error}")
            if worked(found):
                ms[node.stage.kind] += found.bill.total.ms
            cells.extend(found.scores)
        for kind, taken in ms.items():
            self.ms[look, kind].append(taken)
        return tuple(cells)

    def seconds(self) -> dict[str, float]:
        """Seconds per mix, by look and kind of stage."""
        own = (item for item in self.ms.items() if item[0][0] != _SHARED)
        return {f"{look}: {kind}": median(ms) / 1000 for (look, kind), ms in own}


def another(rung: int) -> str:
    """The look that trains ``rung`` with another seed."""
    return f"rung {rung}, another seed"


def both_seeds(rung: int) -> str:
    """The mean over both seeds of ``rung``."""
    return f"rung {rung}, both seeds"


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
    """Tau of every look with each rung above it, and of both seeds with each other."""
    columns = {look: _columns(of_mixes.values()) for look, of_mixes in found.items()}
    rungs = [f"rung {rung}" for rung in range(n_rungs)]
    again, both = another(n_rungs - 1), both_seeds(n_rungs - 1)
    one, other = columns[rungs[-1]], columns[again]
    columns[both] = {of: (one[of] + other[of]) / 2 for of in one}
    below = [look for look in found if not look.startswith("rung")]
    pairs = [(look, rung) for n, rung in enumerate(rungs) for look in (*below, *rungs[:n])]
    pairs += [(again, rungs[-1]), *((look, both) for look in (*below, *rungs[:-1]))]
    rows = []
    for look, rung in pairs:
        for of, values in columns[look].items():
            tau = kendall_tau(values, columns[rung][of], seed=seed)
            middle, low, high = (tau.value, tau.low, tau.high) if tau else (None, None, None)
            gap = float(np.mean(values - columns[rung][of]))
            rows.append(Foretold(look, rung, of, middle, low, high, gap))
    return tuple(rows)


def _columns(mixes: Iterable[Cells]) -> dict[str, Array]:
    """Score and task scores, each of shape (mixes,)."""
    columns: dict[str, list[float]] = defaultdict(list)
    for cells in mixes:
        for name, value in {"score": score(cells), **task_scores(cells)}.items():
            columns[name].append(value)
    return {name: np.array(values) for name, values in columns.items()}


class ProcessorClock:
    """The processor time of this process and its threads."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.process_time()


def with_merged(spec: StudySpec) -> StudySpec:
    """The same study with a merged rung."""
    part = spec.intermediate.model_copy(update={"merged": MergedSpec()})
    return spec.model_copy(update={"intermediate": part})


def _recipes(spec: StudySpec, n_mixes: int) -> list[Recipe]:
    several = [mix for mix in space_of(spec).all_mixes() if mix.count > 1]
    several = random.Random(spec.seed).sample(several, min(n_mixes, len(several)))
    return [Recipe.of(mix, spec.seed, spec.arms[0]) for mix in several]


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
    clock: Clock = ProcessorClock() if spec.budget.devices.kind == "cpu" else MonotonicClock()
    bench = Bench(tree_of(spec), Worker(worker_settings(spec), clock).run)
    recipes = _recipes(spec, mixes)
    n_rungs = min(rungs, bench.tree.n_rungs)
    found = bench.looks(recipes, scales.split(","), n_rungs)
    rows, taken = foretold(found, n_rungs, spec.seed), bench.seconds()
    _show(rows, taken)
    if to is not None:
        record = {
            "mixes": [list(recipe.mix.tasks) for recipe in recipes],
            "scores": {look: [score(cells) for cells in by.values()] for look, by in found.items()},
            "foretold": [asdict(row) for row in rows],
            "seconds": taken,
        }
        to.write_text(json.dumps(record, indent=1))


def _show(rows: Sequence[Foretold], taken: Mapping[str, float]) -> None:
    table = Table("look", "foretells", "of", "tau", "95 % interval", "gap, points")
    for row in rows:
        tau = "no spread" if row.tau is None else f"{row.tau:+.2f}"
        ends = "" if row.low is None else f"{row.low:+.2f} to {row.high:+.2f}"
        table.add_row(row.look, row.rung, row.of, tau, ends, f"{row.gap:+.1f}")
    times = Table("stages", "seconds a mix")
    for what, time_s in taken.items():
        times.add_row(what, f"{time_s:.2f}")
    console = Console()
    console.print(table, times)


if __name__ == "__main__":
    main()
