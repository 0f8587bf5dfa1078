"""What a study's facts add up to: trials, stages and leases, folded from the journal.

Nothing here decides. The engine, ``status``, MLflow and the report all read this one fold, so they
cannot disagree about what happened.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from budgets.amount import ZERO, DeviceTime
from budgets.ledger import Opened
from scheduler.facts import (
    PriorRead,
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.trial import Arm, Role, Trial, TrialState
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import Stage


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
        return any(x.measurement and x.measurement.outcome is Outcome.DONE for x in self.leases)

    @property
    def in_flight(self) -> bool:
        """Whether a lease for it is open."""
        return any(lease.measurement is None for lease in self.leases)

    @property
    def failures(self) -> int:
        """Attempts that failed or were lost."""
        return sum(m.outcome in (Outcome.FAILED, Outcome.LOST) for m in self.measurements)

    @property
    def truncations(self) -> int:
        """Attempts that ended at their deadline."""
        return sum(m.outcome is Outcome.TRUNCATED for m in self.measurements)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What came back, in order."""
        return tuple(lease.measurement for lease in self.leases if lease.measurement is not None)

    @property
    def charged(self) -> DeviceTime:
        """Device time of all attempts."""
        return DeviceTime.total(m.cost.total for m in self.measurements)

    @property
    def facts(self) -> Mapping[str, float]:
        """Figures of the attempt that succeeded."""
        return next((m.facts for m in self.measurements if m.outcome is Outcome.DONE), {})

    @property
    def scores(self) -> tuple[CellScore, ...]:
        """Cells of the attempt that succeeded."""
        return next((m.scores for m in self.measurements if m.outcome is Outcome.DONE), ())


@dataclass(slots=True)
class StudyState:
    """A study so far. Changed only by :meth:`apply`.

    Attributes:
        begun: first fact, None for an empty journal.
        prior: what was known beforehand, None where nothing was asked.
        trials: by name, in order of proposal.
        origins: trial -> ``control``, ``final`` or the sampler's name.
        reasons: trial -> why it made its last move.
        stages: by fingerprint.
        leases: open leases by hold.
        busy: trial -> its open lease.
        n_climbing: trials on their way to the next rung.
        roles: how many trials were proposed, by role.
        moves: trials in order of their moves, each as often as it moved.
        shared: trial -> stages it needed and found done.
        saved: device time that shared stages would have cost again.
        worn: what was said of workers whose process should not go on, in order.
        finals_open: whether a repetition was proposed since device time was last granted.
        ended: the last reason to stop, None while going on.
        stopped: whether work is left that the same command goes on with.
    """

    begun: StudyBegun | None = None
    prior: PriorRead | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageRecord] = field(default_factory=dict)
    leases: dict[str, StageStarted] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    n_climbing: int = 0
    roles: Counter[Role] = field(default_factory=Counter)
    moves: list[str] = field(default_factory=list)
    shared: dict[str, set[str]] = field(default_factory=dict)
    saved: DeviceTime = ZERO
    worn: list[str] = field(default_factory=list)
    finals_open: bool = False
    ended: str | None = None
    stopped: bool = False
    _controls: dict[Arm, str] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)  # trial -> how many were proposed before
    _idle: list[tuple[int, str]] = field(default_factory=list)  # ascending

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
            case PriorRead():
                self.prior = fact
            case Opened():
                self.finals_open, self.ended = False, None
            case TrialProposed(trial, recipe, role, finalist, origin):
                self._places[trial] = len(self.trials)
                self.trials[trial] = Trial(trial, recipe, role, finalist)
                self.roles[role] += 1
                if role is Role.CONTROL:
                    self._controls.setdefault(recipe.arm, trial)
                self.origins[trial] = origin
                self.finals_open = self.finals_open or role is Role.FINAL
            case TrialMoved():
                self._move(fact)
            case StageStarted():
                self.ended = None
                self.leases[fact.hold] = fact
                self.busy[fact.trial] = fact.hold
                self._note_idle(fact.trial)
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
            self.n_climbing += (fact.state is TrialState.RUNNING) - (trial.state is TrialState.RUNNING)
            if trial.state is TrialState.PLANNED:
                trial = replace(trial, first_rung=fact.rung)
            trial = trial.to(fact.state)
        scores = dict(trial.scores)
        if fact.score is not None:
            scores[fact.rung] = fact.score
        self.trials[fact.trial] = replace(trial, rung=fact.rung, scores=MappingProxyType(scores))
        self.reasons[fact.trial] = fact.reason
        self.moves.append(fact.trial)
        self._note_idle(fact.trial)

    def _note_idle(self, trial: str) -> None:
        """Put a trial where it belongs, among the idle ones or not."""
        climbs = self.trials[trial].state is TrialState.RUNNING
        key = (self._places[trial], trial)
        i = bisect_left(self._idle, key)
        there = i < len(self._idle) and self._idle[i] == key
        if there and (not climbs or trial in self.busy):
            del self._idle[i]
        elif not there and climbs and trial not in self.busy:
            self._idle.insert(i, key)

    def _end(self, measurement: Measurement) -> None:
        started = self.leases.pop(measurement.hold)
        if measurement.worn:
            self.worn.append(measurement.worn)
        self.busy.pop(started.trial, None)  # a journal from elsewhere may hold two leases of one trial
        self._note_idle(started.trial)
        record = self.stages[started.stage]
        leases = tuple(
            replace(lease, measurement=measurement) if lease.started.hold == measurement.hold else lease
            for lease in record.leases
        )
        self.stages[started.stage] = replace(record, leases=leases)

    @property
    def idle(self) -> list[Trial]:
        """Trials on their way to the next rung for which no stage runs, in order of proposal."""
        return [self.trials[name] for _, name in self._idle]

    @property
    def controls(self) -> tuple[Trial, ...]:
        """The k = 0 trials, one in every arm, in order of proposal."""
        return tuple(self.trials[name] for name in self._controls.values())

    @property
    def control(self) -> Trial | None:
        """The first k = 0 trial, the only one of a study with one arm."""
        return next(iter(self.controls), None)

    def control_of(self, arm: Arm) -> Trial | None:
        """The k = 0 trial of an arm."""
        return self.trials[self._controls[arm]] if arm in self._controls else None

    @property
    def searched(self) -> tuple[Trial, ...]:
        """The control and every trial that the sampler proposed."""
        return tuple(t for t in self.trials.values() if t.role is not Role.FINAL)

    @property
    def finals(self) -> tuple[Trial, ...]:
        """Finalists' repetitions."""
        return tuple(t for t in self.trials.values() if t.role is Role.FINAL)

    def best(self, arm: Arm | None = None) -> Trial | None:
        """The control or sampled trial with the best score at any rung that trains, of ``arm`` alone."""
        scored = [t for t in self.searched if t.trained_scores and arm in (None, t.recipe.arm)]
        return max(scored, key=lambda t: t.best_score, default=None)

    def measurements(self) -> Iterator[tuple[StageStarted, Measurement]]:
        """Every lease that came back, with how it started."""
        for record in self.stages.values():
            for lease in record.leases:
                if lease.measurement is not None:
                    yield lease.started, lease.measurement
