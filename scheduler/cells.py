"""Which cells a study has, on how many examples each is scored, and what is missing and why.

A cell is a target task in a language. It is scored twice, on examples that never meet: while searching,
and in the report. Where both come from one split, each half has about half of it, by the hash of ids.

    half-width = 1.96 * 50 / sqrt(n) points

is that of the 95 % interval of a proportion at one half, the widest there is. Other metrics are means
or ratios over examples too, for which it is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from scheduler.asked import asked_languages, low_resource_of, scorable_languages
from scheduler.needs import (
    Gap,
    Need,
    cell_needs,
    chain,
    gaps_of,
    needs_of,
    target_needs,
    training_needs,
    unpinned_repos,
    without,
)
from scheduler.spec import StudySpec
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import FamilyName, HubData, Split, TaskSpec

_ENGLISH_SIDE = "bucc_english"  # sentences that are looked through, not scored

Identity = Callable[[Split, str], DataIdentity]
Role = Literal["intermediate", "target", "before"]


class Why(StrEnum):
    """Why a language that a study asks for is no cell of a task."""

    NO_DATA = "the task has no scored data in it"
    NOT_COUNTED = "the benchmark does not count it"
    SKIPPED = "target.skip leaves it out"
    NO_FILE = "a file is not there"
    NO_TASK_FILE = "a file that every cell of the task needs is not there"


@dataclass(frozen=True, slots=True)
class Count:
    """Examples or rows.

    Attributes:
        n: None where nobody knows without the data.
        exact: whether it is not the expected half of a split.
    """

    n: int | None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """A target task in a language that the study asks for.

    Attributes:
        search: examples that score it while searching, None where it is no cell.
        report: examples that score it in the report.
        why: it is no cell; None for one that is.
        places: files that are not there.
    """

    language: str
    search: Count | None = None
    report: Count | None = None
    why: Why | None = None
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A target task of a study.

    Attributes:
        task: what it is.
        cells: one for each language asked for.
    """

    task: TaskSpec
    cells: tuple[Cell, ...]

    @property
    def scored(self) -> tuple[Cell, ...]:
        """Those that are cells."""
        return tuple(cell for cell in self.cells if cell.why is None)

    def half_width(self, count: Count) -> float | None:
        """Of a cell's interval, in points; None where its examples are not known.

        Nor is it where pairs are mined: what counts there are the pairs, not the sentences.
        """
        return None if self.task.family is FamilyName.MINING else half_width(count.n)


@dataclass(frozen=True, slots=True)
class Training:
    """What a task is trained on, as part of a mix or as a target in English.

    Attributes:
        role: ``intermediate``, ``target``, or ``before`` a target.
        rows: in all languages that are there.
        places: files that are not there.
    """

    task: TaskSpec
    role: Role
    languages: tuple[str, ...]
    rows: Count
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellList:
    """All of it.

    Attributes:
        low_resource: by the study's definition.
        unpinned: data sets on the hub without a commit, with the tasks that read them.
        paste: lines of a spec that do without what is missing; empty where nothing is, or nothing
            would be left.
    """

    spec: StudySpec
    languages: tuple[str, ...]
    low_resource: frozenset[str]
    targets: tuple[Target, ...]
    training: tuple[Training, ...]
    unpinned: dict[str, tuple[str, ...]]
    gaps: tuple[Gap, ...]
    paste: str


def half_width(n: int | None) -> float | None:
    """Half the width of the 95 % interval of a proportion of ``n`` at one half, in points."""
    return min(50.0, 1.96 * 50 / math.sqrt(n)) if n else None


def cells_in(spec: StudySpec, identity: Identity) -> CellList:
    """The cells and training data of a study, and what the data source lacks of them.

    Args:
        spec: the study.
        identity: of its data source; no rows are read.
    """
    gaps = gaps_of(needs_of(spec), identity)
    data = _Data(identity, gaps)
    return CellList(
        spec=spec,
        languages=asked_languages(spec),
        low_resource=low_resource_of(spec),
        targets=tuple(_target(spec, name, data) for name in spec.target.tasks),
        training=tuple(_training(spec, data)),
        unpinned=_unpinned(spec),
        gaps=gaps,
        paste=without(spec, gaps),
    )


