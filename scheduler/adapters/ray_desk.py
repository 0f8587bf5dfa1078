"""The desk: a Ray actor through which the driver hands orders to its workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainers.order import Order

NAMESPACE = "interlude"


class Desk:
    """Where the driver leaves an order for the worker of a Tune trial, on the driver's node."""

    def __init__(self) -> None:
        self._orders: dict[str, tuple[float, Order]] = {}
        self._hurried = False

    def leave(self, tune_id: str, order: Order) -> None:
        """Leave an order; its lease has begun."""
        self._orders[tune_id] = (time.monotonic(), order)

    def hurry(self) -> None:
        """The user wants to stop."""
        self._hurried = True

    def hurried(self) -> bool:
        """Whether the user wants to stop."""
        return self._hurried

    def take(self, tune_id: str) -> tuple[float, Order]:
        """The order for a Tune trial and the seconds since it was left."""
        left_s, order = self._orders.pop(tune_id)
        return time.monotonic() - left_s, order
