"""Where an account of several studies stands: sums that move entry by entry, no list of holds.

The arithmetic of ``budgets/ledger.py`` for an account with many holds, of which one entry touches
one: the sums and what that hold has left are enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from budgets.amount import ZERO, DeviceTime
from budgets.errors import CapInUseError, HoldError, InsufficientBudgetError
from budgets.ledger import Charged, Closed, Entry, Opened, Released, Reserved


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an account stands.

    Attributes:
        cap: all that was granted, less what was taken back.
        spent: all that was charged.
        held: all that open holds have left.
        open_holds: how many are open.
    """

    cap: DeviceTime = ZERO
    spent: DeviceTime = ZERO
    held: DeviceTime = ZERO
    open_holds: int = 0

    @property
    def free(self) -> DeviceTime:
        """What can be reserved now."""
        return self.cap.less(self.spent + self.held)

    @property
    def overdrawn(self) -> DeviceTime:
        """By how much spent and held pass the cap."""
        return (self.spent + self.held).less(self.cap)


def after(
    standing: Standing, left: DeviceTime | None, entry: Entry, *, account: str
) -> tuple[Standing, DeviceTime | None]:
    """Where the account stands after one more entry, and what the entry's hold has left.

    Args:
        standing: where it stood.
        left: what the entry's hold had left, None when it was not open.
        entry: what is booked.
        account: its name, for the refusal.

    Raises:
        InsufficientBudgetError: a reservation asks for more than is free.
        CapInUseError: more is taken back than is free.
        HoldError: the entry names a hold that is not open, or opens one twice.
    """
    match entry:
        case Opened(amount):
            return replace(standing, cap=standing.cap + amount), None
        case Closed(amount):
            if amount > standing.free:
                spent, held = standing.spent, standing.held
                raise CapInUseError(asked=amount, cap=standing.cap, spent=spent, held=held)
            return replace(standing, cap=standing.cap.less(amount)), None
        case Reserved(hold, amount):
            if left is not None:
                raise HoldError(
                    f"account {account!r}: hold {hold!r} is already open with {left} left; "
                    "release it first, or reserve under another name"
                )
            if amount > standing.free:
                raise InsufficientBudgetError(
                    hold,
                    asked=amount,
                    free=standing.free,
                    open_holds=standing.open_holds,
                    account=account,
                )
            held, n_open = standing.held + amount, standing.open_holds + 1
            return replace(standing, held=held, open_holds=n_open), amount
        case Charged(hold, _, amount):
            had = _open(left, hold, account)
            rest = had.less(amount)
            held = standing.held.less(had.less(rest))
            return replace(standing, held=held, spent=standing.spent + amount), rest
        case Released(hold):
            held = standing.held.less(_open(left, hold, account))
            return replace(standing, held=held, open_holds=standing.open_holds - 1), None
        case _:
            assert_never(entry)


def _open(left: DeviceTime | None, hold: str, account: str) -> DeviceTime:
    if left is None:
        raise HoldError(
            f"account {account!r}: this study has no open hold {hold!r}. "
            "Charge and release a hold only between its reservation and its release."
        )
    return left
