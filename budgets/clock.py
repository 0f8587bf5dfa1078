"""The one place that reads a clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Seconds that never run backwards, from an arbitrary start."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""


class MonotonicClock:
    """The machine's monotonic clock: unmoved by time zones, NTP or a wrong date."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


def moment() -> str:
    """Now, so that another process of this machine can tell how long ago it was.

    ``<boot id>/<milliseconds since boot, sleep included>``: unmoved by a changed date. Empty where the
    system has no such clock.
    """
    if not hasattr(time, "CLOCK_BOOTTIME") or not _BOOT_ID.is_file():
        return ""
    since_boot_ms = round(1000 * time.clock_gettime(time.CLOCK_BOOTTIME))
    return f"{_BOOT_ID.read_text().strip()}/{since_boot_ms}"


def since_s(then: str, now: str) -> float | None:
    """Seconds from one moment to a later one; None where that cannot be known.

    Moments of two boots, or of two machines, cannot be compared.
    """
    boot, _, then_ms = then.partition("/")
    same_boot, _, now_ms = now.partition("/")
    if not then_ms or boot != same_boot or int(now_ms) < int(then_ms):
        return None
    return (int(now_ms) - int(then_ms)) / 1000
