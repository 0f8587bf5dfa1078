"""What is wrong with a file: every kind of fault, counted, with the first row that has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainers.errors import MalformedDataError

_REMEDY = "Mend or fetch the file again, or leave the task out."


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault in one column.

    Attributes:
        column: as the data calls it.
        rows: that have the fault, counted from 0, ascending; none where it is the column's own.
        found: in the first of them.
        expected: by the task.
    """

    column: str
    rows: tuple[int, ...]
    found: str
    expected: str


def refusal(
    findings: Sequence[Finding], task: str, file: str, n_rows: int, located: Callable[[int], str]
) -> MalformedDataError:
    """The error that names file, rows, column, what was found, what was expected, and what to do.

    Args:
        findings: at least one.
        task: its name.
        file: its name.
        n_rows: rows of the file.
        located: where a row stands.
    """
    lines = [_line(finding, task, n_rows, located) for finding in findings]
    if len(lines) == 1:
        message = f"{file}, {lines[0]} {_REMEDY}"
    else:
        message = "\n  ".join((f"{file} has {len(lines)} kinds of fault. {_REMEDY}", *lines))
    first = findings[0]
    return MalformedDataError(
        message, file=file, row=first.rows[0] if first.rows else None, column=first.column
    )


def _line(finding: Finding, task: str, n_rows: int, located: Callable[[int], str]) -> str:
    where = f"column {finding.column!r}"
    if finding.rows:
        first = located(finding.rows[0])
        n_bad = len(finding.rows)
        where = (
            f"{first}, {where}"
            if n_bad == 1
            else f"{n_bad:,} of {n_rows:,} rows, first {first}, {where}"
        )
    return f"{where}: {finding.found}. Task {task} expects {finding.expected}."
