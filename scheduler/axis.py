"""One number of a mix that is searched: a range, the grid that its values lie on, a coordinate.

The cap lies on a grid of two significant digits, the temperature on one of tenths and the share of
masked text on one of hundredths, the ends of each range included: finer differences cannot be
measured, and a finite space can be exhausted.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

AxisName = Literal["log_cap", "temperature", "text"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A searched number.

    Attributes:
        name: of its coordinate.
        low: lowest value.
        high: highest value.
    """

    name: AxisName
    low: float
    high: float

    @property
    def values(self) -> tuple[float, ...]:
        """The grid, ascending."""
        return _values(self)

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest coordinate."""
        return self._scaled(self.low), self._scaled(self.high)

    @property
    def middle(self) -> float:
        """The coordinate of a number that decides nothing."""
        return sum(self.ends) / 2

    def coordinate(self, value: float) -> float:
        """The coordinate of a value above 0, moved inside the range."""
        low, high = self.ends
        return min(max(self._scaled(value), low), high)

    def value(self, coordinate: float) -> float:
        """The grid point nearest to a coordinate, the lower one on a tie."""
        return _closest(self.values, math.exp(coordinate) if self.name == "log_cap" else coordinate)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.name == "log_cap" else value


@lru_cache(maxsize=64)
def _values(axis: Axis) -> tuple[float, ...]:
    match axis.name:
        case "log_cap":
            return _two_digits(int(axis.low), int(axis.high))
        case "temperature":
            return tuple(sorted({round(t, 2) for t in (axis.low, *_between(axis, 10), axis.high)}))
        case "text":
            return tuple(sorted({axis.low, *_between(axis, 100), axis.high}))


def _between(axis: Axis, parts: int) -> list[float]:
    """Multiples of ``1 / parts`` within the range."""
    numbers = range(math.ceil(axis.low * parts), math.floor(axis.high * parts) + 1)
    return [n / parts for n in numbers]


def _two_digits(low: int, high: int) -> tuple[int, ...]:
    points = {low, high}
    step = 10 ** max(0, len(str(low)) - 2)
    value = low - low % step
    while value < high:
        value += step
        if low < value < high:
            points.add(value)
        step = 10 ** max(0, len(str(value)) - 2)
    return tuple(sorted(points))


def _closest(grid: tuple[float, ...], value: float) -> float:
    right = min(bisect_left(grid, value), len(grid) - 1)
    left = max(right - 1, 0)
    return grid[left] if abs(grid[left] - value) <= abs(grid[right] - value) else grid[right]
