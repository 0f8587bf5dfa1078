"""An order, and what comes of it: the lease that starts a stage, the measurement that ends it.

Plain data, no torch: the scheduler reserves with the one and books with the other. What a stage is
stands in ``trainers/stage.py``; ``trainers/worker.py`` carries orders out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from trainers.stage import Stage


@dataclass(frozen=True, slots=True)
class Order:
    """A lease: carry out ``stage`` and be done, saved and quiet within ``limit``.

    Attributes:
        hold: the ledger's name of the lease.
        attempt: 1 for the first try.
        limit: device time of the hold. Work stops ``grace`` before it so that saving fits.
    """

    hold: str
    stage: Stage
    attempt: int
    limit: DeviceTime
    grace: DeviceTime


class Outcome(StrEnum):
    """How a lease ended."""

    DONE = "done"
    TRUNCATED = "truncated"  # stopped at its deadline; partial work is saved and continues
    FAILED = "failed"
    INFEASIBLE = "infeasible"  # the recipe cannot be trained on this device: trying again is no use
    STOPPED = "stopped"  # the user asked; partial work is saved and continues
    LOST = "lost"  # the worker did not come back
    ORPHANED = "orphaned"  # the driver ended while it ran: how long it was held, nobody knows


@dataclass(frozen=True, slots=True)
class CellScore:
    """One (target task, language) pair, scored. ``value`` is in points, 0 to 100."""

    task: str
    language: str
    metric: str
    value: float
    n_examples: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of an order.

    Attributes:
        hold: the lease.
        stage: fingerprint.
        outcome: how it ended.
        bill: every millisecond of the lease.
        scores: cells, for an evaluate or merge stage.
        n_tokens: tokens trained on in this lease, without padding.
        facts: small numbers worth keeping: final loss, padding share, peak bytes, tokens per s.
        rates: the share of batches each task really got.
        texts: what an infer stage has to say in words, by name: LoadGen's summaries.
        error: what went wrong, one line, for FAILED, INFEASIBLE and LOST.
        device: name of the device it ran on; empty where nobody can say.
        cpu: name of the processor, where ``device`` is a CPU; empty in journals that are older.
        precision: that was computed in, whatever was asked; empty where nothing was computed.
        worn: why the worker's process should not go on; empty where it may.
        rate: what an hour of the device cost, in hours of the cap; the driver's side fills it in.
    """

    hold: str
    stage: str
    outcome: Outcome
    bill: Bill
    scores: tuple[CellScore, ...] = ()
    n_tokens: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    device: str = ""
    rate: float = 1.0
    cpu: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""
    worn: str = ""

    @property
    def device_is_gone(self) -> bool:
        """Whether the stage failed with its device, which that process cannot reach any more."""
        return bool(self.worn) and self.outcome is Outcome.FAILED

    @property
    def cost(self) -> Bill:
        """The bill at the device's rate: what the ledger is charged."""
        return self.bill if self.rate == 1.0 else self.bill.scaled(self.rate)

    @property
    def own_cost(self) -> DeviceTime:
        """The cost without loading and idling, which depend on what the worker did before."""
        amounts = self.cost.items()
        return DeviceTime.total(a for p, a in amounts if p not in (Purpose.LOAD, Purpose.IDLE))
