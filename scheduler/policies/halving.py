"""Asynchronous successive halving that pauses and never kills.

A trial that finished rung r is promoted when it is among the best 1/eta of all that finished r
(ASHA: Li et al. 2020, arXiv:1810.05934), judged by non-dominated rank on (score, cost) and inside
a rank by score (NSGA-II's sorting: Deb et al. 2002). The rest stay paused: a later look may promote
them, since the best third grows as trials finish.

Where the next rung costs more than eta times this one, fewer are promoted: one in as many as the
prices differ by, so that no rung takes more device time than the one below it, as in successive
halving (Jamieson & Talwalkar 2016, arXiv:1502.07943). One in three to a rung that costs 60 times as
much would leave next to nothing for looks, and promote from the first few of them.

A rung that costs nearly what the next one does saves nothing: where the next costs less than
``WORTH_A_RUNG`` times as much, new trials begin above it, once bills of both have taught the forecast.
That happens where the target stages and the scoring take most of the time, whatever was trained before.

A rung that does not foretell the next one (``scheduler/policies/trust.py``) is dropped: new trials begin
above it, and those that wait there or lower are promoted only when nothing else can start. The first
mixes leave the merged rung whatever they scored, so that it is judged by more than its own favourites.
"""

from __future__ import annotations

from scheduler.policies.base import Prices
from scheduler.policies.standings import Standings
from scheduler.policies.trust import LEAST_PAIRS, Verdict, worth_of
from scheduler.trial import MERGED, Role, Trial

WORTH_A_RUNG = 1.5  # price of the next; docs/measurements.md, "A rung must be cheap"


class Halving:
    """Promote the best 1/eta of each rung that is worth its price, or fewer where the next is dear.

    Args:
        n_rungs: fidelity levels, the merged rung aside.
        eta: one in eta goes on at most, at least 2.
        has_merged: whether there is a merged rung below them.
    """

    pauses = True

    def __init__(self, n_rungs: int, eta: int, *, has_merged: bool = False) -> None:
        self._lowest = MERGED if has_merged else 0
        self._top = n_rungs - 1
        self._eta = eta

    def start(self, standings: Standings, price_ms: Prices) -> int:
        """The lowest rung that is cheap beside the next, and neither dropped nor below one that is."""
        for rung in reversed(range(self._lowest, self._top)):
            trust = standings.trust(rung)
            if trust.verdict is Verdict.DROPPED and trust.high < worth_of(
                price_ms(rung), price_ms(rung + 1)
            ):
                return rung + 1
        rung = self._lowest
        while 0 <= rung < self._top and _saves_little(rung, standings, price_ms):
            rung += 1
        return rung

    def goal(self, trial: Trial) -> int:
        """The rung it is on; the control has no rungs to climb."""
        return self._top if trial.role is Role.CONTROL else trial.rung

    def promote(self, standings: Standings, price_ms: Prices) -> str | None:
        """The highest-placed trial that is among its rung's best and still waits there.

        After these come the first trials at the merged rung, and any that could not be looked at.
        """
        first = self.start(standings, price_ms)
        for rung in reversed(range(first, self._top)):
            n = len(standings.ranked(rung))
            if standings.first_waiting(rung, n // self._eta) is None:
                continue
            one_in = max(self._eta, price_ms(rung + 1) / price_ms(rung))
            if (name := standings.first_waiting(rung, int(n / one_in))) is not None:
                return name
        owed = standings.proposed[: LEAST_PAIRS if first == MERGED else 0]
        return next((t for t in (*owed, *standings.unscored) if standings.waits(t, MERGED)), None)

    def promote_late(self, standings: Standings) -> str | None:
        """The best that still waits, from the highest rung down."""
        for rung in reversed(range(self._lowest, self._top)):
            if (name := standings.first_waiting(rung)) is not None:
                return name
        return None


def _saves_little(rung: int, standings: Standings, price_ms: Prices) -> bool:
    """Whether the next rung is known to cost hardly more than ``rung``."""
    billed = bool(standings.ranked(rung + 1))
    return billed and price_ms(rung + 1) < WORTH_A_RUNG * price_ms(rung)
