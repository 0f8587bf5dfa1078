"""The budget spec of a study: YAML in, one frozen object out.

Read once, at the door; inside there are only typed objects. ``budgets.spec`` checks shapes, and
``scheduler/checks.py`` checks meaning (tasks, languages, models that exist). Every problem is
listed at once. ``scheduler/places.py`` says where a study keeps its things.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from budgets.errors import SpecError
from budgets.spec import BudgetSpec, Count, Number, SpecModel, Whole, parse, read_yaml
from scheduler.asked import cells_of, languages_of, mixed_languages_of, scorable_languages
from scheduler.checks import problems_of
from scheduler.own_tasks import OwnTasks, own_tasks
from scheduler.spec_tasks import CustomTaskSpec
from scheduler.translations import with_translations
from trainers.mixing import Rule
from trainers.tasks.catalog import Catalogue, installed

Natural = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Number, Field(gt=0, lt=1)]
Temperature = Annotated[Number, Field(ge=1)]
Tokens = Annotated[Count, Field(gt=0)]
Weight = Annotated[Number, Field(gt=0)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class ModelSpec(SpecModel):
    """The encoder.

    Attributes:
        name: an entry of ``trainers/models.py``, a hub id, or a folder with a model.
        tuning: which weights are trained.
        precision: ``bf16`` is autocast over float32 weights, where the device has it.
        revision: on the hub, a commit that goes before the one pinned here.
    """

    name: str
    tuning: Literal["full"] = "full"
    precision: Literal["fp32", "bf16"] = "fp32"
    revision: Commit | None = None


class DataSpec(SpecModel):
    """Where rows come from.

    Attributes:
        source: the hub, a mirror of it, or the generated toy world.
        path: folder of the mirror; without it ``INTERLUDE_MIRROR`` names it.
        revisions: on the hub, commits by ``org/name``, for data sets that have no pin here or another.
    """

    source: Literal["hub", "mirror", "toy"]
    path: str | None = None
    revisions: Mapping[str, Commit] = {}


class PretrainSpec(SpecModel):
    """Masked-LM from random weights, the first stage of a study on a toy model."""

    tokens: Tokens
    learning_rate: Rate = 1e-3
    batch_tokens: Tokens = 2048


class MixingSpec(SpecModel):
    """How often a task of a mix is drawn.

    Attributes:
        rule: ``temperature`` searches cap and temperature, ``capped`` the cap alone; ``proportional``
            follows the data, ``uniform`` treats every task alike, ``weights`` takes the ones given.
        cap: K, examples of a task that count, lowest and highest.
        temperature: T, lowest and highest, at least 1.
        weights: by task, for the rule of that name; without unit.
        text: the share of steps that masked text gets beside other tasks, lowest and highest; None
            lets the rule decide, as for any task.
    """

    rule: Rule = "temperature"
    cap: tuple[Tokens, Tokens] = (16_384, 131_072)
    temperature: tuple[Temperature, Temperature] = (1.0, 4.0)
    weights: Mapping[str, Weight] = Field(default_factory=dict)
    text: tuple[Rate, Rate] | None = None


class IntermediateSpec(SpecModel):
    """What may be trained between pretraining and the target.

    Attributes:
        tasks: names in the catalogue, or of ``custom_tasks``.
        languages: those that supervised tasks are trained in; each task's first (English) if empty.
        translations: where the languages lie that a task does not have in the catalogue: ``configs`` in
            configurations of their own, ``<config>.<language>``; ``column`` in the column
            ``translations`` of the English file, a struct with a field per language.
        text_languages: those that masked text is trained in; all it has if empty.
        count: k, the number of tasks in a mix, lowest and highest.
        mixing: how often each is drawn.
        rungs: tokens trained on, ascending; each rung continues the one before.
        learning_rate: peak, after warm-up.
        batch_tokens: tokens, with padding, per optimiser step.
        accumulation: micro-batches per optimiser step.
    """

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    languages: tuple[str, ...] = ()
    translations: Literal["configs", "column"] = "configs"
    text_languages: tuple[str, ...] = ()
    count: tuple[Natural, Natural]
    mixing: MixingSpec = MixingSpec()
    rungs: Annotated[tuple[Tokens, ...], Field(min_length=1)]
    learning_rate: Rate
    batch_tokens: Tokens = 2048
    accumulation: Positive = 1


class LowResourceSpec(SpecModel):
    """Languages named by a definition of *low-resource*: ``default``, another name, or a list."""

    low_resource: str | tuple[str, ...]


class TargetSpec(SpecModel):
    """What the study is for.

    Attributes:
        benchmark: the list that ``tasks`` are from, beside ``custom_tasks``.
        tasks: names in the catalogue, or of ``custom_tasks``.
        languages: ISO codes, a definition of *low-resource*, or ``all``.
        skip: cells to do without, as ``task/language``.
        tokens: trained on per target task, on English data.
        max_examples: examples per cell that the search scores at most; None for all.
    """

    benchmark: Literal["xtreme", "xtreme-r", "beyond", "toy"]
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | LowResourceSpec | Literal["all"]
    skip: tuple[str, ...] = ()
    tokens: Tokens
    learning_rate: Rate = 2e-5
    batch_tokens: Tokens = 2048
    accumulation: Positive = 1
    max_examples: Tokens | None = None


class ObjectivesSpec(SpecModel):
    """What is traded off. The score is always among them."""

    score: Literal["max"]
    gpu_hours: Literal["min"] | None = None

    @property
    def directions(self) -> tuple[Literal["max", "min"], ...]:
        """One word per objective: the score, then device time if it is one."""
        return ("max",) if self.gpu_hours is None else ("max", "min")


class SearchSpec(SpecModel):
    """Who proposes mixes and who decides which go on.

    Attributes:
        sampler: Optuna's, plain random, or ``structured``, which fits a surrogate of mixes.
        acquisition: what ``structured`` asks for most of: expected improvement per hour, or ``plain``
            improvement whatever its price.
        prior: what ``structured`` starts from: a YAML of published gains, or a past study's run folder.
        policy: which trial climbs to the next rung; ``grid`` runs every mix at every rung with every
            seed, in place of a search.
        eta: one trial in ``eta`` is promoted, under ``halving``.
        max_trials: proposals at most; None leaves it to the budget.
    """

    sampler: Literal["tpe", "nsga2", "gp", "random", "structured"] = "tpe"
    acquisition: Literal["per-hour", "plain"] = "per-hour"
    prior: str | None = None
    policy: Literal["halving", "random", "uniform", "grid"] = "halving"
    eta: Annotated[Whole, Field(ge=2)] = 3
    max_trials: Positive | None = None


class FinalSpec(SpecModel):
    """What ``final_share`` pays for: the best recipes, repeated over seeds on report cells.

    Attributes:
        finalists: mixes beside the control.
        max_seeds: repetitions of each at most; the budget may end before.
        max_examples: examples per cell that a report scores at most; None for all.
    """

    finalists: Positive = 2
    max_seeds: Positive = 8
    max_examples: Tokens | None = None


class TrackingSpec(SpecModel):
    """Where runs are shown; a relative SQLite path lies inside the store."""

    mlflow: str | None = "sqlite:///mlflow.db"


class StudySpec(SpecModel):
    """One study.

    Attributes:
        name: of the run folder and in every record.
        question: what the study answers, in words.
        seed: of every random choice.
        store: a directory or any fsspec URL.
        journal: database, ``sqlite:////folder/journal.db`` or ``postgresql+psycopg://…``; in the run
            folder without it.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
    question: str = ""
    seed: Natural = 13
    store: Annotated[str, Field(min_length=1)] = "runs"
    journal: str | None = None
    budget: BudgetSpec
    model: ModelSpec
    data: DataSpec
    pretrain: PretrainSpec | None = None
    custom_tasks: tuple[CustomTaskSpec, ...] = ()
    intermediate: IntermediateSpec
    target: TargetSpec
    objectives: ObjectivesSpec = ObjectivesSpec(score="max", gpu_hours="min")
    search: SearchSpec = SearchSpec()
    final: FinalSpec = FinalSpec()
    tracking: TrackingSpec = TrackingSpec()

    @property
    def world(self) -> str:
        """``toy`` for the generated world, ``hub`` for real data."""
        return "toy" if self.data.source == "toy" else "hub"

    @cached_property
    def own_tasks(self) -> OwnTasks:
        """The tasks of ``custom_tasks``."""
        return own_tasks(self.custom_tasks, installed(), self.world)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Every task this study can name: built in, installed, and its own; with its translations."""
        return with_translations(installed().extended(self.own_tasks.tasks), self.intermediate)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the study that at least one target task can score."""
        return languages_of(self)

    @property
    def cells(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Target tasks with the languages each is scored in."""
        return cells_of(self)

    def mixed_languages(self, task: str) -> tuple[str, ...]:
        """Languages that an intermediate task is trained in."""
        return mixed_languages_of(self, task)

    @property
    def missing_cells(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Target tasks with the study's languages that they have no scored data in."""
        had = {task: scorable_languages(self, task) for task in self.target.tasks}
        gaps = ((task, tuple(c for c in self.languages if c not in had[task])) for task in had)
        return tuple((task, codes) for task, codes in gaps if codes and had[task])


def load(path: str | Path, store: str | None = None) -> tuple[StudySpec, str]:
    """The spec in a YAML file and the text as written.

    Args:
        path: the file.
        store: takes the place of the file's ``store``.

    Raises:
        SpecError: the file does not describe a study; lists every problem.
    """
    mapping, text = read_yaml(path)
    if store is not None:
        mapping = {**mapping, "store": store}
    return read(mapping, source=str(path)), text


def read(mapping: dict[str, object], source: str) -> StudySpec:
    """The study that ``mapping`` describes, its meaning checked too.

    Raises:
        SpecError: it does not describe a study; lists every problem.
    """
    try:
        spec = parse(StudySpec, mapping, source)
    except SpecError as error:
        raise SpecError([*error.problems, *_despite(mapping, error, source)], source) from error
    if problems := problems_of(spec):
        raise SpecError(problems, source)
    return spec


def _despite(mapping: dict[str, object], error: SpecError, source: str) -> list[str]:
    """Problems of meaning in what is left once the keys that cannot be read are taken out."""
    rest: dict[str, Any] = copy.deepcopy(mapping)
    paths = [line.split(":", 1)[0].split(".") for line in error.problems]
    if any(path[0] == "custom_tasks" for path in paths):
        return []  # without them nobody can say what the names of tasks and languages mean
    for path in paths:
        _take_out(rest, path)
    try:
        return problems_of(parse(StudySpec, rest, source))
    except SpecError:
        return []  # a key that is needed was among them


def _take_out(part: dict[str, Any], path: list[str]) -> None:
    """Remove the key at ``path``, a whole list where one of its items is meant."""
    first, *rest = path
    if rest and isinstance(part.get(first), dict):
        _take_out(part[first], rest)
    else:
        part.pop(first, None)


def json_schema() -> dict[str, object]:
    """JSON Schema of the budget spec, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudySpec.model_json_schema(),
        "title": "Interlude budget spec",
    }
