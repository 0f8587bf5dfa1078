"""What a lease costs: the worker's own bill, plus what only the outside could see.

A lease runs from the moment the driver grants it to the moment the result is back. The worker's
meter cannot see its own process starting or its answer travelling; that rest is ``load`` for a
worker that had to be started, ``idle`` for one that was warm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from trainers.order import Measurement, Order, Outcome
from trainers.stage import stage_name


class Runner(Protocol):
    """Carries out one order and measures it."""

    def run(self, order: Order, hurried: Callable[[], bool]) -> Measurement:
        """The order's outcome, soon once ``hurried`` is true.

        What a stage can cause is an outcome, never an exception.
        """


def granted(order: Order, *, devices: int, waited_s: float = 0.0) -> Order:
    """``order`` as its worker sees it: in wall time, less what has passed since it was granted."""
    limit_ms = order.limit.ms // devices - round(1000 * waited_s)
    grace_ms = order.grace.ms // devices
    return replace(order, limit=DeviceTime(max(limit_ms, 0)), grace=DeviceTime(grace_ms))


def billed(measurement: Measurement, *, held: DeviceTime, devices: int, fresh: bool) -> Measurement:
    """``measurement`` with its bill, in wall time until now, completed to all that was held."""
    seen = Bill({p: DeviceTime(amount.ms * devices) for p, amount in measurement.bill.items()})
    purpose = Purpose.LOAD if fresh else Purpose.IDLE
    return replace(measurement, bill=seen.plus(purpose, held.less(seen.total)))


def lost(order: Order, held: DeviceTime, error: str, outcome: Outcome = Outcome.LOST) -> Measurement:
    """The measurement of a lease that nobody measured: all that was held, as lost."""
    bill = Bill({Purpose.LOST: held})
    return Measurement(order.hold, stage_name(order.stage), outcome, bill, error=error)
