"""From ``custom_tasks`` of a budget spec to tasks.

What is not given is the family's: metric, columns under their canonical names, length. A language that
only one of search and report has data in is scored by that data in both, each example in one half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.own_places import PARTS, Places, keeps, places_of
from scheduler.own_problems import METRICS, order_problems, problems_in
from scheduler.spec_tasks import CustomTaskSpec
from trainers.tasks.entries.structured import UPOS
from trainers.tasks.spec import FamilyName, FileData, HubData, Split, TaskSpec

_UNPINNED = ""

_COLUMNS: Mapping[FamilyName, Mapping[str, str]] = {
    FamilyName.PAIR: {"id": "id?", "first": "first", "second": "second?", "label": "label"},
    FamilyName.CHOICE: {
        "id": "id?",
        "context": "context?",
        "question": "question?",
        "choices": "choices.text|choices",
        "label": "label",
    },
    FamilyName.SPANS: {
        "id": "id?",
        "context": "context",
        "question": "question",
        "answers": "answers.text|answers",
        "starts": "answers.answer_start|starts",
    },
    FamilyName.TOKENS: {"id": "id?", "tokens": "tokens", "tags": "tags|upos"},
    FamilyName.RETRIEVAL: {"id": "id?", "query": "query", "document": "document"},
    FamilyName.MASKED: {"id": "id?", "text": "text"},
}
_GROUPS = {
    FamilyName.PAIR: "pair",
    FamilyName.CHOICE: "pair",
    FamilyName.SPANS: "qa",
    FamilyName.TOKENS: "structured",
    FamilyName.RETRIEVAL: "retrieval",
    FamilyName.MASKED: "intermediate",
}
_LENGTHS = {FamilyName.SPANS: 384}
_LENGTH = 128


@dataclass(frozen=True, slots=True)
class OwnTasks:
    """The tasks that ``custom_tasks`` describes.

    Attributes:
        tasks: those that nothing is wrong with.
        problems: of the others, a line each that begins with the path of its key.
    """

    tasks: tuple[TaskSpec, ...]
    problems: tuple[str, ...]


def own_tasks(
    custom: Sequence[CustomTaskSpec], catalogue: Mapping[str, TaskSpec], world: str
) -> OwnTasks:
    """The tasks of a study's own.

    Args:
        custom: as in the spec; a task may be ``like`` one before it.
        catalogue: the tasks that there are already.
        world: of the study, and of its tasks that are made of files alone.
    """
    known = dict(catalogue)
    tasks: list[TaskSpec] = []
    problems: list[str] = []
    for i, given in enumerate(custom):
        found = [f"custom_tasks.{i}.{line}" for line in problems_in(given, known)]
        if not found:
            tasks.append(_task(given, known.get(given.like or ""), world))
            known[given.name] = tasks[-1]
        problems += found
    unmade = {given.name for given in custom} - {task.name for task in tasks}
    for i, given in enumerate(custom):
        problems += [f"custom_tasks.{i}.{line}" for line in order_problems(given, known, unmade)]
    return OwnTasks(tuple(tasks), tuple(problems))


def _task(given: CustomTaskSpec, base: TaskSpec | None, world: str) -> TaskSpec:
    """The task that ``given`` describes, which is sound."""
    family = base.family if base else FamilyName(given.family or "")
    splits = _Splits(given, base)
    made_of_files = not splits.kept and given.hub is None
    search, report = splits.scored()
    return TaskSpec(
        name=given.name,
        family=family,
        columns=_columns(given, base, family),
        labels=UPOS if given.labels == "upos" else given.labels or (base.labels if base else ()),
        train=splits.train(),
        search=search,
        report=report,
        pool=splits.pool(),
        after=given.after if given.after is not None else base.after if base else "",
        metric=given.metric or (base.metric if base else METRICS[family][0]),
        max_length=given.max_length or (base.max_length if base else _LENGTHS.get(family, _LENGTH)),
        group=given.group or (base.group if base else _GROUPS[family]),
        licence=given.licence or (base.licence if base else "its owner's"),
        paper=given.paper or (base.paper if base else ""),
        world=world if made_of_files else base.world if base else "hub",
    )


def _columns(given: CustomTaskSpec, base: TaskSpec | None, family: FamilyName) -> Mapping[str, str]:
    """Columns as given, else the base's, else the canonical names, tried in this order."""
    if base is None:
        return {**_COLUMNS[family], **given.columns}
    own = bool(given.files or given.hub)
    defaults = _COLUMNS.get(family, {}) if own else {}
    names = dict.fromkeys((*base.columns, *given.columns))
    return {
        name: _either(given.columns.get(name), base.columns.get(name), defaults.get(name))
        for name in names
    }


