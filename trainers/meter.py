"""Device time of one lease, purpose by purpose.

Nested blocks take over from the block around them, and what nobody claims is idle. Every reading of
the clock is turned into whole milliseconds since the start before it is split, so the parts add up
to the whole lease, rounded up once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.clock import Clock


class Meter:
    """The stopwatch of a lease, running from its creation."""

    def __init__(self, clock: Clock, *, devices: int = 1) -> None:
        self._clock = clock
        self._devices = devices
        self._start_s = clock.now_s()
        self._open = [Purpose.IDLE]
        self._billed_ms = 0
        self._ms = dict.fromkeys(Purpose, 0)

    @contextmanager
    def on(self, purpose: Purpose) -> Iterator[None]:
        """Book the block's time under ``purpose``, less what blocks inside it claim."""
        self._settle()
        self._open.append(purpose)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()

    def elapsed_s(self) -> float:
        """Wall seconds since the lease began."""
        return self._clock.now_s() - self._start_s

    def bill(self) -> Bill:
        """Every millisecond from the start until now, each under one purpose."""
        self._settle()
        return Bill({purpose: DeviceTime(ms) for purpose, ms in self._ms.items() if ms})

    def _settle(self) -> None:
        total_ms = DeviceTime.busy(wall_s=self.elapsed_s(), devices=self._devices).ms
        self._ms[self._open[-1]] += total_ms - self._billed_ms
        self._billed_ms = total_ms
