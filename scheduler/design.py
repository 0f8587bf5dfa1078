"""The first mixes of a search: those after which all others are known best, before anything is.

Of drawn candidates the one that takes most off the expected variance of others, under the surrogate's
prior: with w ~ N(0, s I), noise of variance e and rows X of the mixes that were tried,

    C = (I / s + X' X / e)^-1,      worth of r = sum over rows q of others (q C r)^2 / (e + r C r)

Source: I-optimal design, one point at a time; Atkinson, Donev & Tobias 2007, chapter 10.
"""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np

from scheduler.features import Features
from scheduler.mix import Mix
from scheduler.space import Space
from scheduler.surrogate import NOISE, SIGNAL

_CANDIDATES = 32
_OTHERS = 96


def most_telling(
    space: Space, features: Features, tried: Collection[Mix], rng: random.Random
) -> Mix | None:
    """A mix that is not among ``tried``, None where none was drawn."""
    drawn = dict.fromkeys(space.draw(rng) for _ in range(_CANDIDATES))
    candidates = [mix for mix in drawn if mix not in tried]
    if not candidates:
        return None
    others = features.at_top([space.draw(rng) for _ in range(_OTHERS)])
    rows, known = features.at_top(candidates), features.at_top(sorted(set(tried)))
    covariance = np.linalg.inv(np.eye(features.n) / SIGNAL + known.T @ known / NOISE)
    taken = np.square(others @ covariance @ rows.T).sum(axis=0)
    variances = np.einsum("ij,ij->i", rows @ covariance, rows)
    return candidates[int(np.argmax(taken / (NOISE + variances)))]
