"""Every way a budget can say no.

BudgetError
  + InsufficientBudgetError   the amount asked for is not free
  + CapInUseError             a cap cannot go below what is spent and held
  + HoldError                 the hold is unknown, taken, or already closed
  + UnknownAccountError       no account of this name was opened
  + SpecError                 a spec file does not describe what it should
  + JournalError              the journal cannot be read, written, or believed
      + SecondDriverError     another driver is writing this journal now
      + StaleDriverError      another driver took this journal over
"""

from __future__ import annotations

from collections.abc import Sequence

from budgets.amount import DeviceTime


class BudgetError(Exception):
    """Base of all budget errors."""


class InsufficientBudgetError(BudgetError):
    """The amount asked for is not free.

    Attributes:
        hold: the name the reservation was to have.
        asked: the amount refused.
        free: what could have been reserved.
        open_holds: how many holds were open.
        account: the shared account that refused, empty when it was the study's own cap.
    """

    def __init__(
        self, hold: str, *, asked: DeviceTime, free: DeviceTime, open_holds: int, account: str = ""
    ) -> None:
        self.hold = hold
        self.asked = asked
        self.free = free
        self.open_holds = open_holds
        self.account = account
        where = f" in account {account!r}" if account else ""
        more = f"grant account {account!r} more" if account else "raise 'budget.gpu_hours' in the spec"
        super().__init__(
            f"cannot reserve {asked} for {hold!r}: {free} free{where}, holds open: {open_holds}. "
            f"Ask for less, wait for a hold to close, or {more}."
        )


class CapInUseError(BudgetError):
    """More was to be taken back than is free.

    Attributes:
        asked: what was to be taken back.
        cap: all that was granted.
        spent: the part of it that was charged.
        held: the part that open holds have left.
    """

    def __init__(
        self, *, asked: DeviceTime, cap: DeviceTime, spent: DeviceTime, held: DeviceTime
    ) -> None:
        self.asked = asked
        self.cap = cap
        self.spent = spent
        self.held = held
        super().__init__(
            f"cannot take {asked} back from a cap of {cap}: {spent} spent and {held} held, together "
            f"{spent + held}. Take back {cap.less(spent + held)} at most, or wait for a hold to close."
        )


class HoldError(BudgetError):
    """The hold is unknown, taken, or already closed."""


class UnknownAccountError(BudgetError):
    """No account of this name was opened.

    Attributes:
        account: the name asked for.
        known: the accounts there are.
    """

    def __init__(self, place: str, account: str, known: Sequence[str]) -> None:
        self.account = account
        self.known = tuple(known)
        there = ", ".join(known) or "none"
        super().__init__(
            f"{place}: no account {account!r}; accounts here: {there}. Open it with "
            f"`interlude account open {account} --gpu-hours N`, or correct 'budget.account' in the spec."
        )


class SpecError(BudgetError):
    """A spec file does not describe what it should.

    Attributes:
        source: the file, or what else was read.
        problems: one line each, every problem that was found.
    """

    def __init__(self, problems: Sequence[str], source: str = "spec") -> None:
        self.source = source
        self.problems = list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {line}" for line in self.problems)]))


class JournalError(BudgetError):
    """The journal cannot be read, written, or believed."""


class SecondDriverError(JournalError):
    """Another driver is writing this journal now.

    Attributes:
        pid: its process, 0 when it has not said so yet.
        host: its machine.
        since: when it began, ISO 8601 in UTC.
    """

    def __init__(self, place: str, *, pid: int, host: str, since: str) -> None:
        self.pid = pid
        self.host = host
        self.since = since
        who = f"process {pid} on {host} since {since}" if pid else "a process that has just started"
        super().__init__(
            f"{place}: already driven by {who}. One driver at a time: wait for it to end or stop it; "
            "if it is killed, its claim ends with it."
        )


class StaleDriverError(JournalError):
    """Another driver took this journal over.

    Attributes:
        epoch: this driver's turn.
        newest: the turn of the driver that may write.
    """

    def __init__(self, place: str, *, epoch: int, newest: int) -> None:
        self.epoch = epoch
        self.newest = newest
        super().__init__(
            f"{place}: this driver is number {epoch}, but number {newest} has taken over. Nothing was "
            "written. Stop this process; the newer driver has the study."
        )
