"""What a peer's search runs on and what comes of it: recorded rungs, and the reports it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scheduler.mix import Mix
from scheduler.space import Space


@dataclass(frozen=True, slots=True)
class Rung:
    """What one rung of a recipe gave.

    Attributes:
        cost_ms: device time on top of the rung below.
        score: on search cells, in points.
    """

    cost_ms: int
    score: float


@dataclass(frozen=True, slots=True)
class Reported:
    """One report of a peer's trial, in order of arrival."""

    mix: Mix
    rung: int
    result: Rung


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a peer.

    Attributes:
        space: mixes; each of its coordinates is a parameter of the peer's.
        recorded: rungs of every mix, from the lowest.
        workers: trials at once.
        cap_ms: device time.
        seed: of the peer's draws.
    """

    space: Space
    recorded: Mapping[Mix, Sequence[Rung]]
    workers: int
    cap_ms: int
    seed: int

    @property
    def n_rungs(self) -> int:
        """Of the recipe that has most."""
        return max(len(rungs) for rungs in self.recorded.values())
