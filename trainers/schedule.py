r"""The learning rate as pure functions of tokens: shares of the peak, from 0 to 1.

An intermediate stage warms up once and then stays at the peak (its *trunk*), so that a longer stage
continues a shorter one. What is evaluated is a *branch* off the trunk in which the rate falls to
zero. A stage nobody continues warms up and falls in one go.

    trunk    /-----------------------------      ...
                 \                    \
    branch        \ evaluated          \ evaluated

The loop asks for the rate in the middle of a step: tokens before it plus half of its own.

Source: Hu et al. 2024, arXiv:2404.06395 (warm-up, stable, decay); Hägele et al. 2024,
arXiv:2405.18392 (decay with 1 - sqrt).
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]  # tokens since the schedule's start -> share of the peak


def trunk(*, warmup_tokens: float) -> Schedule:
    """Rises linearly over ``warmup_tokens``, then stays at the peak."""

    def share(tokens: float) -> float:
        return _risen(tokens, warmup_tokens)

    return share


def branch(*, start_tokens: float, branch_tokens: float) -> Schedule:
    """Falls from the peak at ``start_tokens`` to zero as 1 - sqrt(x), x from 0 to 1."""

    def share(tokens: float) -> float:
        gone = (tokens - start_tokens) / branch_tokens
        return 1.0 - math.sqrt(min(1.0, max(0.0, gone)))

    return share


def rise_and_fall(*, warmup_tokens: float, total_tokens: float) -> Schedule:
    """Rises linearly over ``warmup_tokens``, then falls linearly to zero at ``total_tokens``."""
    fall_tokens = total_tokens - warmup_tokens
    if fall_tokens <= 0:
        raise ValueError(f"warm-up of {warmup_tokens} tokens leaves nothing of {total_tokens} to fall")

    def share(tokens: float) -> float:
        left = (total_tokens - tokens) / fall_tokens
        return min(_risen(tokens, warmup_tokens), max(0.0, left))

    return share


def _risen(tokens: float, warmup_tokens: float) -> float:
    return 1.0 if tokens >= warmup_tokens else tokens / warmup_tokens
