"""The one place that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never run backwards, from an arbitrary start."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""


class MonotonicClock:
    """The machine's monotonic clock: unmoved by time zones, NTP or a wrong date."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()
