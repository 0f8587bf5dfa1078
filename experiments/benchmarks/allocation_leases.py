"""Recorded stages as leases give them: up to a deadline, and paid for by whoever would pay."""

from __future__ import annotations

from dataclasses import replace

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.drivers.table import RecordedTable
from trainers.order import Measurement, Order, Outcome
from trainers.stage import EvaluateStage, MergeStage, Stage


class Leases:
    """A recorded table whose stages stop at the deadline of their hold.

    Training that was stopped goes on where it was; an evaluation begins anew, and that time is
    repeated.

    Attributes:
        repeated_ms: device time beyond one bill for each distinct stage.
    """

    def __init__(self, table: RecordedTable, *, shares: bool) -> None:
        """Leases on ``table``; unless it ``shares``, a merge is billed for stages others trained too."""
        self._table = table
        self._shares = shares
        self._spent_ms: dict[str, int] = {}
        self._done_ms: dict[str, int] = {}
        self._alone_ms: dict[str, int] = {}
        self._paid: set[tuple[object, str]] = set()
        self._owned: set[str] = set()
        self.repeated_ms = 0

    def run(self, order: Order) -> Measurement:
        """What a lease of the order's stage gives."""
        measured = self._table.run(order)
        if measured.outcome is not Outcome.DONE:
            return measured
        name = measured.stage
        whole_ms = measured.bill.total.ms + self._alone(order.stage, name)
        left_ms = whole_ms - self._spent_ms.get(name, 0)
        granted_ms = order.limit.less(order.grace).ms
        if left_ms <= granted_ms:
            if name in self._done_ms:
                self.repeated_ms += left_ms
            self._done_ms[name] = whole_ms
            return replace(measured, bill=_of(left_ms, measured.bill))
        if isinstance(order.stage, EvaluateStage):
            self.repeated_ms += granted_ms
        else:
            self._spent_ms[name] = self._spent_ms.get(name, 0) + granted_ms
        return replace(
            measured,
            outcome=Outcome.TRUNCATED,
            bill=_of(granted_ms, measured.bill),
            scores=(),
            error="recorded longer than its hold",
        )

    def _alone(self, stage: Stage, name: str) -> int:
        """What the trial of a merge would have paid for stages that another trial had trained.

        The first trial that needs a part has paid for it; a target stage is always the control's.
        """
        if self._shares or not isinstance(stage, MergeStage):
            return 0
        if name not in self._alone_ms:
            trial, extra_ms = stage.parts, 0
            for part in trial:
                if (trial, part.stage) not in self._paid and part.stage in self._owned:
                    extra_ms += self._done_ms.get(part.stage, 0)
                self._paid.add((trial, part.stage))
                self._owned.add(part.stage)
            self._alone_ms[name] = extra_ms + self._done_ms.get(stage.target or "", 0)
        return self._alone_ms[name]


def _of(ms: int, bill: Bill) -> Bill:
    """The bill itself where it comes to ``ms``, else so much of it as work."""
    if bill.total.ms == ms:
        return bill
    work = Purpose.EVALUATE if Purpose.EVALUATE in bill.amounts else Purpose.TRAIN
    return Bill({work: DeviceTime(ms)})
