"""Asynchronous successive halving that pauses and never kills.

A trial that finished rung r is promoted when it is among the best 1/eta of all that finished r
(ASHA: Li et al. 2020, arXiv:1810.05934), judged by non-dominated rank on (score, cost) and inside
a rank by score (NSGA-II's sorting: Deb et al. 2002). The rest stay paused: a later look may promote
them, since the best third grows as trials finish.

Where the next rung costs more than eta times this one, fewer are promoted: one in as many as the
prices differ by, so that no rung takes more device time than the one below it, as in successive
halving (Jamieson & Talwalkar 2016, arXiv:1502.07943). One in three to a rung that costs 60 times as
much would leave next to nothing for looks, and promote from the first few of them.
"""

from __future__ import annotations

from scheduler.policies.base import Prices
from scheduler.policies.standings import Standings
from scheduler.trial import Role, Trial


class Halving:
    """Promote the best 1/eta of each rung, or fewer where the next is dear.

    Args:
        n_rungs: fidelity levels.
        eta: one in eta goes on at most, at least 2.
    """

    pauses = True

    def __init__(self, n_rungs: int, eta: int) -> None:
        self._n_rungs = n_rungs
        self._eta = eta

    def goal(self, trial: Trial) -> int:
        """The first rung; the control has no rungs to climb."""
        return self._n_rungs - 1 if trial.role is Role.CONTROL else 0

    def promote(self, standings: Standings, price_ms: Prices) -> str | None:
        """The highest-placed trial that is among its rung's best and still waits there."""
        for rung in reversed(range(self._n_rungs - 1)):
            n = len(standings.ranked(rung))
            if standings.first_waiting(rung, n // self._eta) is None:
                continue
            one_in = max(self._eta, price_ms(rung + 1) / price_ms(rung))
            if (name := standings.first_waiting(rung, int(n / one_in))) is not None:
                return name
        return None

    def promote_late(self, standings: Standings) -> str | None:
        """The best that still waits, from the highest rung down."""
        for rung in reversed(range(self._n_rungs - 1)):
            if (name := standings.first_waiting(rung)) is not None:
                return name
        return None
