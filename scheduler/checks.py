"""What a budget spec must mean: tasks, languages, models and ranges that can be carried out.

Shapes are checked when the YAML is read. Here every name is looked up and every range compared;
each finding is one line that starts with the path of the key and says what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from budgets.errors import SpecError
from scheduler.asked import asked_languages, known_languages, scorable_languages
from scheduler.checks_mixing import mixing_problems
from scheduler.checks_tuning import tuning_problems
from scheduler.places import POSTGRESQL
from scheduler.registration import registration_problems
from scheduler.spec_inference import inference_problems
from trainers.errors import ModelError, TaskError, nearest
from trainers.models import entry
from trainers.tasks.catalog import TASKS, benchmark
from trainers.tasks.spec import HubData

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

_LOOKS = ("halving", "grid")  # policies that decide by a first look, or record it


def problems_of(spec: StudySpec) -> list[str]:
    """Everything that keeps ``spec`` from being carried out, empty when nothing does."""
    if own := spec.own_tasks.problems:  # what names of tasks and languages mean hangs on them
        return [*own, *_models(spec), *_data(spec), *_places(spec)]
    languages = [*_languages(spec)]
    return [
        *_intermediate(spec),
        *mixing_problems(spec),
        *_targets(spec),
        *languages,
        *_skipped(spec),
        *_models(spec),
        *tuning_problems(spec),
        *_data(spec),
        *_places(spec),
        *_search(spec),
        *inference_problems(spec),
        *(() if languages else registration_problems(spec)),  # a contrast may be on a language
    ]


def _known_tasks(
    path: str, tasks: tuple[str, ...], spec: StudySpec, names: Iterable[str]
) -> Iterator[str]:
    """Problems of a list of task names: twice, unknown, or of the other world."""
    known, world = spec.catalogue, spec.world
    candidates = [name for name in names if name in known and known[name].world == world]
    for i, name in enumerate(tasks):
        if name in tasks[:i]:
            yield f"{path}.{i}: task {name!r} is listed twice"
        elif name not in known:
            yield f"{path}.{i}: unknown task {name!r}. {nearest(name, candidates)}"
        elif known[name].world != world:
            yield (
                f"{path}.{i}: task {name!r} belongs to the {known[name].world} world, the data source "
                f"is of the {world} world. {nearest(name, candidates)}"
            )


def _intermediate(spec: StudySpec) -> Iterator[str]:
    part = spec.intermediate
    trainable = [name for name, task in spec.catalogue.items() if task.train]
    yield from _known_tasks("intermediate.tasks", part.tasks, spec, trainable)
    for i, name in enumerate(part.tasks):
        if name in spec.catalogue and not spec.catalogue[name].train:
            yield f"intermediate.tasks.{i}: task {name!r} is never trained. {nearest(name, trainable)}"
    lowest, highest = part.count
    if lowest > highest or highest > len(part.tasks):
        yield (
            f"intermediate.count: [{lowest}, {highest}] is not a range within 0 and the "
            f"{len(part.tasks)} tasks listed"
        )
    if list(part.rungs) != sorted(set(part.rungs)):
        yield f"intermediate.rungs: must go up, got {', '.join(f'{rung:,}' for rung in part.rungs)}"
    yield from _batches("intermediate", part.batch_tokens, part.accumulation, min(part.rungs))


def _targets(spec: StudySpec) -> Iterator[str]:
    part = spec.target
    listed = {*benchmark(part.benchmark).cells, *(name for name in spec.catalogue if name not in TASKS)}
    yield from _known_tasks("target.tasks", part.tasks, spec, listed)
    for i, name in enumerate(part.tasks):
        if name not in spec.catalogue:
            continue
        if name not in listed:
            yield f"target.tasks.{i}: {name!r} is not in {part.benchmark}. {nearest(name, listed)}"
        elif not scorable_languages(spec, name):
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
        asked = asked_languages(spec)
    except TaskError as error:
        yield f"target.languages.low_resource: {error}"
        return
    tasks = [name for name in spec.target.tasks if name in spec.catalogue]
    known = known_languages(spec.world)
    scorable = {code for name in tasks for code in scorable_languages(spec, name)}
    if isinstance(spec.target.languages, tuple):
        for i, code in enumerate(asked):
            if code in asked[:i]:
                yield f"target.languages.{i}: language {code!r} is listed twice"
            elif code not in {*known, *scorable}:
                yield f"target.languages.{i}: unknown language {code!r}. {nearest(code, scorable)}"
            elif code not in scorable:
                yield (
                    f"target.languages.{i}: no target task has scored data in {code!r}"
                    f". {nearest(code, scorable)}"
                )
    for i, name in enumerate(spec.target.tasks):
        if (
            name in spec.catalogue
            and scorable_languages(spec, name)
            and not set(asked) & set(scorable_languages(spec, name))
        ):
            yield (
                f"target.tasks.{i}: task {name!r} has none of the study's languages; it has "
                f"{', '.join(scorable_languages(spec, name))}"
            )


def _skipped(spec: StudySpec) -> Iterator[str]:
    """Problems of ``target.skip``: entries that name no cell, and tasks that it leaves nothing of."""
    part, seen = spec.target, set[str]()
    for i, cell in enumerate(part.skip):
        path, (task, _, code) = f"target.skip.{i}", cell.partition("/")
        known = scorable_languages(spec, task) if task in spec.catalogue else ()
        if cell in seen:
            yield f"{path}: {cell!r} is listed twice"
        elif not code:
            yield f"{path}: {cell!r} is no cell; write task/language"
        elif task not in part.tasks:
            yield f"{path}: {task!r} is not in target.tasks. {nearest(task, part.tasks)}"
        elif known and code not in known:
            yield f"{path}: task {task!r} has no cell in {code!r}. {nearest(code, known)}"
        seen.add(cell)
    try:
        asked = asked_languages(spec)
    except TaskError:
        return  # told by _languages
    for i, name in enumerate(part.tasks):
        if name in spec.catalogue:
            cells = {f"{name}/{code}" for code in asked if code in scorable_languages(spec, name)}
            if cells and cells <= seen:
                yield f"target.tasks.{i}: target.skip leaves no cell of {name!r}; take the task out"


def _models(spec: StudySpec) -> Iterator[str]:
    part = spec.model
    for key, values in (("name", part.names), ("tuning", part.tunings)):
        for i, value in enumerate(values):
            if value in values[:i]:
                yield f"model.{key}.{i}: {value!r} is listed twice"
    if part.revision and len(part.names) > 1:
        yield (
            f"model.revision: a commit is of one model, and {len(part.names)} are listed. Remove the key"
        )
    for name in part.names:
        yield from _model(spec, name)


def _model(spec: StudySpec, name: str) -> Iterator[str]:
    try:
        model = entry(name)
    except ModelError as error:
        yield f"model.name: {error}"
        return
    if model.world != spec.world:
        yield (
            f"model.name: {model.name!r} belongs to the {model.world} world, the data source "
            f"{spec.data.source!r} to the {spec.world} world"
        )
    if spec.model.revision and (spec.data.source != "hub" or not model.revision):
        yield (
            f"model.revision: only a model on the hub has one; {model.name!r} comes from "
            f"{model.hub_id or 'no hub'} and the data source is {spec.data.source!r}. Remove the key"
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
    known = {
        split.data.repo
        for task in spec.catalogue.values()
        for split in (*task.train, *task.search, *task.report, *task.pool)
        if isinstance(split.data, HubData)
    }
    for repo in spec.data.revisions:
        if repo not in known:
            yield f"data.revisions.{repo}: no task reads this data set. {nearest(repo, known)}"


def _search(spec: StudySpec) -> Iterator[str]:
    search = spec.search
    if search.design == "factorial" and len(spec.arms) == 1:
        yield (
            "search.design: 'factorial' compares arms, and this study has one; list models, tunings or "
            "variants of intermediate.languages, or remove the key"
        )
    if spec.intermediate.merged is not None and search.policy not in _LOOKS:
        yield (
            f"intermediate.merged: the policy {search.policy!r} trains every mix whatever its first "
            f"look says; remove the key, or choose a policy that uses it ({', '.join(_LOOKS)})"
        )
    if search.sampler != "structured":
        given = {"acquisition": search.acquisition != "plain", "prior": search.prior is not None}
        for key in (key for key, is_given in given.items() if is_given):
            yield f"search.{key}: only the sampler 'structured' has one, not {search.sampler!r}"
    elif search.prior is not None:
        from scheduler.prior import prior_begun, prior_of

        try:
            prior_of(spec)
        except SpecError as error:
            if prior_begun(spec) is not None:
                return  # the run has its own copy
            yield from (f"search.prior: {search.prior}: {problem}" for problem in error.problems)


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
