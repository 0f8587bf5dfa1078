"""The ledger: a list of facts, and one function that adds them up.

    cap + overdrawn == free + held + spent            after every entry

A reservation may be refused, and so may taking device time back; a charge may not. Time that was
spent is spent: what runs over its hold shows up as ``overdrawn`` or as less ``free``, never as a
smaller number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from types import MappingProxyType
from typing import assert_never

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.errors import CapInUseError, HoldError, InsufficientBudgetError


@dataclass(frozen=True, slots=True)
class Opened:
    """Device time was granted. A second grant raises the cap."""

    amount: DeviceTime


@dataclass(frozen=True, slots=True)
class Closed:
    """Device time that nobody had spent or held was taken back: the cap is lower by it."""

    amount: DeviceTime


@dataclass(frozen=True, slots=True)
class Reserved:
    """Device time was set aside under the name ``hold``."""

    hold: str
    amount: DeviceTime


@dataclass(frozen=True, slots=True)
class Charged:
    """Device time was spent under a hold; more than it held is booked, not hidden."""

    hold: str
    purpose: Purpose
    amount: DeviceTime


@dataclass(frozen=True, slots=True)
class Released:
    """A hold ended; what it did not spend is free again."""

    hold: str


Entry = Opened | Closed | Reserved | Charged | Released


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the money is.

    Attributes:
        cap: all that was granted, less what was taken back.
        holds: what each open hold has left.
        by_purpose: what was charged, by purpose; a purpose that is absent cost nothing.
    """

    cap: DeviceTime = ZERO
    holds: Mapping[str, DeviceTime] = field(default_factory=lambda: MappingProxyType({}))
    by_purpose: Mapping[Purpose, DeviceTime] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def spent(self) -> DeviceTime:
        """All that was charged."""
        return DeviceTime.total(self.by_purpose.values())

    @property
    def held(self) -> DeviceTime:
        """All that open holds have left."""
        return DeviceTime.total(self.holds.values())

    @property
    def free(self) -> DeviceTime:
        """What can be reserved now."""
        return self.cap.less(self.spent + self.held)

    @property
    def overdrawn(self) -> DeviceTime:
        """By how much spent and held pass the cap."""
        return (self.spent + self.held).less(self.cap)


def apply(balance: Balance, entry: Entry) -> Balance:
    """The balance after one more entry.

    Raises:
        InsufficientBudgetError: a reservation asks for more than is free.
        CapInUseError: more is taken back than is free.
        HoldError: the entry names a hold that is not open, or opens one twice.
    """
    match entry:
        case Opened(amount):
            return replace(balance, cap=balance.cap + amount)
        case Closed(amount):
            if amount > balance.free:
                raise CapInUseError(
                    asked=amount, cap=balance.cap, spent=balance.spent, held=balance.held
                )
            return replace(balance, cap=balance.cap.less(amount))
        case Reserved(hold, amount):
            return _reserve(balance, hold, amount)
        case Charged(hold, purpose, amount):
            left = _left(balance, hold).less(amount)
            charged = balance.by_purpose.get(purpose, ZERO) + amount
            return replace(
                balance,
                holds=MappingProxyType({**balance.holds, hold: left}),
                by_purpose=MappingProxyType({**balance.by_purpose, purpose: charged}),
            )
        case Released(hold):
            _left(balance, hold)
            rest = dict(balance.holds)
            del rest[hold]
            return replace(balance, holds=MappingProxyType(rest))
        case _:
            assert_never(entry)


def replay(entries: Iterable[Entry]) -> Balance:
    """The balance a list of entries describes, from nothing."""
    return reduce(apply, entries, Balance())


def _reserve(balance: Balance, hold: str, amount: DeviceTime) -> Balance:
    if hold in balance.holds:
        raise HoldError(
            f"hold {hold!r} is already open with {balance.holds[hold]} left; "
            "release it first, or reserve under another name"
        )
    if amount > balance.free:
        raise InsufficientBudgetError(
            hold, asked=amount, free=balance.free, open_holds=len(balance.holds)
        )
    return replace(balance, holds=MappingProxyType({**balance.holds, hold: amount}))


def _left(balance: Balance, hold: str) -> DeviceTime:
    if hold not in balance.holds:
        names = ", ".join(repr(name) for name in list(balance.holds)[:5]) or "none"
        raise HoldError(
            f"hold {hold!r} is not open; open are {names} ({len(balance.holds)} in all). "
            "Charge and release a hold only between its reservation and its release."
        )
    return balance.holds[hold]
