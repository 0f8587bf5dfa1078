"""``python -m experiments.benchmarks.plan_error EARLIER LATER``: how far a plan was from what was paid.

Two finished runs of one device: the forecast learns the earlier one's bills and nothing else, as
``interlude plan`` does before the later one begins, and says what every stage of the later one will
take. Against it stands what that stage was charged for in device time.

    error = |forecast - taken| / taken          of one stage; the median over stages is shown
    total = sum of forecasts / sum taken        what it adds up to
    over  = share of stages above their bound

Left out are stages that were found done in the store, and those that failed, were lost or were stopped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from budgets.errors import JournalError
from budgets.skim import skim
from scheduler.facts import StageEnded, StageStarted, StudyBegun
from scheduler.lessons import Lessons, lessons_of
from scheduler.spec import read
from scheduler.study import tree_of
from scheduler.tree import StageTree

_FACTS = (StudyBegun, StageStarted, StageEnded)


@dataclass(frozen=True, slots=True)
class PlanError:
    """Forecast against bills.

    Attributes:
        kind: of the stages, or ``all``.
        n: stages.
        median_error: over stages.
        total: of the forecasts over total taken.
        over: share of stages that took more than their upper bound.
    """

    kind: str
    n: int
    median_error: float
    total: float
    over: float


@dataclass(frozen=True, slots=True)
class _Compared:
    kind: str
    expected_ms: int
    upper_ms: int
    taken_ms: int


def plan_errors(
    tree: StageTree, earlier: Sequence[object], later: Sequence[object]
) -> tuple[PlanError, ...]:
    """By kind of stage and for all, the last.

    Args:
        tree: of the later run.
        earlier: ``StageStarted`` and ``StageEnded`` facts of the run that teaches.
        later: those of the run that was planned.

    Raises:
        ValueError: no stage of the later run teaches anything, or the two ran on different devices.
    """
    taught, found = tuple(lessons_of(earlier)), tuple(lessons_of(later))
    devices = [sorted({one.device for one in run}) for run in (taught, found)]
    if not found or devices[0] != devices[1]:
        raise ValueError(
            f"the earlier run has {len(taught)} whole bills of {devices[0]}, the later one {len(found)} "
            f"of {devices[1]}: give two finished runs of one kind of device"
        )
    forecast = Lessons(taught).forecast(tree)
    compared = []
    for one in found:
        estimate = forecast.estimate(tree.work(one.stage))
        expected, upper = estimate.expected.ms, estimate.upper.ms
        compared.append(_Compared(str(one.stage.kind), expected, upper, max(1, one.total.ms)))
    kinds = dict.fromkeys(one.kind for one in compared)
    by_kind = [_error(kind, [one for one in compared if one.kind == kind]) for kind in kinds]
    return (*by_kind, _error("all", compared))


def _error(kind: str, compared: Sequence[_Compared]) -> PlanError:
    return PlanError(
        kind,
        len(compared),
        median(abs(one.expected_ms - one.taken_ms) / one.taken_ms for one in compared),
        sum(one.expected_ms for one in compared) / sum(one.taken_ms for one in compared),
        sum(one.taken_ms > one.upper_ms for one in compared) / len(compared),
    )


@click.command()
@click.argument("earlier", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("later", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def main(earlier: Path, later: Path, *, as_json: bool) -> None:
    """What a plan made after run EARLIER said of run LATER, against what LATER took."""
    try:
        before, after = (skim(run / "journal.db", _FACTS) for run in (earlier, later))
        begun = next(fact for fact in after if isinstance(fact, StudyBegun))
        errors = plan_errors(tree_of(read(dict(begun.spec), str(later))), before, after)
    except (JournalError, ValueError, StopIteration) as error:
        raise click.ClickException(str(error) or f"{later}: no study was begun here") from error
    if as_json:
        click.echo(json.dumps([asdict(error) for error in errors], indent=2))
        return
    table = Table("stages", "number", "median error", "forecast / taken", "above the bound")
    for one in errors:
        table.add_row(
            one.kind, str(one.n), f"{one.median_error:.1%}", f"{one.total:.2f}", f"{one.over:.1%}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
