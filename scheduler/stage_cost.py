"""What a stage cost when it worked: in all, and what of that is its own.

Loading and idling are no part of what is a stage's own, by which recipes and rungs are compared. They
depend on the worker that took it and on what that had done before: the first trial of a study starts
workers and tokenises for all others, and would look dearer than the same recipe proposed last. Of a
merge they are part: to read encoders is what it does. Money is always the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from budgets.amount import DeviceTime
from scheduler.lessons import worked
from scheduler.state import StageRecord
from trainers.order import Outcome
from trainers.stage import Stage, StageKind

_COUNTED = (Outcome.DONE, Outcome.TRUNCATED, Outcome.STOPPED)


@dataclass(frozen=True, slots=True)
class StageCost:
    """Device time of a stage, at the rates of the devices: in all, and its own."""

    whole: DeviceTime
    own: DeviceTime


def stage_cost(record: StageRecord, rate: float) -> StageCost:
    """What the stage cost, failed attempts aside.

    One that the store had already costs this study next to nothing, and would cost anyone else what was
    expected of it, at ``rate`` hours of the cap per device-hour.
    """
    ended = [(x.started, x.measurement) for x in record.leases if x.measurement is not None]
    counted = [(started, m) for started, m in ended if m.outcome in _COUNTED]
    if any(worked(m) for _, m in counted):
        parts = [(m.cost.total, m.cost.total.less(m.own_cost)) for _, m in counted]
    else:
        expected = [(started.expected_ms, started.expected_load_ms) for started, _ in counted]
        whole_ms, load_ms = max(expected, default=(0, 0))
        parts = [(DeviceTime(whole_ms).scaled(rate), DeviceTime(load_ms).scaled(rate))]
    return StageCost(
        DeviceTime.total(whole for whole, _ in parts),
        DeviceTime.total(own_part(record.config, whole, load) for whole, load in parts),
    )


def own_part(stage: Stage, whole: DeviceTime, load: DeviceTime) -> DeviceTime:
    """``whole`` without ``load``; of a merge all of it."""
    return whole if stage.kind is StageKind.MERGE else whole.less(load)
