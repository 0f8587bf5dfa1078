"""Ask and tell: the decisions of a study, and nothing else.

The engine never waits, trains or reads a clock. Ask it what to do, tell it what happened; inside
Ray Tune, in one process, or against a table of recorded results it is the same engine. Its state is
a fold over the journal, so an engine opened on a begun journal goes on where the last one stopped.

What it does first, when asked:

    1. the next stage of a trial that is already climbing;
    2. a trial that has earned its next rung, or a new one, out of the search's part of the cap;
    3. finalists over seeds on report cells, out of the part kept for them;
    4. stop, and say why.
"""

from __future__ import annotations

from dataclasses import dataclass

from budgets.account import Account
from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.errors import InsufficientBudgetError
from budgets.forecast import Forecast
from budgets.ledger import Charged, Opened, Released, Reserved
from scheduler.climb import Climb
from scheduler.facts import (
    StageEnded,
    StageStarted,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.finals import next_final
from scheduler.mix import Mix
from scheduler.policies import Policy
from scheduler.policies.base import Standing
from scheduler.space import Sampler
from scheduler.state import StudyState
from scheduler.tree import Node, StageTree
from scheduler.trial import Recipe, Role, Trial, TrialState
from trainers.stage import Half, Measurement, Order, Outcome

GRACE = DeviceTime(1_500)  # to stop within one step and save; longest seen in docs/measurements.md
_GRACE_SHARE = 0.05
START_UP = DeviceTime(20_000)  # a process, its imports and a model; docs/measurements.md, "start-up"


@dataclass(frozen=True, slots=True)
class Start:
    """Carry out ``order`` for ``trial``. It has already been reserved."""

    trial: str
    order: Order


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can start until something that runs has ended."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The study is over, and why."""

    reason: str


class Engine:
    """One study in progress."""

    def __init__(
        self, tree: StageTree, account: Account, policy: Policy, sampler: Sampler, slots: int
    ) -> None:
        self._tree = tree
        self._spec = tree.spec
        self._account = account
        self._policy = policy
        self._sampler = sampler
        self._slots = slots
        self.state = StudyState()
        self._climb = Climb(tree, self.state, Forecast())
        self._finals_open = False
        self._exhausted = False
        self._refusal = ""
        self._news: list[object] = []
        for fact in account.facts():
            self._take(fact)

    # -- what the drivers call -----------------------------------------------------------------

    def ask(self, *, fresh: bool = False) -> Start | Wait | Stop:
        """What to do next. A ``Start`` has already been paid for.

        Args:
            fresh: whether the device's worker has yet to be started; its hold then covers that.
        """
        if self.state.ended is not None and not self.state.leases:
            return Stop(self.state.ended)
        while True:
            for trial in self._running():
                if (start := self._next_stage(trial, fresh=fresh)) is not None:
                    return start
            if not self._begin_one():
                break
        if self.state.leases:
            return Wait()
        reason = self._why_over()
        self._book(StudyEnded(reason))
        return Stop(reason)

    def tell(self, measurement: Measurement) -> None:
        """Book what a lease cost, close its hold, learn its scores, move its trial."""
        started = self.state.leases[measurement.hold]
        charges = [Charged(measurement.hold, p, amount) for p, amount in measurement.bill.items()]
        self._book(StageEnded(started.trial, measurement), *charges, Released(measurement.hold))
        for trial in self._running():
            self._settle(trial)

    def news(self) -> tuple[object, ...]:
        """Facts taken since the last call, those replayed from the journal included."""
        news, self._news = tuple(self._news), []
        return news

    def recover(self) -> tuple[str, ...]:
        """Close every lease that a killed driver left open, charged in full as lost.

        Returns:
            The holds that were closed.
        """
        holds = tuple(self.state.leases)
        for hold in holds:
            started = self.state.leases[hold]
            lost = Bill({Purpose.LOST: self._account.balance.holds[hold]})
            self.tell(
                Measurement(
                    hold, started.stage, Outcome.LOST, lost, error="the driver ended while it ran"
                )
            )
        return holds

    # -- starting things -----------------------------------------------------------------------

    def _next_stage(self, trial: Trial, *, fresh: bool) -> Start | None:
        """Reserve the next stage of a climbing trial; None when it has to wait or cannot go on."""
        node = self._settle(trial)
        if node is None or self._busy(trial) or self._climb.in_flight(node):
            return None
        record = self.state.stages.get(node.name)
        attempt = len(record.leases) + 1 if record else 1
        estimate = self._climb.estimate(node)
        truncated = sum(m.outcome is Outcome.TRUNCATED for m in record.measurements) if record else 0
        grace = GRACE + estimate.expected.scaled(_GRACE_SHARE)
        limit = estimate.upper.scaled(2**truncated) + grace + (START_UP if fresh else ZERO)
        hold = f"{trial.name}/{node.name}/{attempt}"
        started = StageStarted(
            trial.name, hold, node.name, node.stage, attempt, estimate.expected.ms
        )
        try:
            self._book(Reserved(hold, limit), started)
        except InsufficientBudgetError as refusal:
            self._refusal = str(refusal)
            if not self.state.leases:
                self._book(TrialMoved(trial.name, TrialState.UNAFFORDABLE, trial.rung, None, str(refusal)))
            return None
        return Start(trial.name, Order(hold, node.stage, attempt, limit, grace))

    def _begin_one(self) -> bool:
        """Set one more trial climbing if a device is free for it and the cap allows it."""
        running = self._running()
        base = self._tree.base()
        waits_for_base = bool(running) and base is not None and not self._climb.done(base)
        if waits_for_base or len(running) >= self._slots:
            return False
        if not self._finals_open and self._begin_search():
            return True
        if not self._finals_open and (running or self.state.leases):
            return False
        return self._begin_final()

    def _begin_search(self) -> bool:
        control = self.state.control
        if control is None:
            recipe = Recipe(Mix(), self._spec.seed, self._spec.model.name, self._spec.model.tuning)
            return self._propose(recipe, Role.CONTROL, "control")
        standings = self._standings()
        if (name := self._policy.promote(standings)) and self._affords(self._climbed(name)):
            return self._go_up(name, "promoted")
        if self._begin_new():
            return True
        if (name := self._policy.promote_late(standings)) and self._affords(self._climbed(name)):
            return self._go_up(name, "promoted: no new trial could start")
        return False

    def _begin_new(self) -> bool:
        most = self._spec.search.max_trials
        sampled = [t for t in self.state.trials.values() if t.role is Role.SEARCH]
        if self._exhausted or (most is not None and len(sampled) >= most):
            self._exhausted = True
            return False
        if not self._affords(self._climb.new_trial(self._new_rung(len(sampled)))):
            return False
        mix = self._sampler.propose(len(sampled), {t.recipe.mix for t in self.state.searched})
        if mix is None:
            self._exhausted = True
            return False
        recipe = Recipe(mix, self._spec.seed, self._spec.model.name, self._spec.model.tuning)
        return self._propose(recipe, Role.SEARCH, self._spec.search.sampler)

    def _new_rung(self, n_sampled: int) -> int:
        probe = Trial(f"t{n_sampled + 1:04d}", Recipe(Mix(), 0, ""), Role.SEARCH)
        return self._policy.goal(probe)

    def _begin_final(self) -> bool:
        final = next_final(self._spec, self.state)
        if final is None:
            return False
        cost = self._climb.missing_cost(final.with_cost_of, Half.REPORT)
        free = self._account.balance.free.less(self._committed())
        if cost.ms > free.ms:
            self._refusal = f"the next round of finals needs {cost}, {free} are free"
            return False
        return self._propose(final.recipe, Role.FINAL, "final", final.finalist, final.rung)

    def _propose(
        self, recipe: Recipe, role: Role, origin: str, finalist: str | None = None, rung: int = 0
    ) -> bool:
        n_before = sum((t.role is Role.FINAL) == (role is Role.FINAL) for t in self.state.trials.values())
        name = f"f{n_before:04d}" if role is Role.FINAL else f"t{n_before:04d}"
        self._book(
            TrialProposed(name, recipe, role, finalist, origin),
            TrialMoved(name, TrialState.RUNNING, rung, None, origin),
        )
        return True

    def _go_up(self, name: str, reason: str) -> bool:
        rung = self.state.trials[name].rung + 1
        self._book(TrialMoved(name, TrialState.RUNNING, rung, None, reason))
        return True

    # -- money ---------------------------------------------------------------------------------

    def _affords(self, recipes: list[tuple[Recipe, int]]) -> bool:
        """Whether the search's part of what is free pays for all that is missing."""
        cost = self._climb.missing_cost(recipes, Half.SEARCH)
        free = self._account.balance.free.less(self._committed()).less(self._final_reserve())
        if cost.ms > free.ms:
            self._refusal = (
                f"the next step of the search needs {cost}; {free} of the search's part are free"
            )
            return False
        return True

    def _final_reserve(self) -> DeviceTime:
        cap = self._account.balance.cap
        return cap.scaled(self._spec.budget.final_share)

    def _committed(self) -> DeviceTime:
        """What the trials that climb already will still take, beside the open holds."""
        total = ZERO
        for trial in self._running():
            total += self._climb.missing_cost([(trial.recipe, trial.rung)], self._climb.half(trial))
        return total

    def _climbed(self, name: str) -> list[tuple[Recipe, int]]:
        trial = self.state.trials[name]
        return [(trial.recipe, trial.rung + 1)]

    # -- following what happened ---------------------------------------------------------------

    def _settle(self, trial: Trial) -> Node | None:
        """Move a climbing trial over all that is done; its next missing stage, or None."""
        while True:
            trial = self.state.trials[trial.name]
            if trial.state is not TrialState.RUNNING or self._busy(trial):
                return None
            step = self._climb.step(trial, self._policy.goal(trial), pauses=self._policy.pauses)
            if step.facts:
                self._book(*step.facts)
            if step.node is not None or not step.facts:
                return step.node

    def _busy(self, trial: Trial) -> bool:
        return any(started.trial == trial.name for started in self.state.leases.values())

    def _running(self) -> list[Trial]:
        return [t for t in self.state.trials.values() if t.state is TrialState.RUNNING]

    def _standings(self) -> list[Standing]:
        counts_cost = self._spec.objectives.gpu_hours is not None
        return [
            Standing(t, self._climb.path_cost_ms(t) if counts_cost else {}) for t in self.state.searched
        ]

    def _book(self, *facts: object) -> None:
        self._account.book(*facts)
        for fact in facts:
            self._take(fact)

    def _take(self, fact: object) -> None:
        """Fold one fact in, live or from the journal: the same code, so the same state."""
        self.state.apply(fact)
        self._news.append(fact)
        match fact:
            case Opened():
                self._finals_open, self.state.ended = False, None
            case TrialProposed(_, _, role, _, _):
                self._finals_open = self._finals_open or role is Role.FINAL
            case StageEnded(_, measurement):
                self._climb.learn(measurement)
            case TrialMoved() if fact.trial in self.state.trials:
                self._tell_sampler(self.state.trials[fact.trial])

    def _tell_sampler(self, trial: Trial) -> None:
        """Full-fidelity values only; a trial that ended without them teaches nothing false."""
        if not trial.over or trial.role is Role.FINAL:
            return
        if trial.recipe.mix.count < self._spec.intermediate.count[0]:
            return  # the control of a study whose space begins above k = 0
        top = self._tree.n_rungs - 1
        values: tuple[float, ...] | None = None
        if trial.state is TrialState.DONE and (top in trial.scores or trial.role is Role.CONTROL):
            score = trial.scores[max(trial.scores)]
            costs = self._climb.path_cost_ms(trial)
            hours = DeviceTime(costs[max(costs)]).hours
            values = (score, hours) if self._spec.objectives.gpu_hours else (score,)
        self._sampler.tell(trial.recipe.mix, values)

    def _why_over(self) -> str:
        balance = self._account.balance
        spent = f"{balance.spent} of {balance.cap} spent"
        failed = self.state.control
        if failed is not None and failed.state in (TrialState.FAILED, TrialState.UNAFFORDABLE):
            return f"the control could not be judged ({self.state.reasons[failed.name]}); {spent}"
        if next_final(self._spec, self.state) is None and self._exhausted:
            return f"nothing left to try: every mix and all {self._spec.final.max_seeds} seeds; {spent}"
        if next_final(self._spec, self.state) is None:
            return f"finalists have all {self._spec.final.max_seeds} seeds (final.max_seeds); {spent}"
        return f"cap reached: {self._refusal or 'nothing more is affordable'}; {spent}"

