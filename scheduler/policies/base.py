"""The policy protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from scheduler.policies.standings import Standings
from scheduler.trial import Trial

Prices = Callable[[int], int]  # rung -> device time of one more mix there, ms, lower rungs' left out


class Policy(Protocol):
    """Decides who climbs. Keeps nothing: the same standings give the same answer."""

    pauses: bool  # whether a trial below the top rung waits there for promotion

    def start(self, standings: Standings, price_ms: Prices) -> int:
        """The rung that a new trial begins at."""

    def goal(self, trial: Trial) -> int:
        """The rung that ``trial`` climbs to without asking again; below it, it goes straight on."""

    def promote(self, standings: Standings, price_ms: Prices) -> str | None:
        """A paused trial that has earned its next rung, or None if a new one should start."""

    def promote_late(self, standings: Standings) -> str | None:
        """The paused trial to promote when no new one can start, or None."""
