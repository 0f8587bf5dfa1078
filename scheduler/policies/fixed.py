"""Policies that ask no score: the baselines.

``uniform`` gives every recipe the same compute, the top rung. ``random`` gives each a rung drawn
from the ladder, which is how a study without early stopping would explore compute.
"""

from __future__ import annotations

import random

from scheduler.policies.base import Prices
from scheduler.policies.standings import Standings
from scheduler.trial import Role, Trial


class _FirstRung:
    """Every recipe begins at the first rung, and nobody waits."""

    pauses = False

    def start(self, standings: Standings, price_ms: Prices) -> int:
        """The first rung."""
        return 0

    def promote(self, standings: Standings, price_ms: Prices) -> str | None:
        """Nobody waits."""
        return None

    def promote_late(self, standings: Standings) -> str | None:
        """Nobody waits."""
        return None


class UniformRungs(_FirstRung):
    """Every recipe goes to the top rung."""

    def __init__(self, n_rungs: int) -> None:
        self._top = n_rungs - 1

    def goal(self, trial: Trial) -> int:
        """The top rung."""
        return self._top


class RandomRungs(_FirstRung):
    """Every recipe goes to a rung drawn once, from the study's seed and the trial's name.

    Where arms are compared the mix stands for the name: its trials go equally far.
    """

    def __init__(self, n_rungs: int, seed: int, *, by_mix: bool = False) -> None:
        self._n_rungs = n_rungs
        self._seed = seed
        self._by_mix = by_mix

    def goal(self, trial: Trial) -> int:
        """The drawn rung; the control has only one."""
        if trial.role is Role.CONTROL:
            return self._n_rungs - 1
        drawn_for = repr(trial.recipe.mix) if self._by_mix else trial.name
        return random.Random(f"{self._seed}/{drawn_for}").randrange(self._n_rungs)
