"""What the engine answers when it is asked what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.order import Order


@dataclass(frozen=True, slots=True)
class Start:
    """Carry out ``order`` for ``trial``. It has already been reserved."""

    trial: str
    order: Order


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can start until something that runs has ended.

    Attributes:
        elsewhere: whether it runs in another study of the store, so that nobody here is told: ask again.
    """

    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """The study is over, and why."""

    reason: str
