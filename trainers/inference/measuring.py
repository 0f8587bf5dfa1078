"""An inference stage: part by part, so that what was measured once is not measured again.

    plain                       latency of single samples, throughput, memory, energy
    points                      every sample scored as an evaluation does; LoadGen asks each once, too,
                                and has to find the same
    single-stream, …, offline   LoadGen's scenarios

A stage that is stopped leaves the parts it has finished under ``<name>.partial`` in the store; a part
that was cut is measured anew, since half of a test is none. A part begins only if the lease has the
time for it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from budgets.bill import Purpose
from trainers.checkpoints import PARTIAL, StageStore
from trainers.evaluate import DeadlinePassed
from trainers.evaluation import BATCH_TOKENS
from trainers.inference.answering import Answering, answering
from trainers.inference.footprint import joules
from trainers.inference.load import Harness, Scenario
from trainers.inference.loadgen import Hints, Logs, needed_ms, run_loadgen
from trainers.inference.plain import time_plainly
from trainers.order import Outcome
from trainers.stage import InferStage, stage_name
from trainers.training import FACTS, Lease

if TYPE_CHECKING:
    from trainers.warm import WarmCache

LATENCIES, LOGS = "latencies.parquet", "loadgen"
_PLAIN, _POINTS, _ACCURACY = "plain", "points", "accuracy"


@dataclass(frozen=True, slots=True)
class Inferred:
    """What came of an inference stage in one lease: facts by name with units, LoadGen's summaries."""

    outcome: Outcome
    facts: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Parts:
    """Finished parts: what they found, and in ``folder`` what they wrote."""

    folder: Path
    done: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def take(self, kept: Path) -> None:
        """The parts that :meth:`save` wrote into ``kept``."""
        shutil.copytree(kept, self.folder, dirs_exist_ok=True)
        record = json.loads((kept / FACTS).read_text())
        self.done, self.facts, self.texts = record["done"], record["facts"], record["texts"]

    def save(self, folder: Path) -> None:
        """Write them into ``folder``."""
        record = {"done": self.done, "facts": self.facts, "texts": self.texts}
        (self.folder / FACTS).write_text(json.dumps(record, indent=1))
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)


def run_inference(stage: InferStage, warm: WarmCache, store: StageStore, lease: Lease) -> Inferred:
    """Carry out an inference stage, or as much of it as the lease allows.

    Raises:
        TaskError: its data cannot be used.
        ModelError: its model cannot be used.
        StoreError: what it needs is not in the store, or it cannot be saved.
        LoadGenMissingError: LoadGen is to ask, and is not installed here.
    """
    with _Run.opened(stage, warm, store, lease) as run:
        try:
            with lease.meter.on(Purpose.EVALUATE):
                run.measure()
        except DeadlinePassed:
            run.save(partial=True)
            return Inferred(Outcome.TRUNCATED)
        run.save(partial=False)
        return Inferred(Outcome.DONE, run.parts.facts, run.parts.texts)


