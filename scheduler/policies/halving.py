"""Asynchronous successive halving that pauses and never kills.

A trial that finished rung r is promoted when it is among the best 1/eta of all that finished r
(ASHA: Li et al. 2020, arXiv:1810.05934), judged by non-dominated rank on (score, cost) and inside
a rank by score (NSGA-II's sorting: Deb et al. 2002). The rest stay paused: a later look may promote
them, since the best third grows as trials finish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scheduler.policies.base import Standing
from scheduler.trial import Role, Trial, TrialState


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

    def promote(self, standings: Sequence[Standing]) -> str | None:
        """The highest-placed trial that is in its rung's best 1/eta and still waits there."""
        for rung in reversed(range(self._n_rungs - 1)):
            ranked = ranked_at(rung, standings)
            for standing in ranked[: len(ranked) // self._eta]:
                if _waits_at(standing.trial, rung):
                    return standing.trial.name
        return None

    def promote_late(self, standings: Sequence[Standing]) -> str | None:
        """The best that still waits, from the highest rung down."""
        for rung in reversed(range(self._n_rungs - 1)):
            for standing in ranked_at(rung, standings):
                if _waits_at(standing.trial, rung):
                    return standing.trial.name
        return None


def _waits_at(trial: Trial, rung: int) -> bool:
    return trial.state is TrialState.PAUSED and trial.rung == rung


def ranked_at(rung: int, standings: Sequence[Standing]) -> list[Standing]:
    """Sampled trials with a score at ``rung``, best first: non-dominated rank, then score, then name."""
    here = [s for s in standings if rung in s.trial.scores and s.trial.role is Role.SEARCH]
    ranks = _ranks([(s.trial.scores[rung], _cost_class(s.cost_ms.get(rung, 0))) for s in here])
    order = sorted(
        range(len(here)), key=lambda i: (ranks[i], -here[i].trial.scores[rung], here[i].trial.name)
    )
    return [here[i] for i in order]


def _cost_class(cost_ms: int) -> int:
    """Costs within a tenth of each other are the same cost: the rest is the machine's noise."""
    return round(math.log(cost_ms) / math.log(1.1)) if cost_ms else 0


def _ranks(points: Sequence[tuple[float, int]]) -> list[int]:
    """Non-dominated rank of each (score up, cost down) point, 0 for the Pareto front.

    In order of falling score, a point joins the first front whose cheapest member costs more: with
    two objectives that is non-dominated sorting in O(n log n + n f) for f fronts.
    """
    order = sorted(range(len(points)), key=lambda i: (-points[i][0], points[i][1]))
    cheapest: list[tuple[int, float]] = []
    ranks = [0] * len(points)
    for i in order:
        score, cost = points[i]
        for rank, (least, at_score) in enumerate(cheapest):
            if cost < least or (cost == least and score == at_score):
                cheapest[rank] = (cost, score)
                ranks[i] = rank
                break
        else:
            ranks[i] = len(cheapest)
            cheapest.append((cost, score))
    return ranks
