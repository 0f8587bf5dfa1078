"""The data a study will read, looked at before anything is paid: is all of it there, and pinned?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

from scheduler.spec import StudySpec
from trainers.errors import EmptySplitError, MissingDataError, TaskError
from trainers.tasks.hub import HubSource
from trainers.tasks.source import UNPINNED, DataIdentity
from trainers.tasks.spec import FamilyName, HubData, Split, TaskSpec

_WIDTH = 96  # of lines to paste

Key = Literal["pretrain", "intermediate.tasks", "intermediate.languages", "target.tasks", "target.skip"]


@dataclass(frozen=True, slots=True)
class Need:
    """One split in one language that a study reads.

    Attributes:
        key: of the spec, where one can do without it.
        user: the task that reads it; for ``target.skip`` the cell, ``task/language``; for
            ``intermediate.languages`` the language.
    """

    split: Split
    language: str
    key: Key
    user: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A file, or the rows of a language in it, that is not there.

    Attributes:
        place: the file, with the language where it mixes several.
        needs: who would read it.
    """

    place: str
    needs: tuple[Need, ...]


def needs_of(spec: StudySpec) -> Iterator[Need]:
    """Every split and language that some stage of the study may read."""
    if spec.pretrain is not None:
        for task in spec.catalogue.values():
            if task.world == spec.world and task.family is FamilyName.MASKED:
                yield from training_needs(task, task.train_languages, "pretrain", task.name)
    for name in spec.intermediate.tasks:
        yield from mixed_needs(spec, spec.catalogue[name])
    for name, languages in spec.cells:
        yield from target_needs(spec, name)
        for language in languages:
            yield from cell_needs(spec.catalogue[name], language)


def mixed_needs(spec: StudySpec, task: TaskSpec) -> Iterator[Need]:
    """What a task is trained on in a mix; one can do without a language that it has from elsewhere."""
    for language in spec.mixed_languages(task.name):
        spoken = spec.intermediate.all_languages if task.family is not FamilyName.MASKED else ()
        if language in spoken and language != task.train_languages[0]:
            yield from training_needs(task, (language,), "intermediate.languages", language)
        else:
            yield from training_needs(task, (language,), "intermediate.tasks", task.name)


def target_needs(spec: StudySpec, name: str) -> Iterator[Need]:
    """What every cell of a target task needs: training data, that of the tasks before it, the pool."""
    for task in chain(spec, name):
        yield from training_needs(task, task.train_languages[:1], "target.tasks", name)
    for split in spec.catalogue[name].pool:
        for language in split.languages:
            yield Need(split, language, "target.tasks", name)


def chain(spec: StudySpec, name: str) -> tuple[TaskSpec, ...]:
    """A target task after the tasks that are trained before it.

    Raises:
        UnknownTaskError: one of those is not in the catalogue.
        TaskError: a task comes before itself.
    """
    tasks = [spec.catalogue.task(name)]
    while tasks[0].after:
        tasks.insert(0, spec.catalogue.task(tasks[0].after))
        if tasks[0] in tasks[1:]:
            raise TaskError(f"task {tasks[0].name!r} comes after itself. Mend 'after' of {name!r}.")
    return tuple(tasks)


def cell_needs(task: TaskSpec, language: str) -> Iterator[Need]:
    """What one cell is scored on."""
    for split in (*task.search, *task.report):
        if language in split.languages:
            yield Need(split, language, "target.skip", f"{task.name}/{language}")


def training_needs(task: TaskSpec, languages: tuple[str, ...], key: Key, user: str) -> Iterator[Need]:
    """What a task is trained on in ``languages``."""
    for split in task.train:
        for language in split.languages:
            if language in languages:
                yield Need(split, language, key, user)


