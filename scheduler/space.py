"""The space of mixes, and the port that whoever proposes one must fill.

A mix is coded as fixed coordinates: one bit per task, the logarithm of the cap, the temperature.
Cap and temperature are always there and are masked when the mix is built, so a model of the space
sees one set of coordinates and not one per subset.

The cap lies on a grid of two significant digits and the temperature on one of tenths (the ends of
both ranges included): finer differences cannot be measured, and a finite space can be exhausted.
"""

from __future__ import annotations

import hashlib
import math
import random
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Protocol, TypeVar

from scheduler.mix import Mix

_SMALL_SPACE = 20_000  # mixes that are listed rather than drawn at random
_N = TypeVar("_N", int, float)
_DRAWS = 1_000  # before a large space counts as exhausted


@dataclass(frozen=True, slots=True)
class Point:
    """A mix as coordinates.

    Attributes:
        bits: one per task of the space, in its order.
        log_cap: natural logarithm of K.
        temperature: T.
    """

    bits: tuple[bool, ...]
    log_cap: float
    temperature: float


@dataclass(frozen=True, slots=True)
class MixSpace:
    """Which mixes can be tried.

    Attributes:
        tasks: names of the intermediate tasks.
        count: k, lowest and highest.
        cap: K, lowest and highest.
        temperature: T, lowest and highest.
    """

    tasks: tuple[str, ...]
    count: tuple[int, int]
    cap: tuple[int, int]
    temperature: tuple[float, float]

    @property
    def caps(self) -> tuple[int, ...]:
        """The grid of K, ascending."""
        return _cap_grid(*self.cap)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The grid of T, ascending."""
        return _temperature_grid(*self.temperature)

    @property
    def n_subsets(self) -> int:
        """Sum over k of n choose k."""
        lowest, highest = self.count
        return sum(math.comb(len(self.tasks), k) for k in range(lowest, highest + 1))

    @property
    def n_mixes(self) -> int:
        """Subsets, those of two and more tasks times the grids of cap and temperature."""
        lowest, highest = self.count
        plain = sum(math.comb(len(self.tasks), k) for k in range(lowest, min(highest, 1) + 1))
        return plain + (self.n_subsets - plain) * len(self.caps) * len(self.temperatures)

    def __contains__(self, mix: Mix) -> bool:
        return (
            self.count[0] <= mix.count <= self.count[1]
            and set(mix.tasks) <= set(self.tasks)
            and mix == self.decode(self.encode(mix))
        )

    def encode(self, mix: Mix) -> Point:
        """The coordinates of ``mix``; those it does not use lie in the middle of their range."""
        bits = tuple(task in mix.tasks for task in self.tasks)
        if mix.count > 1:
            low, high = self.temperature
            return Point(bits, math.log(mix.cap), min(max(mix.temperature, low), high))
        middle = math.log(self.cap[0] * self.cap[1]) / 2
        return Point(bits, middle, sum(self.temperature) / 2)

    def decode(self, point: Point) -> Mix:
        """The mix at ``point``: its bits repaired to an allowed count, its numbers on the grid."""
        tasks = tuple(task for task, bit in zip(self.tasks, self.repair(point.bits), strict=True) if bit)
        cap = _closest(self.caps, math.exp(point.log_cap))
        return Mix.of(tasks, cap, _closest(self.temperatures, point.temperature))

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
        """A random mix: k uniform, then its tasks, a log-uniform cap and a uniform temperature."""
        tasks = tuple(rng.sample(self.tasks, rng.randint(*self.count)))
        log_cap = rng.uniform(math.log(self.cap[0]), math.log(self.cap[1]))
        cap, temperature = math.exp(log_cap), rng.uniform(*self.temperature)
        return Mix.of(tasks, _closest(self.caps, cap), _closest(self.temperatures, temperature))

    def all_mixes(self) -> tuple[Mix, ...]:
        """Every mix, ordered by count; meant for small spaces."""
        lowest, highest = self.count
        grid = tuple(product(self.caps, self.temperatures))
        return tuple(
            Mix.of(tasks, cap, temperature)
            for k in range(lowest, highest + 1)
            for tasks in combinations(self.tasks, k)
            for cap, temperature in (grid if k > 1 else grid[:1])
        )


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


class RandomSampler:
    """Uniform in the number of tasks, deaf to results: the baseline, and how others begin."""

    description = "random: k uniform, subset uniform, log-uniform cap, uniform temperature"

    def __init__(self, space: MixSpace, seed: int) -> None:
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


def coordinates(space: MixSpace, values: Mapping[str, object]) -> Point:
    """The point that named coordinates describe (see :func:`named`)."""
    bits = tuple(bool(values[f"task/{task}"]) for task in space.tasks)
    log_cap, temperature = values["log_cap"], values["temperature"]
    if not isinstance(log_cap, int | float) or not isinstance(temperature, int | float):
        raise TypeError(f"coordinates are numbers, got {log_cap!r} and {temperature!r}")
    return Point(bits, float(log_cap), float(temperature))


def named(space: MixSpace, point: Point) -> dict[str, bool | float]:
    """Coordinates by name, as a study of another library stores them."""
    bits = {f"task/{task}": bit for task, bit in zip(space.tasks, point.bits, strict=True)}
    return {**bits, "log_cap": point.log_cap, "temperature": point.temperature}


@lru_cache(maxsize=64)
def _cap_grid(low: int, high: int) -> tuple[int, ...]:
    points = {low, high}
    step = 10 ** max(0, len(str(low)) - 2)
    value = low - low % step
    while value < high:
        value += step
        if low < value < high:
            points.add(value)
        step = 10 ** max(0, len(str(value)) - 2)
    return tuple(sorted(points))


@lru_cache(maxsize=64)
def _temperature_grid(low: float, high: float) -> tuple[float, ...]:
    tenths = {t / 10 for t in range(math.ceil(low * 10), math.floor(high * 10) + 1)}
    return tuple(sorted({round(t, 2) for t in (low, *tenths, high)}))


def _closest(grid: tuple[_N, ...], value: float) -> _N:
    """The grid point nearest to ``value``, the lower one on a tie."""
    right = min(bisect_left(grid, value), len(grid) - 1)
    left = max(right - 1, 0)
    return grid[left] if abs(grid[left] - value) <= abs(grid[right] - value) else grid[right]
