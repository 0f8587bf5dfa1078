"""What the way of a mix to the top rung takes, learned from the bills of finished ways.

    ln(cost) = u . (1, [k > 0], b_1 .. b_n, c_1 .. c_m, z)

The forecast of a stage goes by its tokens and knows no tasks, so it is the same for all mixes of a rung;
tasks differ in padding and in heads, and with them the bills. A ridge regression whose penalty maximises
the evidence (scikit-learn's ``BayesianRidge``): before bills tell tasks apart all cost the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import BayesianRidge

from scheduler.features import Features, Floats
from scheduler.observation import Observation

_MS_PER_HOUR = 3_600_000.0


class MixCost:
    """Hours of a way to the top, after some observations."""

    def __init__(self, features: Features, seen: Sequence[Observation], rows: Floats) -> None:
        """Learn from what is billed.

        Args:
            features: of the rows.
            seen: with the cost of their ways.
            rows: the design matrix of ``seen``.
        """
        self._features = features
        billed = [i for i, one in enumerate(seen) if one.cost_ms > 0]
        logs = np.array([math.log(seen[i].cost_ms / _MS_PER_HOUR) for i in billed])
        self._mean = float(np.mean(logs)) if billed else 0.0
        self._weights: Floats | None = None
        if billed:
            ridge = BayesianRidge(fit_intercept=False)
            self._weights = ridge.fit(self._used(rows[billed]), logs - self._mean).coef_

    def hours(self, rows: Floats) -> Floats:
        """Expected device-hours of what each row describes; 1 for all while nothing was billed."""
        if self._weights is None:
            return np.ones(len(rows))
        hours: Floats = np.exp(self._mean + self._used(rows) @ self._weights)
        return hours

    def _used(self, rows: Floats) -> Floats:
        """The columns before the pairs, those of the arms, and the growth of any stage."""
        n_main = self._features.n_main
        growth = rows[:, [-(n_main - 1)]]
        return np.hstack([rows[:, :n_main], rows[:, self._features.of_arms], growth])
