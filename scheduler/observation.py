"""One finished rung of a mix, as a sampler may learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.mix import Mix


@dataclass(frozen=True, slots=True)
class Observation:
    """What a mix was worth at a rung, on search cells.

    Attributes:
        mix: what was trained, in its arm where a study has several.
        rung: the rung it finished, counted from 0.
        tokens: of its intermediate stage; 0 for the control.
        score: in points.
        error: standard deviation of ``score`` that the number of scored examples implies, in points.
        groups: mean over the target tasks of each group, in points.
        cost_ms: device time of the whole way to the rung, shared stages included and loading left out.
        spent_ms: device time of all that the study had measured by then.
    """

    mix: Mix
    rung: int
    tokens: int
    score: float
    error: float
    groups: Mapping[str, float]
    cost_ms: int
    spent_ms: int
