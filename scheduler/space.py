"""The space of mixes, and the port that whoever proposes one must fill.

A mix is coded as fixed coordinates: one bit per task and each number that the study searches
(``scheduler/axis.py``): the logarithm of the cap, the temperature, the share of masked text. They
are always there and are masked when the mix is built, so a model of the space sees one set of
coordinates and not one per subset.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Protocol

from scheduler.axis import Axis, AxisName
from scheduler.mix import Mix
from scheduler.observation import Observation
from scheduler.trial import Arm

_SMALL_SPACE = 20_000  # mixes that are listed rather than drawn at random
_DRAWS = 1_000  # before a large space counts as exhausted


@dataclass(frozen=True, slots=True)
class Point:
    """A mix as coordinates.

    Attributes:
        bits: one per task of the space, in its order.
        numbers: one per axis of the space, in its order.
        arm: place among the arms of the space; 0 where it has none.
    """

    bits: tuple[bool, ...]
    numbers: tuple[float, ...]
    arm: int = 0


@dataclass(frozen=True, slots=True)
class MixSpace:
    """Which mixes can be tried.

    Attributes:
        tasks: names of the intermediate tasks.
        count: k, lowest and highest.
        cap: K, lowest and highest; None where the rule has no cap.
        temperature: T, lowest and highest; None where the rule has none.
        text: share of masked text beside other tasks, lowest and highest; None where the rule decides.
        texts: which of ``tasks`` are masked text.
    """

    tasks: tuple[str, ...]
    count: tuple[int, int]
    cap: tuple[int, int] | None = None
    temperature: tuple[float, float] | None = None
    text: tuple[float, float] | None = None
    texts: tuple[str, ...] = ()

    @property
    def arms(self) -> tuple[Arm, ...]:
        """None: a mix is the same in every arm."""
        return ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The numbers that are searched."""
        return _axes(self.cap, self.temperature, self.text if self.texts else None)

    @property
    def n_subsets(self) -> int:
        """Sum over k of n choose k."""
        lowest, highest = self.count
        return sum(math.comb(len(self.tasks), k) for k in range(lowest, highest + 1))

    @property
    def n_mixes(self) -> int:
        """Subsets, each times the grids of the numbers that decide something in it."""
        lowest, highest = self.count
        n_texts = len(self.texts)
        n_others = len(self.tasks) - n_texts
        return sum(
            math.comb(n_texts, i)
            * math.comb(n_others, j)
            * math.prod(len(axis.values) for axis in self._deciding(i, j))
            for i in range(n_texts + 1)
            for j in range(n_others + 1)
            if lowest <= i + j <= highest
        )

    def __contains__(self, mix: Mix) -> bool:
        return (
            self.count[0] <= mix.count <= self.count[1]
            and set(mix.tasks) <= set(self.tasks)
            and mix == self.decode(self.encode(mix))
        )

    def encode(self, mix: Mix) -> Point:
        """The coordinates of ``mix``; those that decide nothing lie in the middle of their range."""
        values = {"log_cap": mix.cap, "temperature": mix.temperature, "text": mix.text}
        used = self._deciding(*self._counts(mix.tasks))
        return Point(
            tuple(task in mix.tasks for task in self.tasks),
            tuple(
                axis.coordinate(values[axis.name]) if axis in used and values[axis.name] else axis.middle
                for axis in self.axes
            ),
        )

    def decode(self, point: Point) -> Mix:
        """The mix at ``point``: its bits repaired to an allowed count, its numbers on the grid."""
        bits = self.repair(point.bits)
        return self._mix(
            tuple(task for task, bit in zip(self.tasks, bits, strict=True) if bit), point.numbers
        )

    def _mix(self, tasks: tuple[str, ...], numbers: tuple[float, ...]) -> Mix:
        """The mix of ``tasks`` at coordinates, without those that decide nothing in it."""
        used = self._deciding(*self._counts(tasks))
        values = {
            axis.name: axis.value(number)
            for axis, number in zip(self.axes, numbers, strict=True)
            if axis in used
        }
        return _valued(tasks, values)

    def _counts(self, tasks: Collection[str]) -> tuple[int, int]:
        """Masked tasks among ``tasks``, and others."""
        n_texts = sum(task in self.texts for task in tasks)
        return n_texts, len(tasks) - n_texts

    def _deciding(self, n_texts: int, n_others: int) -> tuple[Axis, ...]:
        """The axes that the rates of so many masked tasks and others depend on.

        Where text has a share of its own, cap and temperature only divide what is left of each part.
        """
        shared = bool(self.text) and n_texts > 0 and n_others > 0
        divided = max(n_texts, n_others) > 1 if shared else n_texts + n_others > 1
        return tuple(axis for axis in self.axes if (shared if axis.name == "text" else divided))

    def repair(self, bits: tuple[bool, ...]) -> tuple[bool, ...]:
        """``bits`` with as few tasks added or dropped as the allowed count needs.

        Which ones is decided by a hash of the bits, so that no task is favoured by its place.
        """
        lowest, highest = self.count
        n_missing, n_extra = lowest - sum(bits), sum(bits) - highest
        if n_missing <= 0 and n_extra <= 0:
            return bits
        flips = [i for i, bit in enumerate(bits) if bit == (n_extra > 0)]
        flips.sort(key=lambda i: hashlib.sha256(f"{bits}/{self.tasks[i]}".encode()).digest())
        chosen = set(flips[: max(n_missing, n_extra)])
        return tuple(bit != (i in chosen) for i, bit in enumerate(bits))

    def draw(self, rng: random.Random) -> Mix:
        """A random mix: k uniform, then its tasks, then coordinates, each uniform in its range."""
        tasks = tuple(rng.sample(self.tasks, rng.randint(*self.count)))
        return self._mix(tasks, tuple(rng.uniform(*axis.ends) for axis in self.axes))

    def all_mixes(self) -> tuple[Mix, ...]:
        """Every mix, ordered by count; meant for small spaces."""
        lowest, highest = self.count
        return tuple(
            _valued(tasks, dict(zip((axis.name for axis in used), values, strict=True)))
            for k in range(lowest, highest + 1)
            for tasks in combinations(self.tasks, k)
            for used in (self._deciding(*self._counts(tasks)),)
            for values in product(*(axis.values for axis in used))
        )


