"""A point of a space by the names of its coordinates, as another library keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.space import Point, Space

ARM = "arm"


def coordinates(space: Space, values: Mapping[str, object]) -> Point:
    """The point that named coordinates describe (see :func:`named`)."""
    bits = tuple(bool(values[f"task/{task}"]) for task in space.tasks)
    numbers = tuple(_number(axis.name, values[axis.name]) for axis in space.axes)
    return Point(bits, numbers, int(_number(ARM, values[ARM])) if space.arms else 0)


def named(space: Space, point: Point) -> dict[str, bool | float]:
    """Coordinates by name; that of the arm is its place among the space's arms, 0 for the first."""
    bits = {f"task/{task}": bit for task, bit in zip(space.tasks, point.bits, strict=True)}
    names = [axis.name for axis in space.axes]
    arm = {ARM: point.arm} if space.arms else {}
    return {**bits, **dict(zip(names, point.numbers, strict=True)), **arm}


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"the coordinate {name} is a number, got {value!r}")
    return float(value)
