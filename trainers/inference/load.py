"""What an inference stage asks of a model: which traffic, for how long, within which bounds.

Plain data: the scheduler plans with it. The four scenarios are MLPerf Inference's.

    single-stream   one sample; the next when it is answered           latency, 90th percentile
    multi-stream    ``streams`` samples at once; the next when all     latency of a query, 99th
                    are answered
    server          one sample at a time, arriving as a Poisson        99th percentile, under a bound
                    process, whether the last is answered or not
    offline         all samples at once                                samples per second

Source: Reddi et al. 2020, arXiv:1911.02549; mlcommons/inference, ``loadgen/test_settings.h``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec


class Scenario(StrEnum):
    """Traffic of MLPerf Inference."""

    SINGLE_STREAM = "single-stream"
    MULTI_STREAM = "multi-stream"
    SERVER = "server"
    OFFLINE = "offline"


class Harness(StrEnum):
    """Who asks: MLPerf's LoadGen beside the plain timing, or the plain timing alone."""

    LOADGEN = "loadgen"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a model.

    Attributes:
        harness: who asks.
        scenarios: of LoadGen, in the order in which they run.
        min_duration_ms: of a scenario at least; MLPerf's own submissions take 600 000.
        max_duration_ms: of a scenario at most, whatever ``min_queries`` says.
        min_queries: of a scenario at least; LoadGen's early stopping needs 64 for a 90th and 662 for
            a 99th percentile.
        streams: samples of a query, in multi-stream.
        server_latency_ms: the bound on the 99th percentile, in server.
        server_queries_per_s: how many arrive; None for half of what the plain timing finds.
        seed: of LoadGen's draws.
    """

    harness: Harness
    scenarios: tuple[Scenario, ...]
    min_duration_ms: int
    max_duration_ms: int
    min_queries: int
    streams: int
    server_latency_ms: int
    server_queries_per_s: float | None
    seed: int

    @property
    def asked(self) -> tuple[Scenario, ...]:
        """The scenarios that run: none without LoadGen."""
        return self.scenarios if self.harness is Harness.LOADGEN else ()


def loadgen_installed() -> bool:
    """Whether ``mlperf_loadgen`` can be imported here; it is not imported."""
    return find_spec("mlperf_loadgen") is not None
