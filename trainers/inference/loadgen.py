"""MLPerf's load generator asks a model: one scenario, or every sample once for its accuracy.

LoadGen owns the test: it draws the samples, times every query, applies its early-stopping rule and
writes its logs. Here it is told the settings, handed answers, and read.

Nothing may be raised inside LoadGen: an exception that crosses it ends the process at the next test
(seen with 6.0.17). So an error, like the end of a lease, is kept; what is still asked gets an empty
answer, slowly, until the test's longest duration, and the error is raised when LoadGen has come back.

Source: mlcommons/inference, ``loadgen/bindings/python_api.cc``.
"""

from __future__ import annotations

import array
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.errors import LoadGenMissingError
from trainers.evaluate import DeadlinePassed, batch_rows
from trainers.inference.load import Load, Scenario, loadgen_installed

if TYPE_CHECKING:
    from trainers.inference.answering import Answering

SUMMARY, DETAIL, ACCURACY = (
    f"mlperf_log_{name}" for name in ("summary.txt", "detail.txt", "accuracy.json")
)
_TRACE = "mlperf_log_trace.json"
_POLL_MS = 100  # of the log's writer; its own thread
_EMPTY_ANSWER_S = 0.01  # per query, once nothing more is wanted
_SLACK = 1.1  # LoadGen draws samples for that much more than the shortest duration
_HEADROOM = 1.5  # offline may be that much faster than batches timed plainly and still last long enough
_HASTE = 0.5  # of the latency found plainly: too few queries are drawn beforehand if it is less


@dataclass(frozen=True, slots=True)
class Hints:
    """What the plain timing found, for LoadGen to draw enough queries.

    Attributes:
        latency_ms: of one sample, the median.
        samples_per_s: in batches.
    """

    latency_ms: float
    samples_per_s: float


@dataclass(frozen=True, slots=True)
class Logs:
    """What LoadGen wrote of a test.

    Attributes:
        summary: its text.
        results: what its detailed log calls ``result_…`` and ``early_stopping_…``, by that name.
        answers: by sample, in accuracy mode.
    """

    summary: str
    results: Mapping[str, Any]
    answers: Mapping[int, bytes]


def run_loadgen(
    model: Answering,
    load: Load,
    scenario: Scenario | None,
    *,
    hints: Hints,
    batch_tokens: int,
    folder: Path,
    at_most_ms: int,
    until: Callable[[], bool],
) -> Logs:
    """One test of LoadGen; its logs are left in ``folder``.

    Args:
        model: who answers.
        load: the traffic.
        scenario: which; None for accuracy mode, every sample once in batches.
        hints: of the plain timing.
        batch_tokens: of a batch, padding counted, where many samples wait.
        folder: for the logs; made here.
        at_most_ms: what is left of the lease.
        until: true once the lease is over.

    Raises:
        LoadGenMissingError: it is not installed.
        DeadlinePassed: the lease ended first.
    """
    if not loadgen_installed():
        raise LoadGenMissingError
    import mlperf_loadgen as loadgen

    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(loadgen, load, scenario, hints, at_most_ms)
    served = _Served(loadgen, model, batch_tokens, until, waits=scenario is Scenario.SERVER)
    n_samples = len(model.samples)
    sut = loadgen.ConstructSUT(served.issue, lambda: None)
    library = loadgen.ConstructQSL(n_samples, n_samples, lambda _: None, lambda _: None)
    try:
        loadgen.StartTestWithLogSettings(sut, library, settings, _log_settings(loadgen, folder), "")
    finally:
        served.close()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(sut)
    (folder / _TRACE).unlink(missing_ok=True)
    if served.kept.error is not None:
        raise served.kept.error
    return read_logs(folder)


def read_logs(folder: Path) -> Logs:
    """What LoadGen wrote into ``folder``."""
    results = {}
    for line in (folder / DETAIL).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line.removeprefix(":::MLLOG "), strict=False)
        if entry["key"].startswith(("result_", "early_stopping_", "loadgen_version")):
            results[entry["key"]] = entry["value"]
    answered = json.loads((folder / ACCURACY).read_text(encoding="utf-8") or "[]")
    answers = {int(one["qsl_idx"]): bytes.fromhex(one["data"]) for one in answered}
    return Logs((folder / SUMMARY).read_text(encoding="utf-8"), results, answers)


