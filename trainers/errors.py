"""Every way a trainer can say no.

TrainerError
  + TaskError
  |   + UnknownTaskError       no task of that name in the catalogue
  |   + UnknownLanguageError   no language of that code, or not one of this task
  |   + MissingDataError       the source does not have the split
  |   + MalformedDataError     the split is there and does not hold what its task says
  |   + EmptySplitError        the split is there and holds nothing to train on or to score
  + ModelError                 a model that cannot be found, read or used
  + MirrorError                a mirror cannot be written
  + StoreError                 the stage store cannot be read or written
  |   + ManifestMismatchError  a folder does not hold what its name says
  + WatchdogError              nothing guards the worker's leases
  + LoadGenMissingError        MLPerf's load generator is not installed where a stage asks for it
  + InfeasibleError            the recipe cannot be trained here, however often it is tried
  + StageFailedError           a stage broke; carries what it cost

Each message says what was asked, the numbers, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from budgets.bill import Bill


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known names, or with all of them when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names)}." if names else "None is known."


class TrainerError(Exception):
    """The base of every error of this package."""


class TaskError(TrainerError):
    """A task or its data cannot be used."""


class UnknownTaskError(TaskError):
    """No task of that name is in the catalogue."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(f"no task {name!r} in the catalogue. {nearest(name, self.known)}")


class UnknownLanguageError(TaskError):
    """No language of that code is known, or the task does not have it."""

    def __init__(self, code: str, known: Iterable[str], *, where: str = "the language table") -> None:
        self.code = code
        self.known = tuple(known)
        super().__init__(f"no language {code!r} in {where}. {nearest(code, self.known)}")


class MissingDataError(TaskError):
    """The source does not have a split. ``file`` is the path or address that was tried."""

    def __init__(self, message: str, *, file: str = "") -> None:
        self.file = file
        super().__init__(message)


class MalformedDataError(TaskError):
    """A split does not hold what its task says.

    ``file``, ``column`` and ``row`` (counted from 0) say where, as far as that is known.
    """

    def __init__(
        self, message: str, *, file: str = "", row: int | None = None, column: str = ""
    ) -> None:
        self.file = file
        self.row = row
        self.column = column
        super().__init__(message)


class EmptySplitError(TaskError):
    """A split has no examples that can be used."""

    def __init__(self, message: str, *, file: str = "") -> None:
        self.file = file
        super().__init__(message)


class ModelError(TrainerError):
    """A model cannot be found, read or used."""


class MirrorError(TrainerError):
    """A mirror cannot be written, or has files that are not its writer's to replace."""


class StoreError(TrainerError):
    """The stage store cannot be read or written."""


class ManifestMismatchError(StoreError):
    """A stage's folder does not hold what its name says."""


class WatchdogError(TrainerError):
    """No watchdog could be started for a worker."""


class LoadGenMissingError(TrainerError):
    """An inference stage is to be asked by MLPerf's load generator, and that is not installed here."""

    def __init__(self) -> None:
        super().__init__(
            "inference.harness is 'loadgen' and mlperf_loadgen cannot be imported on this machine. "
            "Install it where workers run (pip install 'interlude-scheduler[inference]'), or write "
            "inference.harness: plain, which times without it."
        )


class InfeasibleError(TrainerError):
    """A recipe cannot be trained on this device: its loss diverges, or its batch does not fit."""


class StageFailedError(TrainerError):
    """A stage broke. ``bill`` is what it cost until then: it is charged all the same."""

    def __init__(self, message: str, bill: Bill) -> None:
        self.bill = bill
        super().__init__(message)
