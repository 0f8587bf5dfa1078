"""The sampler that knows the structure of mixes: it tries what is expected to gain most.

Every finished rung teaches the surrogate (``scheduler/surrogate.py``); of the candidates
(``scheduler/candidates.py``) the one with the largest worth (``scheduler/acquisition.py``) is proposed.
Mixes that are tried but not scored yet are believed to score what is expected, so that concurrent
workers get different ones. The first few are chosen to tell most (``scheduler/design.py``), unless a
prior stands in for them.

A proposal depends on the seed, on what was observed and told, on ``n_seen`` and ``tried``, and is the
same after a restart.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import sklearn

from scheduler.acquisition import cooling, corners, expected_improvement, hypervolume_improvement
from scheduler.arms import ArmedMix, bare
from scheduler.candidates import candidates
from scheduler.design import most_telling
from scheduler.features import Floats
from scheduler.gain import SCORE, Gain
from scheduler.mix import Mix
from scheduler.mix_cost import MixCost
from scheduler.observation import Observation
from scheduler.space import RandomSampler, Space
from scheduler.surrogate import Fit, Prediction, Surrogate
from scheduler.trial import Arm

AcquisitionName = Literal["per-hour", "plain"]

_N_STARTUP = 6  # rungs of mixes that are finished before the surrogate proposes
_N_BEST = 3  # mixes whose neighbours are looked at


@dataclass(frozen=True)
class Ground:
    """What proposals stand on.

    Attributes:
        n: observations behind it.
        fit: the regression of the score.
        cost: hours of mixes.
        known: mixes that it learned from, and the control.
        best: of these the ones that are expected to score most at the top, best first.
        score: of the first of them.
        front: scores and hours of all of these, as far as they decide anything.
    """

    n: int
    fit: Fit
    cost: MixCost
    known: frozenset[Mix]
    best: tuple[Mix, ...]
    score: float
    front: Sequence[tuple[float, float]]


class StructuredSampler:
    """Proposes by a surrogate of mixes.

    Attributes:
        description: what proposed, with its settings and versions.
        surrogate: what it has learned.
    """

    def __init__(
        self,
        space: Space,
        rungs: Sequence[int],
        seed: int,
        *,
        acquisition: AcquisitionName = "plain",
        hours: bool = False,
        search_ms: int = 0,
        gains: Sequence[Gain] = (),
        arms: Sequence[Arm] = (),
    ) -> None:
        """A sampler that has seen nothing.

        Args:
            space: of the mixes.
            rungs: tokens of the intermediate stages.
            seed: of the draws.
            acquisition: ``per-hour`` divides what a mix is expected to gain by its hours, less and less
                so as the budget goes; ``plain`` does not.
            hours: whether device time is an objective beside the score.
            search_ms: the search's part of the cap, for cooling.
            gains: what is known of the space beforehand.
            arms: of the study, where it has several. What is proposed in no arm is judged by what it
                promises on average over them.
        """
        self._space = space
        self._seed = seed
        self._acquisition = acquisition
        self._hours = hours
        self._search_ms = search_ms
        self._random = RandomSampler(space, seed)
        self.surrogate = Surrogate(space, rungs, gains, arms)
        self._n_startup = 0 if any(gain.of == SCORE for gain in gains) else _N_STARTUP
        self._n_rungs = 0
        self._ended: set[Mix] = set()
        self._ground: Ground | None = None
        self.description = (
            f"structured: BayesianRidge of scikit-learn {sklearn.__version__} on tasks, pairs and log "
            f"tokens, acquisition {acquisition}, {len(gains)} gains known beforehand; first "
            f"{self._n_startup} rungs: I-optimal mixes"
        )

    def propose(self, n_seen: int, tried: Collection[Mix]) -> Mix | None:
        """A mix that is not among ``tried``, None when none is left."""
        if self._n_rungs < self._n_startup:
            draws = random.Random(f"{self._seed}/{n_seen}")
            first = most_telling(self._space, self.surrogate.features, tried, draws)
            return first or self._random.propose(n_seen, tried)
        mixes, worth, upper = self._judged(n_seen, tried)
        for i in np.lexsort((-upper, -worth)).tolist():  # of equal worth, what may score highest
            mix: Mix = mixes[i]
            if mix not in tried:
                return mix
        return self._random.propose(n_seen, tried)

    def _judged(self, n_seen: int, tried: Collection[Mix]) -> tuple[Sequence[Mix], Floats, Floats]:
        """The candidates, what each is worth, and how high each may score."""
        ground, features = self._standing(), self.surrogate.features
        mixes = candidates(self._space, ground.best, random.Random(f"{self._seed}/{n_seen}"))
        waiting = features.at_top(sorted(set(tried) - ground.known - self._ended))
        rows = features.at_top(mixes)
        prediction = ground.fit.believing(waiting).predict(rows)
        worth = self._worth(prediction, rows, ground, waiting)
        return mixes, worth, prediction.mean + prediction.sd

    def _standing(self) -> Ground:
        """What is known, worked out anew when the surrogate has learned."""
        surrogate = self.surrogate
        if self._ground is None or self._ground.n != surrogate.n:
            seen, fit = surrogate.seen, surrogate.fit()
            cost = MixCost(surrogate.features, seen, surrogate.rows)
            tried = (one.mix if self._space.arms else bare(one.mix) for one in seen)
            known = tuple(dict.fromkeys([*self._controls(), *tried]))
            there = surrogate.features.at_top(known)
            scores = fit.mean(there)
            ranked = (known[i] for i in np.argsort(-scores, kind="stable"))
            best = tuple(islice((mix for mix in ranked if mix.count), _N_BEST))
            front = corners(list(zip(scores.tolist(), cost.hours(there).tolist(), strict=True)))
            self._ground = Ground(
                surrogate.n, fit, cost, frozenset(known), best, float(scores.max()), front
            )
        return self._ground

    def _controls(self) -> list[Mix]:
        """The controls of what is proposed."""
        return [ArmedMix.put(Mix(), arm) for arm in self._space.arms] or [Mix()]

    def _worth(self, prediction: Prediction, rows: Floats, ground: Ground, waiting: Floats) -> Floats:
        """What candidates are worth beside mixes that are known or waited for."""
        scores = ground.fit.mean(waiting)
        best = max([ground.score, *scores.tolist()])
        hours = ground.cost.hours(rows)
        if self._hours:
            believed = zip(scores.tolist(), ground.cost.hours(waiting).tolist(), strict=True)
            gained = hypervolume_improvement(prediction, hours, [*ground.front, *believed])
        else:
            gained = expected_improvement(prediction, best)
        worth: Floats = gained / hours ** self._exponent()
        return worth

    def _exponent(self) -> float:
        if self._acquisition == "plain":
            return 0.0
        latest = self.surrogate.latest
        return cooling(latest.spent_ms if latest else 0, self._search_ms)

    def tell(self, mix: Mix, values: tuple[float, ...] | None) -> None:
        """Note that ``mix`` will be observed no more; its scores came rung by rung."""
        del values
        self._ended.add(mix)

    def observe(self, observation: Observation) -> None:
        """Learn what a finished rung was worth."""
        self.surrogate.learn(observation)
        self._n_rungs += observation.mix.count > 0
