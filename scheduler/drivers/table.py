"""Recorded results and virtual time: whole studies in seconds, on any number of devices."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from budgets.bill import Bill
from scheduler.engine import Start, Stop, Wait
from scheduler.state import StudyState
from trainers.stage import Measurement, Order, Outcome, stage_name


@dataclass(frozen=True, slots=True)
class Replayed:
    """A study in virtual time.

    Attributes:
        reason: why it ended.
        wall_ms: virtual milliseconds from first to last.
    """

    reason: str
    wall_ms: int


class Decider(Protocol):
    """What is asked and told: the engine, or what stands before it."""

    def ask(self) -> Start | Wait | Stop:
        """What to do next."""

    def tell(self, measurement: Measurement) -> None:
        """Learn what came of an order."""


class RecordedTable:
    """What stages gave in a recorded study, by fingerprint."""

    def __init__(self, measurements: Mapping[str, Measurement]) -> None:
        self._measurements = dict(measurements)

    @classmethod
    def of(cls, state: StudyState) -> RecordedTable:
        """The table that a study's own records make."""
        return cls(
            {
                started.stage: measurement
                for started, measurement in state.measurements()
                if measurement.outcome is Outcome.DONE
            }
        )

    def run(self, order: Order) -> Measurement:
        """The recorded measurement of the order's stage; FAILED at no cost when there is none."""
        name = stage_name(order.stage)
        if name not in self._measurements:
            error = f"stage {name} ({order.stage.kind}) was not recorded"
            return Measurement(order.hold, name, Outcome.FAILED, Bill(), error=error)
        return replace(self._measurements[name], hold=order.hold)


def drive_table(
    engine: Decider,
    run: Callable[[Order], Measurement],
    slots: int,
    at_most: int | None = None,
) -> Replayed:
    """Carry out all that ``engine`` decides in virtual time, on ``slots`` devices at once.

    A stage takes as long as its bill says. Of stages that end together the one that started first
    is told first, so a replay is the same every time. After ``at_most`` stages none is started.
    """
    running: list[tuple[int, int, Measurement]] = []
    n_started = now_ms = 0
    while True:
        enough = at_most is not None and n_started >= at_most
        match engine.ask() if len(running) < slots and not enough else None:
            case Start(order=order):
                measurement = run(order)
                ends_ms = now_ms + measurement.bill.total.ms
                heapq.heappush(running, (ends_ms, n_started, measurement))
                n_started += 1
                continue
            case Stop(reason):
                return Replayed(reason, now_ms)
        if not running:
            return Replayed(f"{n_started} stages were started, as many as were asked for", now_ms)
        now_ms, _, measurement = heapq.heappop(running)
        engine.tell(measurement)