@lru_cache(maxsize=64)
def _axes(
    cap: tuple[int, int] | None,
    temperature: tuple[float, float] | None,
    text: tuple[float, float] | None,
) -> tuple[Axis, ...]:
    """One axis for each range that is given; built once, since every mix asks for them."""
    return (
        *([Axis("log_cap", *cap)] if cap else []),
        *([Axis("temperature", *temperature)] if temperature else []),
        *([Axis("text", *text)] if text else []),
    )


def _valued(tasks: tuple[str, ...], values: Mapping[AxisName, float]) -> Mix:
    return Mix.of(
        tasks,
        int(values.get("log_cap", 0)),
        values.get("temperature", 1.0),
        values.get("text", 0.0),
    )


class Range(Protocol):
    """A coordinate that is a number."""

    @property
    def name(self) -> str:
        """Of the coordinate, unique in its space."""

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest coordinate."""


class Space(Protocol):
    """What can be tried, as a sampler sees it; :class:`MixSpace` is one, a list of mixes another."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the bits of a point stand for."""

    @property
    def axes(self) -> Sequence[Range]:
        """What the numbers of a point stand for."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What the arm of a point is one of; none where mixes are proposed in no arm."""

    @property
    def n_mixes(self) -> int:
        """Mixes in the space."""

    def encode(self, mix: Mix) -> Point:
        """The coordinates of ``mix``."""

    def decode(self, point: Point) -> Mix:
        """The mix at ``point``, which may be any."""

    def draw(self, rng: random.Random) -> Mix:
        """A random mix."""

    def all_mixes(self) -> tuple[Mix, ...]:
        """Every mix; meant for small spaces."""


class Sampler(Protocol):
    """Proposes mixes and learns what they were worth."""

    description: str

    def propose(self, n_seen: int, tried: Collection[Mix]) -> Mix | None:
        """A mix that is not among ``tried``.

        Args:
            n_seen: proposals made so far; with the tells so far it decides the answer.
            tried: mixes that are trials already, or would run what one of them ran; ask it by ``in``.

        Returns:
            None when no new mix is left, or none was found in many draws.
        """

    def tell(self, mix: Mix, values: tuple[float, ...] | None) -> None:
        """Learn the objectives of ``mix`` at full fidelity; None teaches nothing."""

    def observe(self, observation: Observation) -> None:
        """Learn what a finished rung was worth, which is less than full fidelity but for the last."""


class RandomSampler:
    """Uniform in the number of tasks, deaf to results: the baseline, and how others begin."""

    description = (
        "random: k uniform, subset uniform, log-uniform cap, uniform temperature and text share"
    )

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, n_seen: int, tried: Collection[Mix]) -> Mix | None:
        """A mix that is not among ``tried``; a function of seed, ``n_seen`` and ``tried`` alone."""
        rng = random.Random(f"{self._seed}/{n_seen}")
        for _ in range(_DRAWS):
            mix = self._space.draw(rng)
            if mix not in tried:
                return mix
        if self._space.n_mixes > _SMALL_SPACE:
            return None
        left = [mix for mix in self._space.all_mixes() if mix not in tried]
        return rng.choice(left) if left else None

    def tell(self, mix: Mix, values: tuple[float, ...] | None) -> None:
        """Learn nothing."""

    def observe(self, observation: Observation) -> None:
        """Learn nothing."""
