"""Score as a function of the number of tasks and of compute: the response surface, and the best k.

The regression behind the effects (``scheduler/surrogate.py``) says what any mix is expected to gain over
the control after any number of tokens. With f its expected score, S a set of tasks and n tokens,

    gain(k, n) = mean over |S| = k of f(S, n) - f(control)
    best(n)    = the |S| of the S with the highest f(S, n), the control (k = 0) among them

Of the posterior 2,000 draws are taken, with a standard deviation 1.2 times as large as for effects.
best(n) is found in each: the share of draws is the chance that so many tasks are best, and the fewest k
that together have 95 % are its credible set. Of more than 256 sets of one size, 256 drawn ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.effects import WIDER, subsets_of
from scheduler.features import Floats
from scheduler.gain import SCORE
from scheduler.observation import Observation
from scheduler.space import MixSpace
from scheduler.surrogate import Surrogate

_DRAWS = 2000
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class At:
    """What a length of training does, by number of tasks.

    Attributes:
        tokens: of the intermediate stage.
        gain: k -> expected gain over the control in points, with the ends of its interval of 95 %.
        best: k -> chance that the best mix has so many tasks, 0 meaning none.
    """

    tokens: int
    gain: Mapping[int, tuple[float, float, float]]
    best: Mapping[int, float]

    @property
    def best_count(self) -> int:
        """The likeliest number of tasks of the best mix."""
        return max(self.best, key=lambda k: self.best[k])

    @property
    def credible(self) -> tuple[int, ...]:
        """The fewest numbers of tasks that together have a chance of 95 %, ascending."""
        chosen: list[int] = []
        for k in sorted(self.best, key=lambda k: -self.best[k]):
            if sum(self.best[one] for one in chosen) >= _SURE:
                break
            chosen.append(k)
        return tuple(sorted(chosen))


def surface(
    seen: Sequence[Observation], space: MixSpace, rungs: Sequence[int], seed: int
) -> tuple[At, ...]:
    """The response surface at every rung; none without a scored mix and the control.

    Args:
        seen: finished rungs of the search.
        space: of the mixes.
        rungs: tokens.
        seed: of the draws.
    """
    if all(one.mix.count for one in seen) or not any(one.mix.count for one in seen):
        return ()
    surrogate = Surrogate(space, rungs)
    for one in seen:
        surrogate.learn(one)
    fit, features = surrogate.fit(SCORE), surrogate.features
    rng = np.random.default_rng([seed, 5])
    weights = rng.multivariate_normal(fit.weights, WIDER**2 * fit.covariance, _DRAWS, method="eigh")
    sets = _by_count(space)
    found = []
    for tokens in rungs:
        gains = {
            k: fit.unit * (features.subsets(bits, features.z(tokens)) - features.control) @ weights.T
            for k, bits in sets.items()
        }
        found.append(At(tokens, {k: _interval(drawn) for k, drawn in gains.items()}, _best(gains)))
    return tuple(found)


def _by_count(space: MixSpace) -> dict[int, Floats]:
    """Subsets of every allowed size above 0 as rows of bits."""
    low, high = space.count
    n_tasks = len(space.tasks)
    sets: dict[int, Floats] = {}
    for k in range(max(1, low), high + 1):
        chosen = subsets_of(range(n_tasks), range(k, k + 1))
        sets[k] = np.zeros((len(chosen), n_tasks))
        for row, subset in zip(sets[k], chosen, strict=True):
            row[list(subset)] = 1.0
    return sets


def _interval(drawn_SD: Floats) -> tuple[float, float, float]:
    """Mean over subsets, and over draws the middle and the ends that hold 95 %."""
    drawn_D = drawn_SD.mean(axis=0)
    low, high = np.quantile(drawn_D, [0.025, 0.975])
    return float(drawn_D.mean()), float(low), float(high)


def _best(gains: Mapping[int, Floats]) -> dict[int, float]:
    """How often each number of tasks has the highest gain, none having 0."""
    counts = [0, *gains]
    tops = np.stack([np.zeros(_DRAWS), *(drawn.max(axis=0) for drawn in gains.values())])
    wins = np.bincount(tops.argmax(axis=0), minlength=len(counts)) / _DRAWS
    return dict(zip(counts, wins.tolist(), strict=True))
