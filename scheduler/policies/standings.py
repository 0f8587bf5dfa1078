"""How sampled trials stand at each rung: non-dominated rank on score and costs, then score, then name.

A trial that moves changes its own place and nobody else's score, so places are kept sorted and a move
costs one insertion; the fronts are peeled again only at a rung that somebody has finished since.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import le

from scheduler.policies.trust import Foresight, RungTrust
from scheduler.trial import Role, Trial, TrialState

_Costs = tuple[int, ...]  # classes of what is to be low
_Place = tuple[float, _Costs, str]  # score, negated; costs; name


@dataclass(frozen=True, slots=True)
class Standing:
    """A searched trial as a policy sees it.

    Attributes:
        trial: with its scores by rung, in points, higher is better.
        cost_ms: device time of its whole path at each finished rung, shared stages included, in
            milliseconds, lower is better; empty when cost is no objective.
        measured: latency and memory at each finished rung where they are objectives.
    """

    trial: Trial
    cost_ms: Mapping[int, int]
    measured: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    def costs(self, rung: int) -> _Costs:
        """The classes of all that is to be low at ``rung``."""
        return tuple(map(_cost_class, (self.cost_ms.get(rung, 0), *self.measured.get(rung, ()))))


class Standings:
    """Sampled trials by the rungs that they have finished; the control is not among them.

    Attributes:
        proposed: their names, in order of proposal.
        unscored: those that wait at a rung where they have no score.
    """

    def __init__(self, standings: Iterable[Standing] = ()) -> None:
        self.proposed: list[str] = []
        self.unscored: dict[str, None] = {}
        self._known: set[str] = set()
        self._foresight: dict[int, Foresight] = {}  # by the lower rung
        self._places: dict[int, list[_Place]] = {}  # by rung, ascending
        self._at: dict[tuple[int, str], _Place] = {}
        self._ranked: dict[int, Sequence[str]] = {}  # of rungs that nobody has finished since
        self._waits: dict[str, int] = {}  # paused trial -> its rung
        for standing in standings:
            self.put(standing)

    def put(self, standing: Standing) -> None:
        """Take a trial in, or what has become of it."""
        trial = standing.trial
        if trial.role is not Role.SEARCH:
            return
        for rung, score in trial.scores.items():
            self._stand(rung, (-score, standing.costs(rung), trial.name))
        if trial.name not in self._known:
            self._known.add(trial.name)
            self.proposed.append(trial.name)
        self._waits.pop(trial.name, None)
        self.unscored.pop(trial.name, None)
        if trial.state is TrialState.PAUSED:
            self._waits[trial.name] = trial.rung
            if trial.rung not in trial.scores:
                self.unscored[trial.name] = None

    def _stand(self, rung: int, place: _Place) -> None:
        before = self._at.get((rung, place[2]))
        if before == place:
            return
        places = self._places.setdefault(rung, [])
        if before is not None:
            del places[bisect_left(places, before)]
        else:
            self._foretell(rung, place)
        insort(places, place)
        self._at[rung, place[2]] = place
        self._ranked.pop(rung, None)

    def _foretell(self, rung: int, place: _Place) -> None:
        """Hold a new score against the one at the rung below, which came before it."""
        self._foresight_at(rung).see(-place[0])
        if (below := self._at.get((rung - 1, place[2]))) is not None:
            self._foresight_at(rung - 1).pair(-below[0], -place[0])

    def _foresight_at(self, rung: int) -> Foresight:
        return self._foresight.setdefault(rung, Foresight(rung))

    def ranked(self, rung: int) -> Sequence[str]:
        """Trials with a score at ``rung``, best first."""
        if rung not in self._ranked:
            places = self._places.get(rung, [])
            ranks = _ranks_of_sorted([(lost, costs) for lost, costs, _ in places])
            order = sorted(range(len(places)), key=ranks.__getitem__)  # stable: score, then name
            self._ranked[rung] = tuple(places[i][2] for i in order)
        return self._ranked[rung]

    def trust(self, rung: int) -> RungTrust:
        """Whether ``rung`` foretells the next one."""
        return self._foresight_at(rung).trust

    def waits(self, name: str, rung: int) -> bool:
        """Whether a trial waits at ``rung``."""
        return self._waits.get(name) == rung

    def first_waiting(self, rung: int, among: int | None = None) -> str | None:
        """The best of those that wait at ``rung``, if they are among the best so many there."""
        ranked = self.ranked(rung)[:among]
        return next((name for name in ranked if self.waits(name, rung)), None)


def _cost_class(cost: float) -> int:
    """Costs within a tenth of each other are the same cost: the rest is the machine's noise."""
    return round(math.log(cost) / math.log(1.1)) if cost > 0 else 0


def front_ranks(points: Sequence[tuple[float, int]]) -> list[int]:
    """Non-dominated rank of each (score up, cost down) point, 0 for the Pareto front.

    In order of falling score, a point joins the first front whose cheapest member costs more, or its
    equal. A front's cheapest member costs no more than that of the next, so it is found by bisection:
    O(n log n).

    Args:
        points: in any order; Deb et al. 2002, doi:10.1109/4235.996017, define the ranks.
    """
    lost = [(-score, (cost,)) for score, cost in points]
    order = sorted(range(len(lost)), key=lost.__getitem__)
    ranks = [0] * len(points)
    for i, rank in zip(order, _ranks_of_sorted([lost[i] for i in order]), strict=True):
        ranks[i] = rank
    return ranks


def _ranks_of_sorted(points: Sequence[tuple[float, _Costs]]) -> list[int]:
    """The same of ascending (score, negated; costs) points."""
    if any(len(costs) > 1 for _, costs in points):
        return _ranks_by_every_cost(points)
    cheapest: list[_Costs] = []
    ranks: list[int] = []
    before, rank = None, 0
    for point in points:
        if point != before:
            rank = bisect_right(cheapest, point[1])
            cheapest[rank : rank + 1] = [point[1]]
        ranks.append(rank)
        before = point
    return ranks


def _ranks_by_every_cost(points: Sequence[tuple[float, _Costs]]) -> list[int]:
    """The same with several costs: the first front none of whose members dominates, O(n^2)."""
    fronts: list[set[tuple[float, _Costs]]] = []
    ranks: list[int] = []
    for point in points:
        rank = 0
        while rank < len(fronts) and any(_dominates(one, point) for one in fronts[rank]):
            rank += 1
        if rank == len(fronts):
            fronts.append(set())
        fronts[rank].add(point)
        ranks.append(rank)
    return ranks


def _dominates(better: tuple[float, _Costs], point: tuple[float, _Costs]) -> bool:
    """Whether one is nowhere worse and somewhere better."""
    nowhere_worse = better[0] <= point[0] and all(map(le, better[1], point[1]))
    return nowhere_worse and better != point
