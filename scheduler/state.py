"""What a study's facts add up to: trials, stages and leases, folded from the journal.

Nothing here decides. The engine, ``status``, MLflow and the report all read this one fold, so they
cannot disagree about what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from budgets.amount import ZERO, DeviceTime
from budgets.ledger import Opened
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.trial import Role, Trial
from trainers.stage import CellScore, Measurement, Outcome, Stage


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt at a stage.

    Attributes:
        measurement: None while it is in flight.
    """

    started: StageStarted
    measurement: Measurement | None = None


@dataclass(frozen=True, slots=True)
class StageRecord:
    """All that is known of one stage.

    Attributes:
        name: fingerprint.
        config: what it is.
        leases: attempts, in order.
    """

    name: str
    config: Stage
    leases: tuple[Lease, ...] = ()

    @property
    def done(self) -> bool:
        """Whether its result exists."""
        return any(m.outcome is Outcome.DONE for m in self.measurements)

    @property
    def in_flight(self) -> bool:
        """Whether a lease for it is open."""
        return any(lease.measurement is None for lease in self.leases)

    @property
    def failures(self) -> int:
        """Attempts that failed or were lost."""
        return sum(m.outcome in (Outcome.FAILED, Outcome.LOST) for m in self.measurements)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What came back, in order."""
        return tuple(lease.measurement for lease in self.leases if lease.measurement is not None)

    @property
    def charged(self) -> DeviceTime:
        """Device time of all attempts."""
        return DeviceTime.total(m.cost.total for m in self.measurements)

    @property
    def scores(self) -> tuple[CellScore, ...]:
        """Cells of the attempt that succeeded."""
        return next((m.scores for m in self.measurements if m.outcome is Outcome.DONE), ())


@dataclass(slots=True)
class StudyState:
    """A study so far. Changed only by :meth:`apply`.

    Attributes:
        begun: first fact, None for an empty journal.
        trials: by name, in order of proposal.
        origins: trial -> ``control``, ``final`` or the sampler's name.
        reasons: trial -> why it made its last move.
        stages: by fingerprint.
        leases: open leases by hold.
        shared: trial -> stages it needed and found done.
        saved: device time that shared stages would have cost again.
        finals_open: whether a repetition was proposed since device time was last granted.
        ended: the last reason to stop, None while going on.
        stopped: whether work is left that the same command goes on with.
    """

    begun: StudyBegun | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageRecord] = field(default_factory=dict)
    leases: dict[str, StageStarted] = field(default_factory=dict)
    shared: dict[str, set[str]] = field(default_factory=dict)
    saved: DeviceTime = ZERO
    finals_open: bool = False
    ended: str | None = None
    stopped: bool = False

    @classmethod
    def of(cls, facts: Iterable[object]) -> StudyState:
        """The state that ``facts`` describe."""
        state = cls()
        for fact in facts:
            state.apply(fact)
        return state

    def apply(self, fact: object) -> None:
        """Take one more fact into account."""
        match fact:
            case StudyBegun():
                self.begun, self.ended = fact, None
            case Opened():
                self.finals_open, self.ended = False, None
            case TrialProposed(trial, recipe, role, finalist, origin):
                self.trials[trial] = Trial(trial, recipe, role, finalist)
                self.origins[trial] = origin
                self.finals_open = self.finals_open or role is Role.FINAL
            case TrialMoved():
                self._move(fact)
            case StageStarted():
                self.ended = None
                self.leases[fact.hold] = fact
                record = self.stages.get(fact.stage, StageRecord(fact.stage, fact.config))
                self.stages[fact.stage] = replace(record, leases=(*record.leases, Lease(fact)))
            case StageEnded(_, measurement):
                self._end(measurement)
            case StageShared(trial, stage, saved_ms):
                self.shared.setdefault(trial, set()).add(stage)
                self.saved += DeviceTime(saved_ms)
            case StudyEnded(reason, stopped):
                self.ended, self.stopped = reason, stopped
            case _:
                pass  # another ledger entry: the account's business

    def _move(self, fact: TrialMoved) -> None:
        trial = self.trials[fact.trial]
        if fact.state is not trial.state:
            trial = trial.to(fact.state)
        scores = dict(trial.scores)
        if fact.score is not None:
            scores[fact.rung] = fact.score
        self.trials[fact.trial] = replace(trial, rung=fact.rung, scores=MappingProxyType(scores))
        self.reasons[fact.trial] = fact.reason

    def _end(self, measurement: Measurement) -> None:
        started = self.leases.pop(measurement.hold)
        record = self.stages[started.stage]
        leases = tuple(
            replace(lease, measurement=measurement) if lease.started.hold == measurement.hold else lease
            for lease in record.leases
        )
        self.stages[started.stage] = replace(record, leases=leases)

    @property
    def control(self) -> Trial | None:
        """The k = 0 trial."""
        return next((t for t in self.trials.values() if t.role is Role.CONTROL), None)

    @property
    def searched(self) -> tuple[Trial, ...]:
        """The control and every trial that the sampler proposed."""
        return tuple(t for t in self.trials.values() if t.role is not Role.FINAL)

    @property
    def finals(self) -> tuple[Trial, ...]:
        """Finalists' repetitions."""
        return tuple(t for t in self.trials.values() if t.role is Role.FINAL)

    def best(self) -> Trial | None:
        """The control or sampled trial with the best score at any rung that trains."""
        scored = [t for t in self.searched if t.trained_scores]
        return max(scored, key=lambda t: t.best_score, default=None)

    def measurements(self) -> Iterator[tuple[StageStarted, Measurement]]:
        """Every lease that came back, with how it started."""
        for record in self.stages.values():
            for lease in record.leases:
                if lease.measurement is not None:
                    yield lease.started, lease.measurement