def gaps_of(needs: Iterable[Need], identity: Callable[[Split, str], DataIdentity]) -> tuple[Gap, ...]:
    """The needs that the data source cannot meet, by file."""
    missing: dict[str, list[Need]] = {}
    for need in needs:
        try:
            identity(need.split, need.language)
        except (MissingDataError, EmptySplitError) as error:
            place = error.file or need.split.place(need.language)
            if need.split.language_field or need.split.translations:
                place = f"{place} [{need.language}]"
            missing.setdefault(place, []).append(need)
    return tuple(Gap(place, tuple(needs)) for place, needs in missing.items())


def without(spec: StudySpec, gaps: Iterable[Gap]) -> str:
    """The lines of a spec that do without what is missing, ready to paste; empty where none can."""
    lost: dict[str, set[str]] = {}
    for gap in gaps:
        for need in gap.needs:
            lost.setdefault(need.key, set()).add(need.user)
    skipped = lost.get("target.skip", set())
    targets = [
        task
        for task, languages in spec.cells
        if task not in lost.get("target.tasks", ())
        and not {f"{task}/{language}" for language in languages} <= skipped
    ]
    mixed = [task for task in spec.intermediate.tasks if task not in lost.get("intermediate.tasks", ())]
    if "pretrain" in lost or not targets or not mixed:
        return ""
    untold = lost.get("intermediate.languages", set())
    lines = ["intermediate:"] if untold or len(mixed) < len(spec.intermediate.tasks) else []
    if len(mixed) < len(spec.intermediate.tasks):
        low, high = spec.intermediate.count
        lines += _flow("tasks", mixed)
        if high > len(mixed):
            lines.append(f"  count: [{min(low, len(mixed))}, {len(mixed)}]")
    if untold:
        lines += _told(spec.intermediate.variants, untold)
    skip = [
        cell
        for cell in dict.fromkeys((*spec.target.skip, *sorted(skipped)))
        if cell.partition("/")[0] in targets
    ]
    lines.append("target:")
    if len(targets) < len(spec.target.tasks):
        lines += _flow("tasks", targets)
    if skip:
        lines += _flow("skip", skip)
    return "\n".join(lines if lines[-1] != "target:" else lines[:-1])


def _told(variants: Mapping[str, tuple[str, ...]], untold: set[str]) -> list[str]:
    """The languages without some; of variants those with a language left, which may be the same."""
    told = {name: [code for code in codes if code not in untold] for name, codes in variants.items()}
    if "" in told:
        return _flow("languages", told[""])
    lists = (f"    {name}: [{', '.join(codes)}]" for name, codes in told.items() if codes)
    return ["  languages:", *lists]


def _flow(key: str, items: list[str]) -> list[str]:
    """A YAML list on as few lines as it takes."""
    text = f"  {key}: [{', '.join(items)}]"
    filled = fill(
        text, _WIDTH, subsequent_indent=" " * 4, break_long_words=False, break_on_hyphens=False
    )
    return filled.splitlines()


def check_there(spec: StudySpec, identity: Callable[[Split, str], DataIdentity]) -> None:
    """Ask for the identity of all the data of a study.

    Raises:
        MissingDataError: some is not there; names every file, and the lines to do without them.
    """
    gaps = gaps_of(needs_of(spec), identity)
    if not gaps:
        return
    lines = "\n  ".join(f"{gap.place}: {_users(gap)}" for gap in gaps)
    raise MissingDataError(
        f"the {spec.data.source} lacks {len(gaps)} of the files that {spec.name} reads. "
        f"{remedy(spec, gaps)}\nThe files, and what reads them:\n  {lines}",
        file=gaps[0].place,
    )


def remedy(spec: StudySpec, gaps: tuple[Gap, ...]) -> str:
    """What to do about the gaps, in words and lines to paste."""
    lines = without(spec, gaps)
    if not lines:
        return "Add them: without what reads them nothing is left to train or to score."
    return f"Add them, or go on without what reads them; these lines take their keys' place:\n{lines}"


def _users(gap: Gap) -> str:
    users = (n.user if n.key == "target.skip" else f"{n.user} in {n.key}" for n in gap.needs)
    return ", ".join(dict.fromkeys(users))


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
