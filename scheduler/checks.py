"""What a budget spec must mean: tasks, languages, models and ranges that can be carried out.

Shapes are checked when the YAML is read. Here every name is looked up and every range compared;
each finding is one line that starts with the path of the key and says what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scheduler.places import POSTGRESQL
from trainers.errors import ModelError, TaskError, nearest
from trainers.models import entry
from trainers.tasks.catalog import TASKS, benchmark_tasks
from trainers.tasks.languages import LANGUAGES, low_resource
from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES

if TYPE_CHECKING:
    from scheduler.spec import StudySpec


def languages_of(spec: StudySpec) -> tuple[str, ...]:
    """The languages a study asks for that at least one of its target tasks can score."""
    scorable = {code for task in spec.target.tasks for code in TASKS[task].score_languages}
    return tuple(code for code in _asked(spec) if code in scorable)


def cells_of(spec: StudySpec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Target tasks with the asked languages each can be scored in."""
    asked = _asked(spec)
    return tuple(
        (task, tuple(code for code in asked if code in TASKS[task].score_languages))
        for task in spec.target.tasks
    )


def _asked(spec: StudySpec) -> tuple[str, ...]:
    """Languages by list or by definition, whether or not a task has them."""
    languages = spec.target.languages
    if isinstance(languages, tuple):
        return languages
    return low_resource(languages.low_resource, spec.world)


def problems_of(spec: StudySpec) -> list[str]:
    """Everything that keeps ``spec`` from being carried out, empty when nothing does."""
    return [
        *_intermediate(spec),
        *_targets(spec),
        *_languages(spec),
        *_model(spec),
        *_data(spec),
        *_places(spec),
    ]


def _known_tasks(path: str, tasks: tuple[str, ...], world: str, names: Iterable[str]) -> Iterator[str]:
    """Problems of a list of task names: twice, unknown, or of the other world."""
    candidates = [name for name in names if TASKS[name].world == world]
    for i, name in enumerate(tasks):
        if name in tasks[:i]:
            yield f"{path}.{i}: task {name!r} is listed twice"
        elif name not in TASKS:
            yield f"{path}.{i}: unknown task {name!r}. {nearest(name, candidates)}"
        elif TASKS[name].world != world:
            yield (
                f"{path}.{i}: task {name!r} belongs to the {TASKS[name].world} world, the data source "
                f"is of the {world} world. {nearest(name, candidates)}"
            )


def _intermediate(spec: StudySpec) -> Iterator[str]:
    part = spec.intermediate
    trainable = [name for name, task in TASKS.items() if task.train]
    yield from _known_tasks("intermediate.tasks", part.tasks, spec.world, trainable)
    for i, name in enumerate(part.tasks):
        if name in TASKS and not TASKS[name].train:
            yield f"intermediate.tasks.{i}: task {name!r} is never trained. {nearest(name, trainable)}"
    lowest, highest = part.count
    if lowest > highest or highest > len(part.tasks):
        yield (
            f"intermediate.count: [{lowest}, {highest}] is not a range within 0 and the "
            f"{len(part.tasks)} tasks listed"
        )
    for key, (low, high) in (("cap", part.mixing.cap), ("temperature", part.mixing.temperature)):
        if low > high:
            yield f"intermediate.mixing.{key}: [{low}, {high}] goes down; write the lower end first"
    if list(part.rungs) != sorted(set(part.rungs)):
        yield f"intermediate.rungs: must go up, got {', '.join(f'{rung:,}' for rung in part.rungs)}"
    yield from _batches("intermediate", part.batch_tokens, part.accumulation, min(part.rungs))


def _targets(spec: StudySpec) -> Iterator[str]:
    part = spec.target
    benchmark = tuple(benchmark_tasks(part.benchmark))
    yield from _known_tasks("target.tasks", part.tasks, spec.world, benchmark)
    for i, name in enumerate(part.tasks):
        if name not in TASKS:
            continue
        if name not in benchmark:
            yield f"target.tasks.{i}: {name!r} is not in {part.benchmark}. {nearest(name, benchmark)}"
        elif not TASKS[name].score_languages:
            yield f"target.tasks.{i}: task {name!r} has no split to score it on"
    yield from _batches("target", part.batch_tokens, part.accumulation, part.tokens)


