"""Device time: the unit of account.

Every number in a ledger is a whole number of device-milliseconds. GPU-hours exist only at the
edges: the YAML file, the screen, the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True, order=True)
class DeviceTime:
    """A length of accelerator time, in whole device-milliseconds, never negative."""

    ms: int

    def __post_init__(self) -> None:
        if not isinstance(self.ms, int) or isinstance(self.ms, bool):
            raise TypeError(f"device time is a whole number of milliseconds, got {self.ms!r}")
        if self.ms < 0:
            raise ValueError(f"device time cannot be negative, got {self.ms} ms")

    @classmethod
    def busy(cls, *, wall_s: float, devices: int = 1) -> DeviceTime:
        """What ``devices`` spend in ``wall_s`` seconds, rounded up: never undercharge."""
        return cls(math.ceil(wall_s * 1000 * devices))

    @classmethod
    def from_hours(cls, hours: float) -> DeviceTime:
        """A cap written in device-hours, rounded down: never promise more than was granted."""
        return cls(math.floor(hours * _MS_PER_HOUR))

    @classmethod
    def total(cls, amounts: Iterable[DeviceTime]) -> DeviceTime:
        """The sum of ``amounts``, exact."""
        return cls(sum(amount.ms for amount in amounts))

    @property
    def hours(self) -> float:
        """Device-hours, for people."""
        return self.ms / _MS_PER_HOUR

    def __add__(self, other: DeviceTime) -> DeviceTime:
        return DeviceTime(self.ms + other.ms)

    def less(self, other: DeviceTime) -> DeviceTime:
        """What is left after ``other``, at least zero."""
        return DeviceTime(max(0, self.ms - other.ms))

    def scaled(self, factor: float) -> DeviceTime:
        """``factor`` times this amount, rounded up."""
        return DeviceTime(math.ceil(self.ms * factor))

    def __bool__(self) -> bool:
        return self.ms > 0

    def __str__(self) -> str:
        return f"{self.hours:.4f} device-hours"


ZERO = DeviceTime(0)