def _either(*columns: str | None) -> str:
    named = [column for column in columns if column]
    choices = dict.fromkeys(choice for column in named for choice in column.rstrip("?").split("|"))
    return "|".join(choices) + "?" * any(column.endswith("?") for column in named)


class _Splits:
    """The splits of one task: what is given, and what is ``kept`` of the task it is like."""

    def __init__(self, given: CustomTaskSpec, base: TaskSpec | None) -> None:
        self._given = given
        self._base = base
        self._places = {part: places_of(given, part) for part in PARTS}
        self.kept = base is not None and keeps(self._places, base)

    def train(self) -> tuple[Split, ...]:
        """What is trained on; narrowed where the base is never scored."""
        if self._places["train"]:
            return tuple(self._made("train", self._places["train"]))
        if self._base is None:
            return ()
        narrows = not (self._base.search or self._base.report)
        return self._narrowed(self._base.train) if narrows else self._base.train

    def scored(self) -> tuple[tuple[Split, ...], tuple[Split, ...]]:
        """What scores the search, and what scores the report."""
        search, report = self._places["search"], self._places["report"]
        if not search and not report:
            base = self._base
            return (self._narrowed(base.search), self._narrowed(base.report)) if base else ((), ())
        search, report = {**report, **search}, {**search, **report}
        same = {code: place for code, place in search.items() if report[code] == place}
        both = tuple(self._made("scored", same))
        return (
            (*both, *self._made("search", {c: p for c, p in search.items() if c not in same})),
            (*both, *self._made("report", {c: p for c, p in report.items() if c not in same})),
        )

    def pool(self) -> tuple[Split, ...]:
        """Where candidates come from; narrowed only on request, for that makes the task easier."""
        if self._places["pool"]:
            return tuple(self._made("pool", self._places["pool"]))
        return _narrowed(self._base.pool, self._given.pool_languages) if self._base else ()

    def _narrowed(self, splits: Sequence[Split]) -> tuple[Split, ...]:
        return _narrowed(splits, self._given.languages)

    def _made(self, part: str, places: Places) -> Iterator[Split]:
        """Splits of one part: one of files, and one for each split on the hub."""
        layout = self._layout(part)
        files = {code: place for code, place in places.items() if isinstance(place, tuple)}
        if files:
            data = FileData(self._given.name, files, self._given.format or "", self._given.header)
            yield Split(data, part, tuple(files), layout=layout)
        hub = self._given.hub
        for name in dict.fromkeys(place for place in places.values() if isinstance(place, str)):
            assert hub is not None  # places_of names splits of it alone
            yield Split(
                HubData(hub.repo, hub.revision or _UNPINNED, hub.config, hub.language_names),
                name,
                tuple(code for code, place in places.items() if place == name),
                language_field=(hub.language_column, "{language}") if hub.language_column else (),
                language_names=hub.language_names,
                layout=layout,
            )

    def _layout(self, part: str) -> str:
        """That of the same part of the base."""
        if self._base is None:
            return "columns"
        of_part = {"train": self._base.train, "report": self._base.report, "pool": self._base.pool}
        splits = of_part.get(part, self._base.search)
        return splits[0].layout if splits else "columns"


def _narrowed(splits: Sequence[Split], wanted: Sequence[str] | None) -> tuple[Split, ...]:
    """The splits with the languages that are wanted, all of them where that is None."""
    if wanted is None:
        return tuple(splits)
    narrowed = (
        replace(split, languages=tuple(code for code in wanted if code in split.languages))
        for split in splits
    )
    return tuple(split for split in narrowed if split.languages)