def _batches(path: str, batch_tokens: int, accumulation: int, tokens: int) -> Iterator[str]:
    """Problems of a training stage's batch size."""
    if batch_tokens > tokens:
        yield f"{path}.batch_tokens: {batch_tokens:,} is more than a whole stage of {tokens:,} tokens"
    if batch_tokens % accumulation:
        yield f"{path}.accumulation: {accumulation} does not divide batch_tokens {batch_tokens:,}"


def _languages(spec: StudySpec) -> Iterator[str]:
    try:
        asked = _asked(spec)
    except TaskError as error:
        yield f"target.languages.low_resource: {error}"
        return
    tasks = [name for name in spec.target.tasks if name in TASKS]
    known = tuple(TOY_LANGUAGES if spec.world == "toy" else LANGUAGES)
    scorable = {code for name in tasks for code in TASKS[name].score_languages}
    if isinstance(spec.target.languages, tuple):
        for i, code in enumerate(asked):
            if code in asked[:i]:
                yield f"target.languages.{i}: language {code!r} is listed twice"
            elif code not in known:
                yield f"target.languages.{i}: unknown language {code!r}. {nearest(code, scorable)}"
            elif code not in scorable:
                yield (
                    f"target.languages.{i}: no target task has scored data in {code!r}"
                    f". {nearest(code, scorable)}"
                )
    for i, name in enumerate(spec.target.tasks):
        if (
            name in TASKS
            and TASKS[name].score_languages
            and not set(asked) & set(TASKS[name].score_languages)
        ):
            yield (
                f"target.tasks.{i}: task {name!r} has none of the study's languages; it has "
                f"{', '.join(TASKS[name].score_languages)}"
            )


def _model(spec: StudySpec) -> Iterator[str]:
    try:
        model = entry(spec.model.name)
    except ModelError as error:
        yield f"model.name: {error}"
        return
    if model.world != spec.world:
        yield (
            f"model.name: {model.name!r} belongs to the {model.world} world, the data source "
            f"{spec.data.source!r} to the {spec.world} world"
        )
    if model.shape is not None and spec.pretrain is None:
        yield f"pretrain: {model.name!r} starts from random weights; say how many tokens to train"
    if model.shape is None and spec.pretrain is not None:
        yield f"pretrain: {model.name!r} is pretrained already; remove the key"


def _data(spec: StudySpec) -> Iterator[str]:
    if spec.data.source != "mirror" and spec.data.path is not None:
        yield f"data.path: only a mirror has one, the source is {spec.data.source!r}"
    if spec.data.source != "hub" and spec.data.revisions:
        yield f"data.revisions: only the hub has them, the source is {spec.data.source!r}"
    known = {s.data.repo for task in TASKS.values() for s in (*task.train, *task.search, *task.report)}
    for repo in spec.data.revisions:
        if repo not in known:
            yield f"data.revisions.{repo}: no task reads this data set. {nearest(repo, known)}"


def _places(spec: StudySpec) -> Iterator[str]:
    remote = "://" in spec.store
    if remote and spec.journal is None:
        yield (
            f"journal: a store at {spec.store} cannot hold a database; name one on a local disk that "
            "outlives the run, for instance sqlite:////data/study/journal.db"
        )
    if spec.journal is not None and not spec.journal.startswith(("sqlite:///", POSTGRESQL)):
        yield (
            f"journal: {spec.journal!r} is no journal; write sqlite:////folder/journal.db or "
            f"{POSTGRESQL}user@host/database"
        )
    tracking = spec.tracking.mlflow
    if tracking is not None and "://" not in tracking:
        yield f"tracking.mlflow: {tracking!r} is no URL; write sqlite:///mlflow.db, a server, or null"
    elif tracking is not None and tracking.startswith("file:"):
        yield f"tracking.mlflow: MLflow refuses file stores ({tracking}); write sqlite:///mlflow.db"
    elif (
        remote and tracking is not None and tracking.startswith("sqlite:///") and tracking[10:11] != "/"
    ):
        yield f"tracking.mlflow: {tracking} would lie in {spec.store}; give an absolute path or a server"