class _Data:
    """What is known of the data: sizes of what is there, and the files of what is not."""

    def __init__(self, identity: Identity, gaps: tuple[Gap, ...]) -> None:
        self._identity = identity
        self._missing = {_key(need): gap.place for gap in gaps for need in gap.needs}

    def places(self, needs: Iterable[Need]) -> tuple[str, ...]:
        """Files that ``needs`` lack."""
        found = (self._missing.get(_key(need)) for need in needs)
        return tuple(dict.fromkeys(place for place in found if place))

    def rows(self, splits: Iterable[Split], languages: Iterable[str]) -> int | None:
        """Rows of ``splits`` in ``languages`` that are there, None where some are not known."""
        rows = [
            self._identity(split, language).n_rows
            for split in splits
            for language in languages
            if language in split.languages and (split.place(language), language) not in self._missing
        ]
        return sum(rows) if all(rows) else None


def _key(need: Need) -> tuple[str, str]:
    return need.split.place(need.language), need.language


def _target(spec: StudySpec, name: str, data: _Data) -> Target:
    task = spec.catalogue[name]
    counted = scorable_languages(spec, name)
    lost = data.places(target_needs(spec, name))

    def cell(language: str) -> Cell:
        if language not in task.score_languages:
            return Cell(language, why=Why.NO_DATA)
        if language not in counted:
            return Cell(language, why=Why.NOT_COUNTED)
        if f"{name}/{language}" in spec.target.skip:
            return Cell(language, why=Why.SKIPPED)
        if places := data.places(cell_needs(task, language)):
            return Cell(language, why=Why.NO_FILE, places=places)
        if lost:
            return Cell(language, why=Why.NO_TASK_FILE, places=lost)
        search = _examples(task, task.search, language, spec.target.max_examples, data)
        return Cell(
            language, search, _examples(task, task.report, language, spec.final.max_examples, data)
        )

    return Target(task, tuple(cell(language) for language in asked_languages(spec)))


def _examples(
    task: TaskSpec, splits: tuple[Split, ...], language: str, most: int | None, data: _Data
) -> Count:
    """How many examples of ``splits`` score a cell, ``most`` at most."""
    rows = data.rows((split for split in splits if split.layout != _ENGLISH_SIDE), (language,))
    halved = task.halved(language)
    n = rows // 2 if rows and halved else rows
    return Count(n if n is None or most is None else min(n, most), exact=not halved)


def _training(spec: StudySpec, data: _Data) -> Iterator[Training]:
    """The intermediate tasks, then the targets, each after the tasks before it."""
    for name in spec.intermediate.tasks:
        yield _trained(spec.catalogue[name], "intermediate", spec.mixed_languages(name), data)
    for name in spec.target.tasks:
        for task in chain(spec, name):
            if task.train:
                role: Role = "target" if task.name == name else "before"
                yield _trained(task, role, task.train_languages[:1], data)


def _trained(task: TaskSpec, role: Role, languages: tuple[str, ...], data: _Data) -> Training:
    places = data.places(training_needs(task, languages, "target.tasks", task.name))
    return Training(task, role, languages, Count(data.rows(task.train, languages)), places)


def _unpinned(spec: StudySpec) -> dict[str, tuple[str, ...]]:
    """Data sets without a commit, with the tasks that read them."""
    readers: dict[str, dict[str, None]] = {repo: {} for repo in unpinned_repos(spec)}
    for need in needs_of(spec):
        if isinstance(need.split.data, HubData) and need.split.data.repo in readers:
            readers[need.split.data.repo][need.user.partition("/")[0]] = None
    return {repo: tuple(tasks) for repo, tasks in readers.items()}
