"""The data a study will read, looked at before anything is paid: is all of it there, and pinned?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scheduler.spec import StudySpec
from trainers.errors import EmptySplitError, MissingDataError
from trainers.tasks.hub import HubSource
from trainers.tasks.source import UNPINNED, DataIdentity
from trainers.tasks.spec import FamilyName, HubData, Split, TaskSpec


@dataclass(frozen=True, slots=True)
class Need:
    """One split in one language that a study reads.

    Attributes:
        remedy: what to take out of the spec to do without it.
    """

    split: Split
    language: str
    remedy: str


def needs_of(spec: StudySpec) -> Iterator[Need]:
    """Every split and language that some stage of the study may read."""
    if spec.pretrain is not None:
        for task in spec.catalogue.values():
            if task.world == spec.world and task.family is FamilyName.MASKED:
                yield from _training(task, task.train_languages, "the pretrain key")
    for name in spec.intermediate.tasks:
        languages = spec.mixed_languages(name)
        yield from _training(spec.catalogue[name], languages, f"{name} from intermediate.tasks")
    for name, languages in spec.cells:
        yield from _target(spec, spec.catalogue[name], languages)


def _target(spec: StudySpec, task: TaskSpec, languages: tuple[str, ...]) -> Iterator[Need]:
    """What a target task is trained on, after the tasks before it, and scored on."""
    remedy = f"{task.name} from target.tasks"
    trained: TaskSpec | None = task
    while trained is not None:
        yield from _training(trained, trained.train_languages[:1], remedy)
        trained = spec.catalogue.task(trained.after) if trained.after else None
    for split in task.pool:
        for language in split.languages:
            yield Need(split, language, remedy)
    for language in languages:
        for split in (*task.search, *task.report):
            if language in split.languages:
                yield Need(split, language, f"the cell, by target.skip: [{task.name}/{language}]")


def _training(task: TaskSpec, languages: tuple[str, ...], remedy: str) -> Iterator[Need]:
    for split in task.train:
        for language in split.languages:
            if language in languages:
                yield Need(split, language, remedy)


def check_there(spec: StudySpec, identity: Callable[[Split, str], DataIdentity]) -> None:
    """Ask for the identity of all the data of a study.

    Raises:
        MissingDataError: some is not there; one line each, with what to remove to do without it.
    """
    missing: dict[str, str] = {}
    for need in needs_of(spec):
        try:
            identity(need.split, need.language)
        except (MissingDataError, EmptySplitError) as error:
            place = f"{error.file} [{need.language}]" if need.split.language_field else error.file
            missing.setdefault(place, need.remedy)
    if missing:
        lines = "\n  ".join(f"{file}: or remove {remedy}" for file, remedy in missing.items())
        raise MissingDataError(
            f"the {spec.data.source} lacks {len(missing)} of the files that {spec.name} reads. Add "
            f"each of them, or take what needs it out of the spec:\n  {lines}",
            file=next(iter(missing)),
        )


def unpinned_repos(spec: StudySpec) -> tuple[str, ...]:
    """Data sets on the hub that neither the catalogue nor the spec pins to a commit."""
    if spec.data.source != "hub":
        return ()
    source = HubSource(spec.data.revisions)
    return tuple(
        dict.fromkeys(
            need.split.data.repo
            for need in needs_of(spec)
            if isinstance(need.split.data, HubData)
            and source.identity(need.split, need.language).revision == UNPINNED
        )
    )
