"""A fixed allocation: devices that are paid from the driver's start to its end, at work or not.

Under ``charge: allocated`` what leases hold is charged as ever, and what no lease holds is charged as
``idle``. It is reserved in slices ahead, so that idle slots cannot pass the cap either: a study whose
next slice is not free starts nothing more.

    charged  =  devices x wall time of the driver         to one slice, at the rate of the devices
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from budgets.account import Account
from budgets.amount import ZERO, DeviceTime
from budgets.bill import Purpose
from budgets.clock import Clock, MonotonicClock
from budgets.errors import InsufficientBudgetError
from budgets.ledger import Charged, Entry, Released, Reserved
from budgets.spec import BudgetSpec, DeviceSpec

PREFIX = "allocation/"
SLICE_S = 60.0
_LEAST_S = 1.0
_SHARE = 0.02
LOOK_S = 5.0  # a driver looks several times a second; a slow disk or a long step may take some


class Allocation:
    """The idle part of a study's devices."""

    def __init__(self, account: Account, devices: DeviceSpec, clock: Clock) -> None:
        self._account = account
        self._count = devices.count
        self._rate = devices.highest_rate
        self._clock = clock
        self._since_s = clock.now_s()
        self._busy = 0
        self._owed_ms = 0.0
        self._hold: str | None = None
        self._number = sum(
            isinstance(fact, Reserved) and fact.hold.startswith(PREFIX) for fact in account.facts()
        )
        self.refusal = ""

    def keep(self, busy: int, *, for_s: float = LOOK_S) -> bool:
        """Take note that ``busy`` devices are leased from now on.

        Args:
            busy: devices that leases hold.
            for_s: until the driver can look again, at most.

        Returns:
            Whether the idle ones are paid for until then. Once False, it stays False.
        """
        now_s = self._clock.now_s()
        self._owed_ms += (self._count - self._busy) * (now_s - self._since_s) * 1000 * self._rate
        self._since_s, self._busy = now_s, busy
        if self.refusal:
            return False
        needed = DeviceTime.busy(wall_s=for_s, devices=self._count - busy).scaled(self._rate)
        if self._hold is not None and self._left() >= DeviceTime(int(self._owed_ms)) + needed:
            return True
        self._settle()
        owed = DeviceTime(int(self._owed_ms))
        return self._reserve(needed + owed + self._slice()) or self._reserve(needed + owed)

    def end(self) -> None:
        """Charge what stood idle until now; the driver gives the devices back."""
        self.keep(self._busy)
        self._settle()

    def _slice(self) -> DeviceTime:
        """What is held ahead: little of what is free, since the leases are paid from that."""
        least, most = (
            DeviceTime.busy(wall_s=wall_s, devices=self._count).scaled(self._rate)
            for wall_s in (_LEAST_S, SLICE_S)
        )
        return max(least, min(most, self._account.free.scaled(_SHARE)))

    def _left(self) -> DeviceTime:
        return ZERO if self._hold is None else self._account.balance.holds[self._hold]

    def _settle(self) -> None:
        """Charge what is owed, out of the open slice; what it cannot pay stays owed."""
        if self._hold is None:
            return
        paid = min(DeviceTime(int(self._owed_ms)), self._left())
        self._account.book(Charged(self._hold, Purpose.IDLE, paid), Released(self._hold))
        self._owed_ms -= paid.ms
        self._hold = None

    def _reserve(self, amount: DeviceTime) -> bool:
        hold = f"{PREFIX}{self._number + 1}"
        try:
            self._account.book(Reserved(hold, amount))
        except InsufficientBudgetError as refusal:
            self.refusal = f"cap reached: idle devices of the allocation are not paid for: {refusal}"
            return False
        self._number, self._hold, self.refusal = self._number + 1, hold, ""
        return True


@contextmanager
def allocated(account: Account, budget: BudgetSpec) -> Iterator[Allocation | None]:
    """The allocation of a driver for the block, None where only leases are charged.

    A block that breaks leaves its slice open: the next driver closes it.
    """
    if budget.charge == "held":
        yield None
        return
    allocation = Allocation(account, budget.devices, MonotonicClock())
    try:
        yield allocation
    except KeyboardInterrupt:
        allocation.end()
        raise
    allocation.end()


def closing(account: Account) -> tuple[Entry, ...]:
    """What closes the slices that a killed driver left open: each in full, as lost."""
    return tuple(
        entry
        for hold, left in account.balance.holds.items()
        if hold.startswith(PREFIX)
        for entry in (Charged(hold, Purpose.LOST, left), Released(hold))
    )
