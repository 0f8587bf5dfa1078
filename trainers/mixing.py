"""How often each task is drawn. Plain Python: the scheduler plans with it."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

Rule = Literal["temperature", "capped", "proportional", "uniform", "weights"]


def draw_rates(
    sizes: Sequence[float], *, rule: Rule = "temperature", cap: int = 0, temperature: float = 1.0
) -> tuple[float, ...]:
    """The chance that a step is taken on each task.

        temperature    q_k = min(n_k, K) ** (1 / T) / sum_j min(n_j, K) ** (1 / T)
        capped         q_k = min(n_k, K) / sum_j min(n_j, K)          T = 1
        proportional   q_k = n_k / sum_j n_j                          T = 1, no K
        uniform        q_k = 1 / number of tasks                      T towards infinity
        weights        q_k = w_k / sum_j w_j                          w in place of n

    Args:
        sizes: n, training examples per task, or w, weights without unit; every one above zero.
        rule: which equation.
        cap: K, examples of a task that count, 0 for no cap; ``temperature`` and ``capped`` use it.
        temperature: T, no unit, at least 1; ``temperature`` uses it.

    Returns:
        Rates in the order of ``sizes``, summing to 1; empty for no task.

    Raises:
        ValueError: a size is not a positive number, ``cap`` is negative, or ``temperature`` below 1.

    Source: Raffel et al. 2020, arXiv:1910.10683 (proportional, uniform, cap); Arivazhagan et al.
    2019, arXiv:1907.05019 (temperature).
    """
    if not all(0 < size < math.inf for size in sizes):
        raise ValueError(
            f"every task needs at least one training example, or a weight above zero; got {tuple(sizes)}"
        )
    if cap < 0:
        raise ValueError(f"the cap counts examples and cannot be negative, got {cap}")
    if not temperature >= 1:
        raise ValueError(f"the temperature is at least 1, got {temperature}")
    most = cap if cap and rule in ("temperature", "capped") else math.inf
    power = {"temperature": 1 / temperature, "uniform": 0.0}.get(rule, 1.0)
    parts = [min(size, most) ** power for size in sizes]
    total = sum(parts)
    return tuple(part / total for part in parts)


def with_text_share(rates: Sequence[float], is_text: Sequence[bool], share: float) -> tuple[float, ...]:
    """The rates with masked text at a share of its own, and the rest left to the other tasks.

        q_text = m
        q_k = (1 - m) * r_k / sum over the other tasks of r_j

    Several masked tasks divide m as the rates do. A mix of text alone, or without text, keeps its
    rates: there is nothing to divide.

    Args:
        rates: r, from :func:`draw_rates`, shape (tasks,).
        is_text: which of the tasks are masked text, shape (tasks,).
        share: m, 0 to 1, both ends excluded; 0 lets the rule decide on text as on any task.

    Returns:
        Rates, shape (tasks,), summing to 1.

    Raises:
        ValueError: ``share`` is not within 0 and 1.

    Source: Phang et al. 2020, arXiv:2005.13013, who go on with masked text beside other tasks.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of masked text is below 1 and not below 0, got {share}")
    text = math.fsum(rate for rate, masked in zip(rates, is_text, strict=True) if masked)
    others = math.fsum(rate for rate, masked in zip(rates, is_text, strict=True) if not masked)
    if not (share and text and others):
        return tuple(rates)
    return tuple(
        share * rate / text if masked else (1 - share) * rate / others
        for rate, masked in zip(rates, is_text, strict=True)
    )


def task_at(step: int, rates: Sequence[float], *, seed: int) -> int:
    """The task of one optimiser step, as an index into ``rates``.

    A function of ``(seed, step)`` alone, so a run that is stopped anywhere continues with the same
    tasks without keeping a generator's state.
    """
    drawn = random.Random(f"task/{seed}/{step}").random() * sum(rates)
    return min(bisect_right(list(accumulate(rates)), drawn), len(rates) - 1)
