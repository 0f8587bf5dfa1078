"""Whether one order foretells another: Kendall's tau-b with a bootstrap interval.

Source: Kendall 1945, Biometrika 33 (3), for ties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from experiments.bootstrap import BLOCK, N_REPLICATES, Array
from experiments.stats import LEVEL, Interval


def kendall_tau(first: Array, second: Array, *, seed: int) -> Interval | None:
    """Kendall's tau-b of paired scores with a bootstrap interval over the pairs.

    Args:
        first: scores at one rung, shape (trials,).
        second: scores of the same trials at the next.
        seed: of the draws.

    Returns:
        tau-b with its interval, or None with fewer than five trials or no spread in a score: draws
        of three or four trials repeat one order so often that an interval would be a pretence.
    """
    n = len(first)
    if n < 5 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    signs_first = np.sign(first[:, None] - first[None, :])
    signs_second = np.sign(second[:, None] - second[None, :])
    everyone = np.arange(n)[None, :]
    rng = np.random.default_rng([seed, 5])
    drawn: list[float] = []
    for picks in np.array_split(
        rng.integers(0, n, size=(N_REPLICATES, n)), 1 + N_REPLICATES * n * n // BLOCK
    ):
        taus = _tau_b(signs_first, signs_second, picks)
        drawn.extend(taus[np.isfinite(taus)].tolist())
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(_tau_b(signs_first, signs_second, everyone)[0]), float(low), float(high), n)


def _tau_b(signs_first: Array, signs_second: Array, picks_BN: NDArray[np.int64]) -> Array:
    """tau-b of each draw; NaN where a draw has no spread. Shape (B,)."""
    rows, columns = picks_BN[:, :, None], picks_BN[:, None, :]
    a, b = signs_first[rows, columns], signs_second[rows, columns]
    agreement = (a * b).sum(axis=(1, 2))
    spread = np.sqrt((a * a).sum(axis=(1, 2)) * (b * b).sum(axis=(1, 2)))
    tau: Array = np.full(len(picks_BN), np.nan)
    np.divide(agreement, spread, out=tau, where=spread > 0)
    return tau
