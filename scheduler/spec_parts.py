"""The parts of a budget spec: one model per key, shapes only.

What the values mean (tasks, languages, models that exist) is checked in ``scheduler/checks.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from budgets.spec import Count, Number, SpecModel, Whole
from trainers.mixing import Rule
from trainers.stage import Optimisation

Natural = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Number, Field(gt=0, lt=1)]
Temperature = Annotated[Number, Field(ge=1)]
Tokens = Annotated[Count, Field(gt=0)]
Languages = Annotated[tuple[str, ...], Field(min_length=1)]
Weight = Annotated[Number, Field(gt=0)]
VariantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
Tuning = Literal["full", "lora", "ia3", "bottleneck"]
LearningRate = Rate | Annotated[Mapping[str, Rate], Field(min_length=1)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
MEASURED: tuple[Literal["latency_ms", "memory_mb"], ...] = ("latency_ms", "memory_mb")


class ModelSpec(SpecModel):
    """The encoder, or the encoders; each with each of the tunings is an arm of the study.

    Attributes:
        name: an entry of ``trainers/models.py``, a hub id, or a folder with a model; or a list of them.
        tuning: which weights are trained; or a list.
        precision: ``bf16`` is autocast over float32 weights, where the device has it.
        revision: on the hub, a commit that goes before the one pinned here.
    """

    name: str | Annotated[tuple[str, ...], Field(min_length=1)]
    tuning: Tuning | Annotated[tuple[Tuning, ...], Field(min_length=1)] = "full"
    precision: Literal["fp32", "bf16"] = "fp32"
    revision: Commit | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The encoders, one or more."""
        return (self.name,) if isinstance(self.name, str) else self.name

    @property
    def tunings(self) -> tuple[Tuning, ...]:
        """The tunings, one or more."""
        return (self.tuning,) if isinstance(self.tuning, str) else self.tuning


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


class MergedSpec(SpecModel):
    """A first look at a mix that trains nothing: its tasks' encoders, trained alone, are merged.

        theta = base + scale * sum_k rate_k (theta_k - base)

    Attributes:
        scale: of the sum of task vectors; 1 is their weighted mean.

    Source: task vectors, Ilharco et al. 2023, arXiv:2212.04089.
    """

    scale: Annotated[Number, Field(gt=0)] = 1.0


