"""The key ``inference`` of a budget spec: what finished models are asked, beside being scored.

Durations are written out because they are paid for: MLPerf's own submissions run a scenario for ten
minutes, which no small budget has. What is shorter is measured the same way and says so by LoadGen's own
verdict (``valid`` or not, and why) in the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from budgets.spec import Count, Number, SpecModel, Whole
from trainers.errors import nearest
from trainers.inference.load import Harness, Load, Scenario, loadgen_installed

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

Positive = Annotated[Whole, Field(ge=1)]
Seconds = Annotated[Number, Field(gt=0)]
ScenarioName = Literal["single-stream", "multi-stream", "server", "offline"]
AdapterForm = Literal["folded", "beside"]

_LONGEST = 3.0  # of the shortest duration, where the spec names no longest


class InferenceSpec(SpecModel):
    """How latency, throughput and memory are measured.

    Attributes:
        tasks: target tasks whose models are asked; all if empty.
        harness: ``loadgen`` is MLPerf's, beside the plain timing; ``plain`` is that alone.
        scenarios: LoadGen's, in the order in which they run.
        min_duration_s: of each scenario, and of batches asked plainly.
        max_duration_s: of each, whatever ``min_queries`` says; three times the shortest without it.
        min_queries: of each scenario.
        samples: examples per cell that are asked, of the search half.
        streams: samples of a query in multi-stream.
        server_latency_ms: the bound on the 99th percentile in server.
        server_queries_per_s: how many queries arrive in server; half of what the plain timing finds
            without it, which differs from model to model.
        adapters: how adapters that can be are run, added to the weights (``folded``) or not
            (``beside``); where both are asked for, the first counts as objective.
    """

    tasks: tuple[str, ...] = ()
    harness: Literal["loadgen", "plain"] = "loadgen"
    scenarios: Annotated[tuple[ScenarioName, ...], Field(min_length=1)] = (
        "single-stream",
        "multi-stream",
        "server",
        "offline",
    )
    min_duration_s: Seconds = 10
    max_duration_s: Seconds | None = None
    min_queries: Positive = 100
    samples: Annotated[Count, Field(gt=0)] = 64
    streams: Positive = 8
    server_latency_ms: Positive = 100
    server_queries_per_s: Annotated[Number, Field(gt=0)] | None = None
    adapters: Annotated[tuple[AdapterForm, ...], Field(min_length=1)] = ("folded", "beside")

    def load(self, seed: int) -> Load:
        """What a model is asked. Without LoadGen on this machine, the plain timing alone."""
        asked = Harness(self.harness)
        return Load(
            harness=asked if loadgen_installed() else Harness.PLAIN,
            scenarios=tuple(Scenario(name) for name in self.scenarios),
            min_duration_ms=round(1000 * self.min_duration_s),
            max_duration_ms=round(1000 * (self.max_duration_s or _LONGEST * self.min_duration_s)),
            min_queries=self.min_queries,
            streams=self.streams,
            server_latency_ms=self.server_latency_ms,
            server_queries_per_s=self.server_queries_per_s,
            seed=seed,
        )


def inference_problems(spec: StudySpec) -> Iterator[str]:
    """Problems of ``inference`` and of the objectives that it measures."""
    part, measured = spec.inference, spec.objectives.measured
    if part is None:
        yield from (
            f"objectives.{name}: nothing measures it; add the key 'inference'" for name in measured
        )
        return
    if spec.search.policy == "grid":
        yield (
            "inference: a table that is recorded (search.policy: grid) keeps no latencies; remove the "
            "key, or choose another policy"
        )
    if measured and spec.search.sampler == "structured":
        yield (
            f"objectives.{measured[0]}: the sampler 'structured' knows scores and hours alone; choose "
            "tpe, nsga2, gp or random"
        )
    for i, task in enumerate(part.tasks):
        if task not in spec.target.tasks:
            known = nearest(task, spec.target.tasks)
            yield f"inference.tasks.{i}: {task!r} is not in target.tasks. {known}"
    for key in ("tasks", "scenarios", "adapters"):
        listed = getattr(part, key)
        for i, name in enumerate(listed):
            if name in listed[:i]:
                yield f"inference.{key}.{i}: {name!r} is listed twice"
    if part.max_duration_s is not None and part.max_duration_s < part.min_duration_s:
        yield (
            f"inference.max_duration_s: {part.max_duration_s:g} is less than min_duration_s "
            f"{part.min_duration_s:g}"
        )


def inference_notes(spec: StudySpec) -> Iterator[str]:
    """What is to be known of how inference is measured, before a run."""
    if spec.inference is None:
        return
    if spec.inference.harness == "loadgen" and not loadgen_installed():
        yield (
            "inference is timed plainly, without MLPerf's scenarios: mlperf_loadgen is not installed "
            "here (pip install 'interlude-scheduler[inference]')"
        )
    devices = spec.budget.devices
    if devices.kind == "cpu" and devices.count > devices.per_trial:
        yield (
            f"inference is timed while up to {devices.count // devices.per_trial - 1} other stages use "
            "the same CPU; budget.devices.count: 1 times it alone"
        )
