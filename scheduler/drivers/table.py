"""Recorded results and virtual time: whole studies in seconds, on any number of devices."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from budgets.bill import Bill
from scheduler.moves import Start, Stop, Wait
from scheduler.state import StudyState
from trainers.order import Measurement, Order, Outcome
from trainers.stage import stage_name


@dataclass(frozen=True, slots=True)
class Replayed:
    """A study in virtual time.

    Attributes:
        reason: why it ended.
        wall_ms: virtual milliseconds from first to last.
        waited_ms: device-milliseconds from the ends of stages until the driver had booked them and
            said what their device does next; 0 where deciding takes no virtual time.
    """

    reason: str
    wall_ms: int
    waited_ms: int = 0


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
    *,
    thought_ms: Callable[[], float] = float,
) -> Replayed:
    """Carry out all that ``engine`` decides in virtual time, on ``slots`` devices at once.

    A stage takes as long as its bill says. Of stages that end together the one that started first
    is told first, so a replay is the same every time. After ``at_most`` stages none is started.

    Args:
        engine: decides.
        run: carries out an order.
        slots: devices.
        at_most: stages.
        thought_ms: asked after every move: the virtual time that it took the driver, who makes one
            after the other. None by default.
    """
    running: list[tuple[float, int, Measurement]] = []
    n_started = 0
    now_ms = waited_ms = 0.0
    freed_ms: float | None = None  # when the device became free that the driver is busy with
    while True:
        enough = at_most is not None and n_started >= at_most
        answer = engine.ask() if len(running) < slots and not enough else None
        now_ms += thought_ms()
        if freed_ms is not None:
            waited_ms += now_ms - freed_ms
            freed_ms = None
        match answer:
            case Start(order=order):
                measurement = run(order)
                ends_ms = now_ms + measurement.bill.total.ms
                heapq.heappush(running, (ends_ms, n_started, measurement))
                n_started += 1
                continue
            case Stop(reason):
                return Replayed(reason, round(now_ms), round(waited_ms))
        if not running:
            reason = f"{n_started} stages were started, as many as were asked for"
            return Replayed(reason, round(now_ms), round(waited_ms))
        freed_ms, _, measurement = heapq.heappop(running)
        now_ms = max(now_ms, freed_ms)
        engine.tell(measurement)
        now_ms += thought_ms()
