"""Inference in the forecast and in the stage tree: how long it takes, and what is asked of a model."""

from __future__ import annotations

import math

from trainers.inference.load import Load, Scenario

_SLACK = 1.1  # LoadGen draws samples for that much more than the shortest duration
_BATCHED = 4.0  # samples that a batch answers in the time of one, until it was measured


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
