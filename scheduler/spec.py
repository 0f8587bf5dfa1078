"""The budget spec of a study: YAML in, one frozen object out.

Read once, at the door; inside there are only typed objects. ``budgets.spec`` checks shapes, and
``scheduler/checks.py`` checks meaning (tasks, languages, models that exist). Every problem is
listed at once. ``scheduler/places.py`` says where a study keeps its things.
"""

from __future__ import annotations

import copy
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from budgets.errors import SpecError
from budgets.spec import BudgetSpec, SpecModel, parse, read_yaml
from scheduler.asked import cells_of, languages_of, mixed_languages_of, scorable_languages
from scheduler.checks import problems_of
from scheduler.own_tasks import OwnTasks, own_tasks
from scheduler.registration import PreregistrationSpec
from scheduler.spec_inference import InferenceSpec
from scheduler.spec_parts import (
    DataSpec,
    FinalSpec,
    IntermediateSpec,
    ModelSpec,
    Natural,
    ObjectivesSpec,
    PretrainSpec,
    SearchSpec,
    TargetSpec,
    TrackingSpec,
)
from scheduler.spec_tasks import CustomTaskSpec
from scheduler.translations import with_translations
from scheduler.trial import Arm
from trainers.tasks.catalog import Catalogue, installed


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
    inference: InferenceSpec | None = None
    preregistration: PreregistrationSpec | None = None

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

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every combination of model, tuning and languages of the intermediate data, in spec order."""
        factors = (self.model.names, self.model.tunings, self.intermediate.variants)
        return tuple(Arm(model, tuning, languages) for model, tuning, languages in product(*factors))

    def mixed_languages(self, task: str, variant: str | None = None) -> tuple[str, ...]:
        """Languages that an intermediate task is trained in, under a variant; None for all of them."""
        return mixed_languages_of(self, task, variant)

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
