"""A mix at a length of training as a row of numbers that a linear model is fitted to.

    1                       the control, k = 0: every other column is 0 there
    [k > 0]                 what any intermediate stage does
    b_i                     main effect of task i, b_i = 1 where it is in the mix
    [k > 0] z, b_i z        how these grow with training, z = ln(tokens / top) / ln(top / bottom)
    b_i b_j                 what two tasks do to one another
    k (k - 1) / 2           what all pairs have in common: tasks share a fixed number of tokens
    x, x^2                  each searched number of the mix, from -1 to 1, 0 where it decides nothing

so ``z`` is 0 at the top rung and -1 at the first. Each column is multiplied by how large its effect may
be beside a main effect; under one ridge penalty the smaller is then shrunk the harder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from scheduler.mix import Mix
from scheduler.space import Space

Floats = npt.NDArray[np.float64]

_CONSTANT = 0.5
_GROWTH = 0.5
_PAIR = 0.3
_NUMBER = 0.4
_CURVE = 0.3


class Features:
    """Rows of a space whose stages end at the tokens of some rungs.

    Attributes:
        top: tokens of the longest stage.
        n: columns.
        n_main: columns before the first pair: the constant, any stage, and one per task.
    """

    def __init__(self, space: Space, rungs: Sequence[int]) -> None:
        self.top = max(rungs)
        self.n_main = 2 + len(space.tasks)
        self._space = space
        self._span = math.log(self.top / min(rungs)) or 1.0
        self._first, self._second = (
            np.array(list(combinations(range(len(space.tasks)), 2)), dtype=int).reshape(-1, 2).T
        )
        self._axes = [
            ((high + low) / 2, (high - low) / 2) for low, high in (axis.ends for axis in space.axes)
        ]
        self._known: dict[Mix, Floats] = {}
        self._n_subset = self.n_main + len(self._first) + 1
        self.n = self._n_subset + 2 * len(self._axes) + self.n_main - 1

    def rows(self, mixes: Sequence[Mix], tokens: Sequence[int]) -> Floats:
        """The design matrix of ``mixes`` after ``tokens``, one number for each.

        Returns:
            Shape (mixes, features), the growth of effects in the last columns.
        """
        static = np.stack([self._static(mix) for mix in mixes])
        return self._grown(static, np.array([self.z(n) for n in tokens]))

    def at_top(self, mixes: Sequence[Mix]) -> Floats:
        """The design matrix of ``mixes`` at the top rung; of none, one without rows."""
        return self.rows(mixes, [self.top] * len(mixes)) if mixes else np.empty((0, self.n))

    def subsets(self, bits: Floats, z: float) -> Floats:
        """The design matrix of subsets of the tasks, the searched numbers in their middle.

        Args:
            bits: shape (subsets, tasks); one of none is a stage that trains nothing, not the control.
            z: how far below the top they are trained.
        """
        return self._grown(self._of_bits(bits), np.full(len(bits), z))

    @property
    def control(self) -> Floats:
        """The row of k = 0."""
        return np.array([_CONSTANT, *[0.0] * (self.n - 1)])

    def z(self, tokens: int) -> float:
        """How far below the top a length of training is; 0 for the control, which has none."""
        return math.log(tokens / self.top) / self._span if tokens else 0.0

    def _static(self, mix: Mix) -> Floats:
        """The columns that do not depend on tokens, built once per mix."""
        if mix not in self._known:
            self._known[mix] = self._built(mix)
        return self._known[mix]

    def _built(self, mix: Mix) -> Floats:
        if not mix.count:
            return self.control[: self.n - self.n_main + 1]
        point = self._space.encode(mix)
        bits = np.array(point.bits, dtype=np.float64)
        numbers = np.array(
            [
                (number - middle) / half if half else 0.0
                for number, (middle, half) in zip(point.numbers, self._axes, strict=True)
            ]
        )
        row: Floats = self._of_bits(bits[None])[0]
        row[self._n_subset :] = np.concatenate([_NUMBER * numbers, _CURVE * numbers**2])
        return row

    def _of_bits(self, bits: Floats) -> Floats:
        """The columns that do not depend on tokens, 0 for the searched numbers."""
        pairs = bits[:, self._first] * bits[:, self._second]
        crowd = pairs.sum(axis=1, keepdims=True) / math.sqrt(max(1, pairs.shape[1]))
        any_stage = np.tile([_CONSTANT, 1.0], (len(bits), 1))
        numbers = np.zeros((len(bits), 2 * len(self._axes)))
        return np.hstack([any_stage, bits, _PAIR * pairs, _PAIR * crowd, numbers])

    def _grown(self, static: Floats, z: Floats) -> Floats:
        """With the columns for the growth of effects, for each row's z."""
        return np.hstack([static, static[:, 1 : self.n_main] * (_GROWTH * z[:, None])])