class IntermediateSpec(SpecModel):
    """What may be trained between pretraining and the target.

    Attributes:
        tasks: names in the catalogue, or of ``custom_tasks``.
        languages: those that supervised tasks are trained in; each task's first (English) if empty.
            Lists by name are variants, each an arm of the study.
        translations: where the languages lie that a task does not have in the catalogue: ``configs`` in
            configurations of their own, ``<config>.<language>``; ``column`` in the column
            ``translations`` of the English file, a struct with a field per language.
        text_languages: those that masked text is trained in; all it has if empty.
        count: k, the number of tasks in a mix, lowest and highest.
        mixing: how often each is drawn.
        rungs: tokens trained on, ascending; each rung continues the one before.
        merged: the rung below them; None leaves it out.
        learning_rate: peak, after warm-up; or one for each tuning of the study.
        batch_tokens: tokens, with padding, per optimiser step.
        accumulation: micro-batches per optimiser step.
    """

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    languages: tuple[str, ...] | Annotated[Mapping[VariantName, Languages], Field(min_length=1)] = ()
    translations: Literal["configs", "column"] = "configs"
    text_languages: tuple[str, ...] = ()
    count: tuple[Natural, Natural]
    mixing: MixingSpec = MixingSpec()
    rungs: Annotated[tuple[Tokens, ...], Field(min_length=1)]
    merged: MergedSpec | None = None
    learning_rate: LearningRate
    batch_tokens: Tokens = 2048
    accumulation: Positive = 1

    @property
    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """The languages by the name of their variant; under the empty name where there are none."""
        return {"": self.languages} if isinstance(self.languages, tuple) else self.languages

    @property
    def all_languages(self) -> tuple[str, ...]:
        """The languages of all variants, each once."""
        return tuple(dict.fromkeys(code for codes in self.variants.values() for code in codes))


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
        learning_rate: peak; or one for each tuning of the study.
        max_examples: examples per cell that the search scores at most; None for all.
    """

    benchmark: Literal["xtreme", "xtreme-r", "beyond", "toy"]
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    languages: Annotated[tuple[str, ...], Field(min_length=1)] | LowResourceSpec | Literal["all"]
    skip: tuple[str, ...] = ()
    tokens: Tokens
    learning_rate: LearningRate = 2e-5
    batch_tokens: Tokens = 2048
    accumulation: Positive = 1
    max_examples: Tokens | None = None


def steps_of(part: IntermediateSpec | TargetSpec, tuning: str) -> Optimisation:
    """How the stages of that part of a study step under a tuning."""
    given = part.learning_rate
    rates = given if isinstance(given, Mapping) else {tuning: given}
    return Optimisation(rates[tuning], part.batch_tokens, part.accumulation)


class ObjectivesSpec(SpecModel):
    """What is traded off. The score is always among them.

    Attributes:
        score: mean over target tasks, in points.
        gpu_hours: device time of a recipe's whole way.
        latency_ms: of one sample, the 90th percentile, mean over the tasks that ``inference`` asks.
        memory_mb: of the model and what one answer holds beside it, likewise; 10^6 bytes.
    """

    score: Literal["max"]
    gpu_hours: Literal["min"] | None = None
    latency_ms: Literal["min"] | None = None
    memory_mb: Literal["min"] | None = None

    @property
    def measured(self) -> tuple[Literal["latency_ms", "memory_mb"], ...]:
        """Those that an inference stage measures."""
        asked = {"latency_ms": self.latency_ms, "memory_mb": self.memory_mb}
        return tuple(name for name in MEASURED if asked[name])

    @property
    def directions(self) -> tuple[Literal["max", "min"], ...]:
        """One word per objective: the score, device time if it is one, then what is measured."""
        lower: list[Literal["max", "min"]] = ["min"] * (len(self.measured) + bool(self.gpu_hours))
        return ("max", *lower)


class SearchSpec(SpecModel):
    """Who proposes mixes and who decides which go on.

    Attributes:
        sampler: ``structured``, which fits a surrogate of mixes, one of Optuna's, or plain random.
        acquisition: what ``structured`` asks for most of: ``plain`` expected improvement, or expected
            improvement per hour.
        prior: what ``structured`` starts from: a YAML of published gains, or a past study's run folder.
        policy: which trial climbs to the next rung; ``grid`` runs every mix at every rung with every
            seed, in place of a search.
        eta: one trial in ``eta`` is promoted, under ``halving``.
        max_trials: proposals at most; None leaves it to the budget.
        design: of a study with several arms. Under ``search`` an arm is proposed with each mix, and one
            recipe wins; under ``factorial`` every proposed mix is tried in every arm, and arms are
            compared.
    """

    sampler: Literal["tpe", "nsga2", "gp", "random", "structured"] = "structured"
    acquisition: Literal["plain", "per-hour"] = "plain"
    prior: str | None = None
    policy: Literal["halving", "random", "uniform", "grid"] = "halving"
    eta: Annotated[Whole, Field(ge=2)] = 3
    max_trials: Positive | None = None
    design: Literal["search", "factorial"] = "search"


class FinalSpec(SpecModel):
    """What ``final_share`` pays for: the best recipes, repeated over seeds on report cells.

    Attributes:
        finalists: mixes beside the control.
        max_seeds: repetitions of each at most; the budget may end before.
        seeds: ``race`` gives further seeds to the control, the best finalist and the one that comes
            closest, and none to those surely below; ``equal`` gives all as many.
        max_examples: examples per cell that a report scores at most; None for all.
    """

    finalists: Positive = 2
    max_seeds: Positive = 8
    seeds: Literal["race", "equal"] = "race"
    max_examples: Tokens | None = None


class TrackingSpec(SpecModel):
    """Where runs are shown; a relative SQLite path lies inside the store."""

    mlflow: str | None = "sqlite:///mlflow.db"