def _settings(
    loadgen: Any,  # noqa: ANN401 - a module without types
    load: Load,
    scenario: Scenario | None,
    hints: Hints,
    at_most_ms: int,
) -> Any:  # noqa: ANN401
    settings = loadgen.TestSettings()
    kinds, modes = loadgen.TestScenario, loadgen.TestMode
    settings.mode = modes.AccuracyOnly if scenario is None else modes.PerformanceOnly
    settings.scenario = {
        Scenario.SINGLE_STREAM: kinds.SingleStream,
        Scenario.MULTI_STREAM: kinds.MultiStream,
        Scenario.SERVER: kinds.Server,
    }.get(scenario or Scenario.OFFLINE, kinds.Offline)
    settings.min_duration_ms = load.min_duration_ms
    settings.max_duration_ms = max(1, min(load.max_duration_ms, at_most_ms))
    settings.min_query_count = 1 if scenario is Scenario.OFFLINE else load.min_queries
    settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = load.seed
    latency_ns = max(1, round(1e6 * _HASTE * hints.latency_ms))
    settings.single_stream_expected_latency_ns = latency_ns
    settings.multi_stream_expected_latency_ns = latency_ns
    settings.multi_stream_samples_per_query = load.streams
    settings.offline_expected_qps = _HEADROOM * hints.samples_per_s
    settings.server_target_qps = queries_per_s(load, hints)
    settings.server_target_latency_ns = 1_000_000 * load.server_latency_ms
    return settings


def queries_per_s(load: Load, hints: Hints) -> float:
    """How many queries arrive in server: as asked, or half of what one at a time would allow."""
    return load.server_queries_per_s or 500 / hints.latency_ms


def needed_ms(load: Load, scenario: Scenario | None, hints: Hints, n_samples: int) -> int:
    """How long a test will take: what its lease must have left for it to begin."""
    if scenario is None:
        return math.ceil(1000 * n_samples / hints.samples_per_s)
    per_query_ms = {
        Scenario.SINGLE_STREAM: hints.latency_ms,
        Scenario.MULTI_STREAM: 1000 * load.streams / hints.samples_per_s,
        Scenario.SERVER: 1000 / queries_per_s(load, hints),
        Scenario.OFFLINE: 0.0,
    }[scenario]
    least_ms = _SLACK * load.min_duration_ms * (_HEADROOM if scenario is Scenario.OFFLINE else 1)
    return math.ceil(min(load.max_duration_ms, max(least_ms, load.min_queries * per_query_ms)))


def _log_settings(loadgen: Any, folder: Path) -> Any:  # noqa: ANN401
    settings = loadgen.LogSettings()
    settings.log_output.outdir = str(folder)
    settings.log_mode_async_poll_interval_ms = _POLL_MS
    settings.enable_trace = False
    return settings


class _Kept:
    """Keeps the first error of the blocks that it guards, to be raised where that is safe."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.error = self.error or error
        return True


class _Served:
    """LoadGen's system under test: the model behind a batcher, on a thread of its own in server."""

    def __init__(
        self,
        loadgen: Any,  # noqa: ANN401
        model: Answering,
        batch_tokens: int,
        until: Callable[[], bool],
        *,
        waits: bool,
    ) -> None:
        self.kept = _Kept()
        self._loadgen = loadgen
        self._model = model
        self._batch_tokens = batch_tokens
        self._until = until
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True) if waits else None
        if self._thread is not None:
            self._thread.start()

    def issue(self, query: Sequence[Any]) -> None:
        """LoadGen asks some samples."""
        if self._thread is None:
            self._answer(list(query))
        else:
            self._waiting.put(list(query))

    def close(self) -> None:
        """No more queries come."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _serve(self) -> None:
        """Answer what has come, all that waits at once."""
        more = True
        while more and (query := self._waiting.get()) is not None:
            while more and not self._waiting.empty():
                further = self._waiting.get()
                more = further is not None
                query += further or []
            self._answer(query)

    def _answer(self, query: list[Any]) -> None:
        for batch in self._batches(query):
            if self.kept.error is None:
                with self.kept:
                    if self._until():
                        raise DeadlinePassed
                    self._complete(batch, self._model.answers([asked.index for asked in batch]))
                    continue
            time.sleep(_EMPTY_ANSWER_S)
            self._complete(batch, [b""] * len(batch))

    def _batches(self, query: list[Any]) -> list[list[Any]]:
        """A query as it is if it fits in a batch, else its samples sorted by length."""
        lengths = [self._model.samples[asked.index].n_tokens for asked in query]
        if max(lengths) * len(query) <= self._batch_tokens:
            return [query]
        return [[query[row] for row in rows] for rows in batch_rows(lengths, self._batch_tokens)]

    def _complete(self, batch: Sequence[Any], answers: Sequence[bytes]) -> None:
        kept = [array.array("B", answer) for answer in answers]
        responses = [
            self._loadgen.QuerySampleResponse(asked.id, *own.buffer_info())
            for asked, own in zip(batch, kept, strict=True)
        ]
        self._loadgen.QuerySamplesComplete(responses)
