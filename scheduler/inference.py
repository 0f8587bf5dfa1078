"""Inference in the stage tree, in the forecast and among the objectives.

Which stages a recipe has (:func:`infer_stages`), how long one takes (:func:`duration_ms`), and what
came of them (:func:`figures`). What is asked of a model stands in ``scheduler/spec_inference.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from trainers.adapter_places import FOLDABLE
from trainers.inference.load import Load, Scenario
from trainers.provenance import cpu_name, gpu_models
from trainers.stage import EvaluateStage, Half, InferStage, Stage

if TYPE_CHECKING:
    from scheduler.spec import StudySpec
    from scheduler.trial import Recipe

_SLACK = 1.2  # on the shortest duration: LoadGen draws 1.1 times as many samples, 1.65 in offline
_BATCHED = 4.0  # samples that a batch answers in the time of one, until it was measured
# An objective: the fact that it is read from, and what one of it is in that fact's unit.
_READ: Mapping[str, tuple[str, float]] = {
    "latency_ms": ("latency_ms", 1.0),
    "memory_mb": ("memory_bytes", 1e6),
}


def is_asked(spec: StudySpec, recipe: Recipe, half: Half) -> bool:
    """Whether inference is measured: of finals and controls; of all where it is an objective."""
    measured = half is Half.REPORT or not recipe.mix.count or bool(spec.objectives.measured)
    return spec.inference is not None and measured


def infer_stages(spec: StudySpec, search: EvaluateStage) -> Iterator[InferStage]:
    """The inference stages beside the search's evaluation of a model: one, or one per form of adapter.

    They ask the search half, so that a final of the first seed finds those of its control or trial done.
    """
    part = spec.inference
    if part is None or (part.tasks and search.task not in part.tasks):
        return
    foldable = search.model.tuning in FOLDABLE
    for form in part.adapters if foldable else ("beside",):
        yield InferStage(
            search.model,
            search.parent,
            search.task,
            search.languages,
            search.data,
            part.load(spec.seed),
            device_of(spec),
            part.samples,
            folded=form == "folded",
            definition=search.definition,
        )


def device_of(spec: StudySpec) -> str:
    """What a study's stages run on, and how many of it each: the driver's own device, if it has one."""
    devices = spec.budget.devices
    name = cpu_name() if devices.kind == "cpu" else next(iter(gpu_models()), "")
    return f"{devices.per_trial} x {name}" if name else ""


def figures(
    names: Iterable[str], stages: Mapping[str, Stage], facts_of: Callable[[str], Mapping[str, float]]
) -> tuple[float, ...]:
    """Objectives of a model: the mean over its tasks, each run as the spec's first form.

    Args:
        names: ``latency_ms``, ``memory_mb``.
        stages: of the model by fingerprint, in the order of the tree.
        facts_of: what a stage measured; nothing in a simulation, where every model has 0.
    """
    first: dict[str, str] = {}
    for name, stage in stages.items():
        if isinstance(stage, InferStage):
            first.setdefault(stage.task, name)
    found = [facts_of(name) for name in first.values()]
    return tuple(
        fmean(facts.get(fact, 0.0) / unit for facts in found) if found else 0.0
        for fact, unit in (_READ[name] for name in names)
    )


def duration_ms(load: Load, n_samples: int, sample_ms: float) -> int:
    """Device time of an inference stage whose model takes ``sample_ms`` for one sample.

    plain     every sample alone, then in batches for the shortest duration, after one round of each
    accuracy  every sample in batches
    scenario  the shortest duration, or the least number of queries, within the longest
    """
    batched_ms = sample_ms / _BATCHED
    per_query_ms = {
        Scenario.SINGLE_STREAM: sample_ms,
        Scenario.MULTI_STREAM: load.streams * batched_ms,
        Scenario.SERVER: 1000 / load.server_queries_per_s
        if load.server_queries_per_s
        else 2 * sample_ms,
        Scenario.OFFLINE: 0.0,
    }
    one_by_one_ms = min(load.max_duration_ms, n_samples * sample_ms)
    plain_ms = one_by_one_ms + n_samples * batched_ms + load.min_duration_ms
    accuracy_ms = n_samples * batched_ms if load.asked else 0.0
    scenarios_ms = (
        min(
            load.max_duration_ms,
            max(_SLACK * load.min_duration_ms, load.min_queries * per_query_ms[one]),
        )
        for one in load.asked
    )
    return math.ceil(plain_ms + accuracy_ms + sum(scenarios_ms))
