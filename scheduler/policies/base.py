"""The policy protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.trial import Trial


@dataclass(frozen=True, slots=True)
class Standing:
    """A searched trial as a policy sees it.

    Attributes:
        trial: with its scores by rung, in points, higher is better.
        cost_ms: device time of its whole path at each finished rung, shared stages included, in
            milliseconds, lower is better; empty when cost is no objective.
    """

    trial: Trial
    cost_ms: Mapping[int, int]


class Policy(Protocol):
    """Decides who climbs. Keeps nothing: the same standings give the same answer."""

    pauses: bool  # whether a trial below the top rung waits there for promotion

    def goal(self, trial: Trial) -> int:
        """The rung that ``trial`` climbs to without asking again; below it, it goes straight on."""

    def promote(self, standings: Sequence[Standing]) -> str | None:
        """A paused trial that has earned its next rung, or None if a new one should start."""

    def promote_late(self, standings: Sequence[Standing]) -> str | None:
        """The paused trial to promote when no new one can start, or None."""
