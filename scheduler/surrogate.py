"""What a mix will be worth before it is trained: Bayesian linear regression on its structure.

    y_i = row_i . w + e_i        w ~ N(0, I / lambda),   e_i ~ N(0, 1 / (alpha g_i))

with y the gain over the control in units of its spread, the rows of ``scheduler/features.py``, and g_i
the precision that the number of scored examples gives an observation beside the others. A finished rung
is an observation at its own tokens, so cheap rungs say what long ones are worth.

``alpha`` and ``lambda`` maximise the evidence (MacKay 1992, doi:10.1162/neco.1992.4.3.415;
scikit-learn's ``BayesianRidge``) under Gamma priors worth two observations each. That they are estimates
is paid for by ``1 + 2 / n`` on the variance of a prediction after n observations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import BayesianRidge

from scheduler.features import Features, Floats
from scheduler.gain import SCORE, Gain
from scheduler.observation import Observation
from scheduler.space import Space
from scheduler.trial import Arm

_SHAPE = 1.0  # of both Gamma priors
NOISE = 0.1  # variance of the noise expected beside a spread of 1
SIGNAL = 0.3  # variance of a main effect expected beside a spread of 1
_LAG = 100
_PRECISIONS = (0.1, 10.0)  # no observation counts for more or less beside another


class Prediction(NamedTuple):
    """Expected scores and their standard deviations in points, without the noise of a measurement."""

    mean: Floats
    sd: Floats


@dataclass(frozen=True)
class Fit:
    """The regression after some observations.

    Attributes:
        origin: what gains are relative to, in points.
        unit: points per unit of y.
        weights: posterior mean of w.
        covariance: posterior covariance of w.
        noise: variance of an observation of usual precision, in units of y.
    """

    origin: float
    unit: float
    weights: Floats
    covariance: Floats
    noise: float

    @property
    def noise_sd(self) -> float:
        """Standard deviation of an observation of usual precision, in points."""
        return self.unit * math.sqrt(self.noise)

    def mean(self, rows: Floats) -> Floats:
        """Expected scores of what ``rows`` describe."""
        scores: Floats = self.origin + self.unit * (rows @ self.weights)
        return scores

    def predict(self, rows: Floats) -> Prediction:
        """Scores of what ``rows`` describe."""
        variance = np.einsum("ij,ij->i", rows @ self.covariance, rows)
        return Prediction(self.mean(rows), self.unit * np.sqrt(np.maximum(variance, 0.0)))

    def believing(self, rows: Floats) -> Fit:
        """As if each of ``rows`` had scored what is expected of it: surer, and of the same mean.

        Source: the kriging believer, Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6.
        """
        if not len(rows):
            return self
        precision = np.linalg.inv(self.covariance) + rows.T @ rows / self.noise
        covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
        return replace(self, covariance=covariance)


class Surrogate:
    """The observations of a study, and the regressions they give."""

    def __init__(
        self,
        space: Space,
        rungs: Sequence[int],
        gains: Sequence[Gain] = (),
        arms: Sequence[Arm] = (),
    ) -> None:
        """A surrogate that has seen nothing of its study.

        Args:
            space: of the mixes.
            rungs: tokens of the intermediate stages.
            gains: what is known beforehand; pseudo-observations at the top rung.
            arms: of the study, where it has several; its observations are then in one.
        """
        self.features = Features(space, rungs, arms)
        self._gains = tuple(gains)
        self._seen: list[Observation] = []
        self._rows: list[Floats] = []
        self._fits: dict[str, tuple[int, Fit]] = {}

    def learn(self, observation: Observation) -> None:
        """Take note of a finished rung; one whose score is not a number teaches nothing."""
        if math.isfinite(observation.score):
            self._seen.append(observation)
            self._rows.append(self.features.rows([observation.mix], [observation.tokens])[0])

    @property
    def n(self) -> int:
        """Observations that a regression uses: all of up to 200, then all but at most one in 100.

        So that thousands cost a new regression once in a while, not at every question.
        """
        return len(self._seen) - len(self._seen) % max(1, len(self._seen) // _LAG)

    @property
    def seen(self) -> tuple[Observation, ...]:
        """What a regression uses."""
        return tuple(self._seen[: self.n])

    @property
    def rows(self) -> Floats:
        """The design matrix of what a regression uses, shape (observations, features)."""
        return np.array(self._rows[: self.n]).reshape(-1, self.features.n)

    @property
    def latest(self) -> Observation | None:
        """The last observation, used or not."""
        return self._seen[-1] if self._seen else None

    def fit(self, of: str = SCORE) -> Fit:
        """The regression of the score or of a target group, over all that was seen so far.

        Raises:
            ValueError: nothing was seen of it, and nothing is known beforehand.
        """
        if of not in self._fits or self._fits[of][0] != self.n:
            self._fits[of] = self.n, self._fitted(of)
        return self._fits[of][1]

    def _fitted(self, of: str) -> Fit:
        places = [i for i, one in enumerate(self.seen) if of == SCORE or of in one.groups]
        seen = [self._seen[i] for i in places]
        gains = [gain for gain in self._gains if gain.of == of]
        if not seen and not gains:
            names = sorted({SCORE, *(name for one in self._seen for name in one.groups)})
            raise ValueError(f"nothing was observed of {of!r}; what may be: {', '.join(names)}")
        values = np.array([one.score if of == SCORE else one.groups[of] for one in seen])
        origin = _origin(seen, values)
        y = np.concatenate([values - origin, [gain.points for gain in gains]])
        unit = math.sqrt(float(np.mean(y**2))) or 1.0
        known = [self.features.at_top([gain.mix])[0] for gain in gains]
        rows = np.array([*(self._rows[i] for i in places), *known])
        ridge = BayesianRidge(
            alpha_1=_SHAPE,
            alpha_2=_SHAPE * NOISE,
            lambda_1=_SHAPE,
            lambda_2=_SHAPE * SIGNAL,
            fit_intercept=False,
        ).fit(rows, y / unit, sample_weight=_precisions(seen, gains, unit))
        covariance = ridge.sigma_ * (1 + 2 / len(y))
        return Fit(origin, unit, ridge.coef_, covariance, 1 / float(ridge.alpha_))


def _origin(seen: Sequence[Observation], values: Floats) -> float:
    """The control's value; where it is not known yet, the mean of all, and 0 of none."""
    if not seen:
        return 0.0
    control = [value for one, value in zip(seen, values, strict=True) if not one.mix.count]
    return float(np.mean(control or values))


def _precisions(seen: Sequence[Observation], gains: Sequence[Gain], unit: float) -> Floats:
    """g: the usual sampling variance over one's own, for a gain the expected noise over its own."""
    variances = [one.error**2 for one in seen if one.error > 0]
    usual = float(np.median(variances)) if variances else NOISE * unit**2
    own = [usual / one.error**2 if one.error > 0 else 1.0 for one in seen]
    clipped = np.clip(own, *_PRECISIONS)
    return np.concatenate([clipped, [usual / gain.sd**2 for gain in gains]])