class _Run:
    """One lease of an inference stage in progress."""

    def __init__(
        self, stage: InferStage, model: Answering, parts: _Parts, store: StageStore, lease: Lease
    ) -> None:
        self.parts = parts
        self._stage = stage
        self._model = model
        self._store = store
        self._lease = lease
        self._n_saved = len(parts.done)
        self._batch_tokens = BATCH_TOKENS[model.device.type]

    @classmethod
    @contextmanager
    def opened(
        cls, stage: InferStage, warm: WarmCache, store: StageStore, lease: Lease
    ) -> Iterator[_Run]:
        """With the model on the device, the samples in memory and the parts of earlier attempts."""
        with tempfile.TemporaryDirectory(prefix="interlude-infer-") as scratch:
            parts = _Parts(Path(scratch))
            with lease.meter.on(Purpose.LOAD):
                with store.reading(stage_name(stage) + PARTIAL) as kept:
                    if kept is not None:
                        parts.take(kept)
                model = answering(stage, warm)
            yield cls(stage, model, parts, store, lease)

    def measure(self) -> None:
        """The parts that are missing, in order.

        Raises:
            DeadlinePassed: the lease ended, or has too little left for the next part.
        """
        if _PLAIN not in self.parts.done:
            self._time_plainly()
        if _POINTS not in self.parts.done:
            self._score()
        for scenario in self._stage.load.asked:
            if scenario not in self.parts.done:
                self._run_scenario(scenario)

    def save(self, *, partial: bool) -> None:
        """Save the stage, or the parts it has if there are new ones."""
        name = stage_name(self._stage)
        if partial and len(self.parts.done) == self._n_saved:
            return
        with self._lease.meter.on(Purpose.SAVE):
            with self._store.write(name + PARTIAL if partial else name, self._stage) as folder:
                self.parts.save(folder)
            if not partial:
                self._store.drop(name + PARTIAL)

    def _time_plainly(self) -> None:
        timed = time_plainly(
            self._model,
            at_least_s=self._stage.load.min_duration_ms / 1000,
            at_most_s=self._stage.load.max_duration_ms / 1000,
            batch_tokens=self._batch_tokens,
            seed=self._stage.load.seed,
            until=self._lease.over,
        )
        pq.write_table(timed.table(self._model), self.parts.folder / LATENCIES)
        self._finish(_PLAIN, {**timed.facts, "latency_ms": timed.facts["plain_p90_ms"]})

    def _score(self) -> None:
        facts = _points("plain", self._model.scored(self._batch_tokens, self._lease.over))
        if self._stage.load.harness is Harness.LOADGEN:
            answers = self._loadgen(None).answers
            found = self._model.points([answers[i] for i in range(len(self._model.samples))])
            facts |= _points("accuracy", found)
        self._finish(_POINTS, facts)

    def _run_scenario(self, scenario: Scenario) -> None:
        before_j = joules(self._model.device)
        logs = self._loadgen(scenario)
        after_j = joules(self._model.device)
        facts = scenario_facts(scenario, logs)
        if scenario is Scenario.SINGLE_STREAM:
            facts["latency_ms"] = facts["single_stream_p90_ms"]
        if before_j is not None and after_j is not None:
            facts[f"{_word(scenario)}_joules"] = after_j - before_j
        self.parts.texts[str(scenario)] = logs.summary
        self._finish(scenario, facts)

    def _loadgen(self, scenario: Scenario | None) -> Logs:
        """One test, if the lease has the time for it.

        Raises:
            DeadlinePassed: it has not, or was over before the test was.
        """
        facts, load = self.parts.facts, self._stage.load
        hints = Hints(facts["plain_p50_ms"], facts["plain_samples_per_s"])
        left_ms = round(1000 * self._lease.left_s())
        if needed_ms(load, scenario, hints, len(self._model.samples)) > left_ms or self._lease.over():
            raise DeadlinePassed
        return run_loadgen(
            self._model,
            load,
            scenario,
            hints=hints,
            batch_tokens=self._batch_tokens,
            folder=self.parts.folder / LOGS / (scenario or _ACCURACY),
            at_most_ms=left_ms,
            until=self._lease.over,
        )

    def _finish(self, part: str, facts: dict[str, float]) -> None:
        self.parts.facts |= facts
        self.parts.done.append(part)


def scenario_facts(scenario: Scenario, logs: Logs) -> dict[str, float]:
    """The figures of a scenario, in milliseconds and per second; ``…_valid`` is LoadGen's verdict."""
    word, found = _word(scenario), logs.results
    facts = {f"{word}_valid": float(found["result_validity"] == "VALID")}
    estimated = found["early_stopping_met"]
    match scenario:
        case Scenario.SINGLE_STREAM:
            facts[f"{word}_queries_per_s"] = found["result_qps_without_loadgen_overhead"]
            if estimated:
                facts[f"{word}_early_stopping_p90_ms"] = _ms(found["early_stopping_latency_ss"])
        case Scenario.MULTI_STREAM if estimated:
            facts[f"{word}_early_stopping_p99_ms"] = _ms(found["early_stopping_latency_ms"])
        case Scenario.SERVER:
            facts[f"{word}_queries_per_s"] = found["result_completed_samples_per_sec"]
            facts[f"{word}_asked_queries_per_s"] = found["result_scheduled_samples_per_sec"]
        case Scenario.OFFLINE:
            facts[f"{word}_samples_per_s"] = found["result_samples_per_second"]
            return facts
    facts[f"{word}_queries"] = found["result_query_count"]
    per = "per_query_" if scenario is Scenario.MULTI_STREAM else ""
    for p in (50, 90, 99):
        facts[f"{word}_p{p}_ms"] = _ms(found[f"result_{p}.00_percentile_{per}latency_ns"])
    return {name: float(value) for name, value in facts.items()}


def _points(word: str, by_language: Mapping[str, float]) -> dict[str, float]:
    facts = {f"{word}_points/{language}": value for language, value in by_language.items()}
    return {f"{word}_points": fmean(by_language.values()), **facts}


def _word(scenario: Scenario) -> str:
    return scenario.replace("-", "_")


def _ms(nanoseconds: Any) -> float:  # noqa: ANN401 - of a log
    return float(nanoseconds) / 1e6
