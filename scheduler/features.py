"""A mix at a length of training as a row of numbers that a linear model is fitted to.

    1                       the control, k = 0: every other column is 0 there
    [k > 0]                 what any intermediate stage does
    b_i                     main effect of task i, b_i = 1 where it is in the mix
    [k > 0] z, b_i z        how these grow with training, z = ln(tokens / top) / ln(top / bottom)
    b_i b_j                 what two tasks do to one another
    k (k - 1) / 2           what all pairs have in common: tasks share a fixed number of tokens
    x, x^2                  each searched number of the mix, from -1 to 1, 0 where it decides nothing
    c_a, c_a b_i            arm a, c_a = [in arm a] - 1 / (arms), and with task i; the control's too.
                            All are 0 for the mean over arms, and there are none where a study has one

so ``z`` is 0 at the top rung and -1 at the first. Each column is multiplied by how large its effect may
be beside a main effect; under one ridge penalty the smaller is then shrunk the harder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from scheduler.arms import ArmedMix
from scheduler.mix import Mix
from scheduler.space import Space
from scheduler.trial import Arm

Floats = npt.NDArray[np.float64]

_CONSTANT = 0.5
_GROWTH = 0.5
_PAIR = 0.3
_NUMBER = 0.4
_CURVE = 0.3
_ARM = 2.0  # arms may differ by more than any task brings
_ARM_TASK = 0.3


class Features:
    """Rows of a space whose stages end at the tokens of some rungs.

    Attributes:
        top: tokens of the longest stage.
        n: columns.
        n_main: columns before the first pair: the constant, any stage, and one per task.
        of_arms: the columns of the arms alone.
    """

    def __init__(self, space: Space, rungs: Sequence[int], arms: Sequence[Arm] = ()) -> None:
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
        self._arms = tuple(arms)
        n_subset = self.n_main + len(self._first) + 1
        n_mix = n_subset + 2 * len(self._axes)
        n_static = n_mix + len(self._arms) * (1 + len(space.tasks))
        self._of_numbers, self._of_arm = slice(n_subset, n_mix), slice(n_mix, n_static)
        self.of_arms = slice(n_mix, n_mix + len(self._arms))
        self.n = n_static + self.n_main - 1

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
        row = self._of_mix(mix)
        if isinstance(mix, ArmedMix) and self._arms:
            here = np.array([arm == mix.arm for arm in self._arms], dtype=np.float64)
            contrasts = here - 1 / len(self._arms)
            bits = np.array([task in mix.tasks for task in self._space.tasks], dtype=np.float64)
            tasks = _ARM_TASK * np.outer(contrasts, bits).ravel()
            row[self._of_arm] = np.concatenate([_ARM * contrasts, tasks])
        return row

    def _of_mix(self, mix: Mix) -> Floats:
        """The columns for what is the same in every arm."""
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
        row[self._of_numbers] = np.concatenate([_NUMBER * numbers, _CURVE * numbers**2])
        return row

    def _of_bits(self, bits: Floats) -> Floats:
        """The columns that do not depend on tokens, 0 for the searched numbers and the arms."""
        pairs = bits[:, self._first] * bits[:, self._second]
        crowd = pairs.sum(axis=1, keepdims=True) / math.sqrt(max(1, pairs.shape[1]))
        any_stage = np.tile([_CONSTANT, 1.0], (len(bits), 1))
        others = np.zeros((len(bits), self._of_arm.stop - self._of_numbers.start))
        return np.hstack([any_stage, bits, _PAIR * pairs, _PAIR * crowd, others])

    def _grown(self, static: Floats, z: Floats) -> Floats:
        """With the columns for the growth of effects, for each row's z."""
        return np.hstack([static, static[:, 1 : self.n_main] * (_GROWTH * z[:, None])])
