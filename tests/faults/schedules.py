"""What befalls a study, by seed: the kinds of fault, and the schedules made of them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

AMPLE_MS = 100 * 3_600_000

KILLS = ("kill", "kill soon", "unwatch, hang", "hang", "overtake", "interrupt twice", "node, hang")
# kind: where, what, and how often the place is passed first
KINDS: dict[str, tuple[str, str, tuple[int, int]]] = {
    "driver killed before an append": ("before append", "kill", (1, 100)),
    "driver killed after an append": ("after append", "kill", (1, 100)),
    "driver killed at any moment": ("after append", "kill soon", (1, 100)),
    "driver halted": ("after append", "halt", (5, 80)),
    "driver interrupted once": ("after append", "interrupt", (2, 80)),
    "driver interrupted twice": ("after append", "interrupt twice", (2, 80)),
    "second driver": ("after append", "second", (2, 80)),
    "driver overtaken": ("after append", "overtake", (2, 80)),
    "worker killed while training": ("train", "kill", (1, 10)),
    "worker killed while evaluating": ("evaluate", "kill", (1, 15)),
    "worker killed while saving": ("save", "kill", (1, 25)),
    "worker killed after saving": ("saved", "kill", (1, 25)),
    "worker hangs while training": ("train", "hang", (3, 10)),
    "worker hangs while evaluating": ("evaluate", "hang", (3, 15)),
    "worker hangs while saving": ("save", "hang", (3, 25)),
    "watchdog killed": ("train", "unwatch", (1, 10)),
    "watchdog killed, worker hangs": ("train", "unwatch, hang", (3, 10)),
}
_ORDER = tuple(KINDS)
_UNWATCHED = "watchdog killed, worker hangs"
_AGAIN = ("driver killed before an append", "driver killed after an append")


@dataclass(frozen=True)
class Schedule:
    """A study and what befalls it; all of it follows from the seed.

    Attributes:
        kinds: of its faults, in order.
        world: another world has other scores, times and troubles.
        trouble: whether stages also fail, end at deadlines and prove infeasible by themselves.
        tight: whether the cap ends the study.
    """

    seed: int
    kinds: tuple[str, ...]
    faults: tuple[dict[str, Any], ...]
    world: int
    policy: str
    slots: int
    trouble: bool
    cap_ms: int
    has_account: bool

    @property
    def tight(self) -> bool:
        return self.cap_ms < AMPLE_MS

    @property
    def undisturbed(self) -> Schedule:
        """The same study, left alone."""
        return Schedule(-1, (), (), self.world, self.policy, self.slots, self.trouble, AMPLE_MS, False)


def schedule(seed: int) -> Schedule:
    """The schedule of ``seed``: kinds of fault take turns, everything else is drawn."""
    draw = random.Random(seed)
    kinds = [_ORDER[seed % len(_ORDER)]]
    if draw.random() < 0.4:
        kinds.append(draw.choice(_ORDER if draw.random() < 0.5 else _AGAIN))
    if kinds[0] == _UNWATCHED:  # with the driver dead, too, only Ray would be left to end the worker
        kinds[1:] = [kind for kind in kinds[1:] if not kind.startswith(("driver", "second"))]
    faults = []
    for number, kind in enumerate(kinds):
        at, do, (low, high) = KINDS[kind]
        # A second kill of the driver often comes while it recovers from the first.
        high = 6 if number and kind in _AGAIN else high
        low = high if number and kind == _UNWATCHED else low
        faults.append({"at": at, "do": do, "n": draw.randint(low, max(low, high))})
    tight = draw.random() < 0.3
    return Schedule(
        seed,
        tuple(kinds),
        tuple(faults),
        world=draw.randrange(3),
        policy=draw.choice(("halving", "uniform")),
        slots=draw.choice((1, 2)),
        trouble=len(kinds) == 1 and draw.random() < 0.5,
        cap_ms=draw.randint(8_000, 40_000) if tight else AMPLE_MS,
        has_account=draw.random() < 0.3,
    )
