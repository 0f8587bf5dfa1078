"""A bill: the device time of one lease, every millisecond under exactly one purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from budgets.amount import DeviceTime


class Purpose(StrEnum):
    """What a held device was doing."""

    LOAD = "load"
    TRAIN = "train"
    EVALUATE = "evaluate"
    SAVE = "save"
    IDLE = "idle"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Bill:
    """Device time by purpose; a purpose that is absent cost nothing."""

    amounts: Mapping[Purpose, DeviceTime] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def total(self) -> DeviceTime:
        """The whole lease."""
        return DeviceTime.total(self.amounts.values())

    def items(self) -> Iterator[tuple[Purpose, DeviceTime]]:
        """Purposes that cost something, in the order of :class:`Purpose`."""
        return ((purpose, self.amounts[purpose]) for purpose in Purpose if self.amounts.get(purpose))

    def plus(self, purpose: Purpose, amount: DeviceTime) -> Bill:
        """This bill with ``amount`` more under ``purpose``."""
        return self + Bill({purpose: amount})

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            {
                purpose: self.amounts.get(purpose, DeviceTime(0))
                + other.amounts.get(purpose, DeviceTime(0))
                for purpose in Purpose
                if purpose in self.amounts or purpose in other.amounts
            }
        )

    def scaled(self, factor: float) -> Bill:
        """``factor`` times this bill: its total is the total's, rounded up, not a sum of roundings."""
        amounts: dict[Purpose, DeviceTime] = {}
        so_far = priced = DeviceTime(0)
        for purpose, amount in self.items():
            so_far += amount
            amounts[purpose] = so_far.scaled(factor).less(priced)
            priced += amounts[purpose]
        return Bill(amounts)

    def to_json(self) -> dict[str, int]:
        """Milliseconds by purpose."""
        return {str(purpose): amount.ms for purpose, amount in self.items()}

    @classmethod
    def from_json(cls, amounts_ms: Mapping[str, int]) -> Bill:
        """The bill that :meth:`to_json` wrote."""
        return cls({Purpose(name): DeviceTime(ms) for name, ms in amounts_ms.items()})
