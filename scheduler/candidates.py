"""The mixes a proposal is chosen from: all of a small space, else draws and neighbours of the best."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scheduler.mix import Mix
from scheduler.space import Space

_LISTED = 1_024  # mixes of a space that are all looked at
_DRAWS = 96
_STEP = 0.25  # of an axis


def candidates(space: Space, best: Sequence[Mix], rng: random.Random) -> tuple[Mix, ...]:
    """Mixes worth a prediction, each once, in an order that ``rng`` decides."""
    if space.n_mixes <= _LISTED:
        mixes = list(space.all_mixes())
    else:
        drawn = [space.draw(rng) for _ in range(_DRAWS)]
        near = [mix for one in best for mix in neighbours(space, one, rng)]
        mixes = list(dict.fromkeys([*drawn, *near]))
    rng.shuffle(mixes)
    return tuple(mixes)


def neighbours(space: Space, mix: Mix, rng: random.Random) -> Iterator[Mix]:
    """Mixes one step away: a task more or less, one for another, a number moved, another arm.

    A number moves by a quarter of its range or less, drawn anew each time.
    """
    point = space.encode(mix)
    for bits in (*_flipped(point.bits), *_swapped(point.bits)):
        yield space.decode(replace(point, bits=bits))
    for place, axis in enumerate(space.axes):
        low, high = axis.ends
        for sign in (-1, 1):
            moved = point.numbers[place] + sign * rng.uniform(0, _STEP) * (high - low)
            numbers = list(point.numbers)
            numbers[place] = min(max(moved, low), high)
            yield space.decode(replace(point, numbers=tuple(numbers)))
    yield from (space.decode(replace(point, arm=arm)) for arm in range(len(space.arms)))


def _flipped(bits: tuple[bool, ...]) -> Iterator[tuple[bool, ...]]:
    for i, bit in enumerate(bits):
        yield (*bits[:i], not bit, *bits[i + 1 :])


def _swapped(bits: tuple[bool, ...]) -> Iterator[tuple[bool, ...]]:
    """One task of the mix for one that is not in it."""
    for i, inside in enumerate(bits):
        for j, other in enumerate(bits):
            if inside and not other:
                yield tuple((bit != (n in (i, j))) for n, bit in enumerate(bits))
