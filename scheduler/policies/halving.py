"""Asynchronous successive halving that pauses and never kills.

A trial that finished rung r is promoted when it is among the best 1/eta of all that finished r
(ASHA: Li et al. 2020, arXiv:1810.05934), judged by non-dominated rank on (score, cost) and inside
a rank by score (NSGA-II's sorting: Deb et al. 2002). The rest stay paused: a later look may promote
them, since the best third grows as trials finish.
"""

from __future__ import annotations

from scheduler.policies.standings import Standings
from scheduler.trial import Role, Trial


class Halving:
    """Promote the best 1/eta of each rung.

    Args:
        n_rungs: fidelity levels.
        eta: one in eta goes on, at least 2.
    """

    pauses = True

    def __init__(self, n_rungs: int, eta: int) -> None:
        self._n_rungs = n_rungs
        self._eta = eta

    def goal(self, trial: Trial) -> int:
        """The first rung; the control has no rungs to climb."""
        return self._n_rungs - 1 if trial.role is Role.CONTROL else 0

    def promote(self, standings: Standings) -> str | None:
        """The highest-placed trial that is in its rung's best 1/eta and still waits there."""
        for rung in reversed(range(self._n_rungs - 1)):
            best = len(standings.ranked(rung)) // self._eta
            if (name := standings.first_waiting(rung, best)) is not None:
                return name
        return None

    def promote_late(self, standings: Standings) -> str | None:
        """The best that still waits, from the highest rung down."""
        for rung in reversed(range(self._n_rungs - 1)):
            if (name := standings.first_waiting(rung)) is not None:
                return name
        return None
