"""What sharing stages was worth: device time spent, and what the same trials would have cost without it.

    without = spent + saved + stored

``saved`` is one bill for each time that a trial needed a stage which another trial had paid for.
``stored`` is what stages were expected to take that the store had from other studies. A pretrained
encoder counts once, and a longer intermediate stage continues its own shorter one in either case.
"""

from __future__ import annotations

from dataclasses import dataclass

from budgets.amount import ZERO, DeviceTime
from experiments.load import Study, work_of
from scheduler.lessons import worked
from scheduler.state import StageRecord


@dataclass(frozen=True, slots=True)
class Shared:
    """Stages of one kind.

    Attributes:
        work: the kind.
        n_run: of them, carried out.
        n_shared: times that a trial found one which another trial had paid for.
        n_stored: found in the store when the study first asked.
        saved: device time of the shared ones, once for each time.
        stored: what those of the store were expected to take.
    """

    work: str
    n_run: int
    n_shared: int
    n_stored: int
    saved: DeviceTime
    stored: DeviceTime


def sharing(study: Study) -> tuple[Shared, ...]:
    """Stages that were done, by kind, in the order in which the kinds came."""
    records = study.state.stages
    done = [record for record in records.values() if record.done]
    return tuple(
        _of_kind(work, study, [record for record in done if work_of(record.config) == work])
        for work in dict.fromkeys(work_of(record.config) for record in done)
    )


def without_sharing(study: Study) -> DeviceTime:
    """What the same trials would have cost, each with stages of its own."""
    return study.balance.spent + DeviceTime.total(s.saved + s.stored for s in sharing(study))


def _of_kind(work: str, study: Study, records: list[StageRecord]) -> Shared:
    names = {record.name for record in records}
    shares = [share for share in study.shares if share.stage in names]
    found = [record for record in records if not any(worked(m) for m in record.measurements)]
    return Shared(
        work,
        n_run=len(records) - len(found),
        n_shared=len(shares),
        n_stored=len(found),
        saved=DeviceTime(sum(share.saved_ms for share in shares)),
        stored=DeviceTime.total(_expected(record) for record in found),
    )


def _expected(record: StageRecord) -> DeviceTime:
    """What the stage would have taken beyond what it took to find it."""
    expected = max((DeviceTime(lease.started.expected_ms) for lease in record.leases), default=ZERO)
    return expected.less(record.charged)
