"""Recorded tables: a grid is run once, and what every stage gave is kept for replays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from scheduler.spec import StudySpec
    from scheduler.table import Table


def opened(path: Path, console: Console) -> Table:
    """The recorded table in a file; prints which of its rows are not used.

    Raises:
        TableError: it is none.
    """
    from scheduler.table import Table

    table = Table.load(path)
    for line in table.left_out:
        console.print(f"{path.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    return table


def record(spec_file: str, to: str, console: Console, *, driver: str, store: str | None) -> None:
    """Run every mix of a spec at every rung with every seed, and write the table.

    The recording is a run of its own, ``<name>-grid``, under the spec's cap: it can be stopped and
    goes on, and what it paid is in its ledger.

    Raises:
        StudyError: as ``interlude run``.
        TableError: nothing was recorded.
    """
    from scheduler.interrupt import Interrupt
    from scheduler.progress import Progress
    from scheduler.run import run_study
    from scheduler.spec import load
    from scheduler.study import tree_of
    from scheduler.table import Table

    spec, text = load(spec_file, store)
    grid = grid_of(spec)
    with Progress(console) as progress:
        state = run_study(grid, text, driver, progress, Interrupt(console.print))
    table = Table.of(tree_of(grid), state, dict.fromkeys(t.recipe for t in state.trials.values()))
    path = Path(to).expanduser()
    table.save(path)
    console.print(f"{len(table.rows)} stages recorded; {state.ended}", markup=False, highlight=False)
    console.print(f"table: {path.absolute()}", markup=False, highlight=False, soft_wrap=True)


def grid_of(spec: StudySpec) -> StudySpec:
    """The study that records a table for ``spec``: all of its mixes, and no latencies."""
    from scheduler.spec_parts import MEASURED

    return spec.model_copy(
        update={
            "name": f"{spec.name}-grid",
            "search": spec.search.model_copy(update={"policy": "grid"}),
            "inference": None,
            "objectives": spec.objectives.model_copy(update=dict.fromkeys(MEASURED)),
        }
    )
