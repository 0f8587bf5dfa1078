"""What trying a mix is expected to bring, and what that is worth beside its price.

    EI(x)    = E max(0, f - best) = (m - best) Phi(u) + s phi(u),   u = (m - best) / s
    EHVI(x)  = sum over steps of the front of EI against the step's score, times its hours from h(x) on
    worth    = EI(x) / h(x)^a,     a = 1 - spent / the search's part of the cap; 0 unless asked for

with f ~ N(m, s^2) the score at the top rung and h(x) its hours. Against score and hours the front is a
staircase; where the hours of a mix are taken as known, the expected gain in dominated hypervolume is
that sum exactly, and nothing has to be drawn. The exponent cools: cheap looks first, and at the end of
the budget only what the answer gains.

Source: Jones et al. 1998, doi:10.1023/A:1008306431147 (EI); Lee et al. 2020, arXiv:2003.10870 (cooling).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scheduler.features import Floats
from scheduler.surrogate import Prediction

_REACH = 1.1  # the hypervolume counts hours up to this multiple of the longest


def expected_improvement(prediction: Prediction, best: float) -> Floats:
    """By how many points each is expected to pass ``best``, counting 0 where it does not."""
    sd = np.maximum(prediction.sd, 1e-12)
    u = (prediction.mean - best) / sd
    improvement: Floats = sd * (u * _below(u) + np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi))
    return np.maximum(improvement, 0.0)


def hypervolume_improvement(
    prediction: Prediction, hours: Floats, front: Sequence[tuple[float, float]]
) -> Floats:
    """By how many point-hours each is expected to enlarge what ``front`` dominates.

    Args:
        prediction: of the candidates.
        hours: of the candidates.
        front: (score, hours) of what is there, at least one; dominated ones change nothing.
    """
    steps = _staircase(front)
    reach = _REACH * max(float(np.max(hours)), *(longest for _, longest in front))
    ends = [start for _, start in steps[1:]] + [reach]
    total = np.zeros(len(hours))
    for (level, start), end in zip(steps, ends, strict=True):
        width = np.maximum(0.0, end - np.maximum(start, hours))
        total += width * expected_improvement(prediction, level)
    return total


def corners(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those of (score, hours) that the gain in hypervolume depends on."""
    longest = max(hours for _, hours in front)
    worst = min(score for score, _ in front)
    return [*_staircase(front)[1:], (worst, longest)]


def cooling(spent_ms: int, search_ms: int) -> float:
    """The exponent of the price: 1 before anything is spent, 0 once the search's part is."""
    return min(1.0, max(0.0, 1.0 - spent_ms / search_ms)) if search_ms else 0.0


def _staircase(front: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Steps (score, hours from which on it is reached): the worst score is had for nothing."""
    steps = [(min(score for score, _ in front), 0.0)]
    for score, hours in sorted(front, key=lambda point: (point[1], -point[0])):
        if score > steps[-1][0]:
            steps.append((score, hours))
    return steps


def _below(u: Floats) -> Floats:
    """The normal distribution function."""
    return np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in u.ravel()]).reshape(u.shape)
