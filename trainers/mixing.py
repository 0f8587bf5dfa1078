"""How often each task is drawn. Plain Python: the scheduler plans with it."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate


def draw_rates(sizes: Sequence[int], *, cap: int, temperature: float) -> tuple[float, ...]:
    """The chance that a step is taken on each task.

        q_k = min(n_k, cap) ** (1 / T) / sum_j min(n_j, cap) ** (1 / T)

    ``T = 1`` follows the data up to the cap, ``T`` towards infinity treats every task alike.

    Args:
        sizes: training examples per task, every one above zero.
        cap: examples of a task that count, 0 for no cap.
        temperature: T, no unit, at least 1.

    Returns:
        Rates in the order of ``sizes``, summing to 1; empty for no task.

    Raises:
        ValueError: a size is not positive, ``cap`` is negative, or ``temperature`` is below 1.

    Source: Raffel et al. 2020, arXiv:1910.10683 (cap); Arivazhagan et al. 2019, arXiv:1907.05019
    (temperature).
    """
    if any(size <= 0 for size in sizes):
        raise ValueError(f"every task needs at least one training example, got sizes {tuple(sizes)}")
    if cap < 0:
        raise ValueError(f"the cap counts examples and cannot be negative, got {cap}")
    if not temperature >= 1:
        raise ValueError(f"the temperature is at least 1, got {temperature}")
    weights = [(min(size, cap) if cap else size) ** (1 / temperature) for size in sizes]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def task_at(step: int, rates: Sequence[float], *, seed: int) -> int:
    """The task of one optimiser step, as an index into ``rates``.

    A function of ``(seed, step)`` alone, so a run that is stopped anywhere continues with the same
    tasks without keeping a generator's state.
    """
    drawn = random.Random(f"task/{seed}/{step}").random() * sum(rates)
    return min(bisect_right(list(accumulate(rates)), drawn), len(rates) - 1)
