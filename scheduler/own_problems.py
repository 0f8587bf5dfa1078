"""What keeps ``custom_tasks`` of a spec from being tasks; a line each, which begins with its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from scheduler.own_places import PARTS, Place, Places, keeps, places_of
from scheduler.spec_tasks import CustomTaskSpec, Part
from trainers.errors import nearest
from trainers.tasks.examples import CANONICAL
from trainers.tasks.formats import FORMATS, format_of
from trainers.tasks.spec import FamilyName, Metric, TaskSpec

LABELLED = frozenset({FamilyName.PAIR, FamilyName.CHOICE, FamilyName.TOKENS})
METRICS: Mapping[FamilyName, tuple[Metric, ...]] = {
    FamilyName.PAIR: (Metric.ACCURACY,),
    FamilyName.CHOICE: (Metric.ACCURACY,),
    FamilyName.SPANS: (Metric.QA_F1_EM, Metric.MLQA_F1_EM),
    FamilyName.TOKENS: (Metric.SPAN_F1,),
    FamilyName.RETRIEVAL: (Metric.ACCURACY_AT_1,),
    FamilyName.RANKING: (Metric.MAP_AT_20,),
    FamilyName.MINING: (Metric.MINING_F1,),
    FamilyName.MASKED: (Metric.PSEUDO_PERPLEXITY,),
}
_LAID_OUT = frozenset({FamilyName.RANKING, FamilyName.MINING})  # made of rows of several kinds
_UNTRAINED = frozenset({FamilyName.RETRIEVAL, FamilyName.MINING})


def problems_in(given: CustomTaskSpec, known: Mapping[str, TaskSpec]) -> Iterator[str]:
    """What is wrong with one task; ``known`` are the tasks before it."""
    if given.name in known:
        yield f"name: there is a task {given.name!r} already; give yours another name"
    base = known.get(given.like or "")
    if given.like is not None and base is None:
        yield f"like: no task {given.like!r} here. {nearest(given.like, known)}"
        return
    family = given.family or (base.family if base else None)
    if family is None:
        yield f"family: is missing; write one of {', '.join(FamilyName)}, or like: a task"
        return
    if base and family is not base.family:
        yield f"family: {base.name!r} is of the family {base.family}, not {family}; leave the key out"
        return
    yield from _settings(given, base, family)
    yield from _columns(given, base, family)
    yield from _files(given)
    yield from _hub(given)
    yield from _parts(given, base, family)
    yield from _languages(given, base)
    yield from _pool_languages(given, base)


def order_problems(
    given: CustomTaskSpec, known: Mapping[str, TaskSpec], unmade: Iterable[str]
) -> Iterator[str]:
    """What is wrong with the task that comes before it.

    Args:
        given: as in the spec.
        known: all tasks, the study's own among them.
        unmade: tasks of the study that have problems of their own.
    """
    chain, name = [given.name], given.after
    if not name or name in unmade:
        return
    if name not in known:
        yield f"after: no task {name!r} here. {nearest(name, known)}"
        return
    if not known[name].train:
        yield f"after: {name!r} is never trained, so it cannot come before {given.name!r}"
    while name and name in known:
        if name in chain:
            yield f"after: {' after '.join((*chain, name))} never begins; break the circle"
            return
        chain.append(name)
        name = known[name].after


def _settings(given: CustomTaskSpec, base: TaskSpec | None, family: FamilyName) -> Iterator[str]:
    if given.metric is not None and given.metric not in METRICS[family]:
        fitting = " or ".join(METRICS[family])
        yield f"metric: {given.metric} does not score the family {family}; {fitting} does"
    if family not in LABELLED:
        if given.labels is not None:
            yield f"labels: the family {family} has none; remove the key"
    elif given.labels is None and base is None:
        upos = " (upos for universal parts of speech)" if family is FamilyName.TOKENS else ""
        yield f"labels: is missing; list them in the order of the data's label ids{upos}"
    elif given.labels == "upos" and family is not FamilyName.TOKENS:
        yield f"labels: upos are labels of words, the family is {family}; list the labels"
    elif isinstance(given.labels, tuple) and len(set(given.labels)) < len(given.labels):
        twice = next(label for label in given.labels if given.labels.count(label) > 1)
        yield f"labels: {twice!r} is there twice"
    if family in _LAID_OUT and base is None:
        yield f"like: is missing; name a {family} task whose files yours look like"


def _columns(given: CustomTaskSpec, base: TaskSpec | None, family: FamilyName) -> Iterator[str]:
    names = dict.fromkeys((*CANONICAL[family], *(base.columns if base else ())))
    for name in given.columns:
        if name not in names:
            yield f"columns.{name}: the family {family} reads no such column. {nearest(name, names)}"
    if given.columns and not (given.files or given.hub):
        yield "columns: only data of its own has other columns; give files or hub"


def _files(given: CustomTaskSpec) -> Iterator[str]:
    formats = set()
    for part, languages in given.files.items():
        for code, paths in languages.items():
            for path in (paths,) if isinstance(paths, str) else paths:
                name = given.format or format_of(path)
                formats.add(name)
                if "://" in path:
                    yield f"files.{part}.{code}: {path} is no path; copy it to a disk that workers see"
                elif name is None:
                    yield (
                        f"files.{part}.{code}: {path} does not say its format; end it in one of "
                        f"{', '.join(FORMATS)} (.gz may follow), or give format"
                    )
    if given.header and not formats & {"csv", "tsv"}:
        yield "header: names the columns of csv and tsv files, and there is none"
    if given.format and not given.files:
        yield "format: is that of files, and there is none"


def _hub(given: CustomTaskSpec) -> Iterator[str]:
    if given.hub is None:
        return
    for part in given.hub.splits:
        if part in given.files:
            yield f"hub.splits.{part}: files has that part too; keep one of the two"
        elif not places_of(given, part):
            yield f"hub.languages.{part}: is missing; name the languages of hub.splits.{part}"
    if isinstance(given.hub.languages, Mapping):
        for part in given.hub.languages:
            if part not in given.hub.splits:
                yield f"hub.languages.{part}: hub.splits has no {part}"


def _parts(given: CustomTaskSpec, base: TaskSpec | None, family: FamilyName) -> Iterator[str]:
    """What is wrong with what its data is for."""
    places = {part: found for part in PARTS if (found := places_of(given, part))}
    scored = [part for part in ("search", "report") if part in places]
    if not places and base is None:
        yield "files: is missing; give files, hub, or like: a task that has data"
    if family in _UNTRAINED and "train" in places:
        yield f"files.train: the family {family} is never trained; remove the part"
    if family is FamilyName.MASKED and scored:
        yield f"files.{scored[0]}: masked text is trained on, and scores no target; remove the part"
    if "pool" in places and family is not FamilyName.RANKING:
        yield f"files.pool: only ranking has candidates of their own, the family is {family}"
    trained = "train" in places or (base is not None and base.train)
    if scored and not trained and family not in {*_UNTRAINED, FamilyName.MASKED}:
        yield "files.train: is missing; a target is trained before it is scored"
    if given.labels is not None and base is not None and keeps(places, base):
        yield f"labels: some data of {base.name!r} is kept, and so are its labels; remove the key"
    yield from _overlaps(places)


def _overlaps(places: Mapping[Part, Places]) -> Iterator[str]:
    """Data that has two parts: only search and report may share theirs, and then all of it."""
    pairs: tuple[tuple[Part, Part], ...] = (
        ("train", "search"),
        ("train", "report"),
        ("search", "report"),
    )
    for one, other in pairs:
        for code, place in places.get(one, {}).items():
            beside = places.get(other, {}).get(code, ())
            shared = _shared(place, beside)
            if shared and one == "train":
                yield f"files.{other}.{code}: {shared} is trained on too; score on other data"
            elif shared and place != beside:
                yield (
                    f"files.{other}.{code}: {shared} is in search too, other files are not; give both "
                    "the same files, of which each example then has one half, or no file in common"
                )


def _shared(place: Place, other: Place) -> str:
    """A file, or the split on the hub, that two parts have in common; empty for none."""
    if isinstance(place, str) or isinstance(other, str):
        return f"the split {place}" if place == other else ""
    return next((path for path in place if path in other), "")


def _languages(given: CustomTaskSpec, base: TaskSpec | None) -> Iterator[str]:
    if given.languages is None:
        return
    if base is None or given.files or given.hub:
        yield "languages: narrows a task that yours is like; files and hub name their own"
        return
    yield from _kept("languages", given.languages, base, base.score_languages or base.train_languages)


def _pool_languages(given: CustomTaskSpec, base: TaskSpec | None) -> Iterator[str]:
    if given.pool_languages is None:
        return
    if base is None or not base.pool or "pool" in given.files:
        yield "pool_languages: narrows the pool of a ranking task that yours is like"
        return
    has = tuple(dict.fromkeys(code for split in base.pool for code in split.languages))
    yield from _kept("pool_languages", given.pool_languages, base, has)


def _kept(key: str, codes: Sequence[str], base: TaskSpec, has: Sequence[str]) -> Iterator[str]:
    for i, code in enumerate(codes):
        if code not in has:
            yield f"{key}.{i}: {base.name!r} has no {code!r}. {nearest(code, has)}"
        elif code in codes[:i]:
            yield f"{key}.{i}: {code!r} is listed twice"
