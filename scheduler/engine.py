"""Ask and tell: the decisions of a study, and nothing else.

The engine never waits, trains or reads a clock. Ask it what to do, tell it what happened; inside
Ray Tune, in one process, or against a table of recorded results it is the same engine. Its state is
a fold over the journal, so an engine opened on a begun journal goes on where the last one stopped.

What it does first, when asked:

    1. the next stage of a trial that is already climbing             (scheduler/climb.py)
    2. a trial that has earned its next rung, or a new one, out of    (scheduler/agenda.py,
       the search's part of the cap                                    scheduler/money.py)
    3. finalists over seeds on report cells, out of the part kept     (scheduler/finals.py)
       for them
    4. stop, and say why
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from budgets.account import Account
from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.clock import since_s
from budgets.errors import InsufficientBudgetError
from budgets.forecast import Forecast
from budgets.ledger import Charged, Released, Reserved
from scheduler.agenda import Agenda, SearchAgenda
from scheduler.arms import proposal_of
from scheduler.climb import Climb, Terms
from scheduler.facts import StageEnded, StageStarted, StudyEnded, TrialMoved, TrialProposed
from scheduler.grid import GridAgenda
from scheduler.money import Purse
from scheduler.moves import Start, Stop, Wait
from scheduler.objectives import objectives_of
from scheduler.policies import Policy
from scheduler.space import MixSpace, Sampler
from scheduler.stage_claims import StageClaims, Unshared
from scheduler.state import StudyState
from scheduler.tree import Node, StageTree
from scheduler.trial import MERGED, Role, Trial, TrialState
from trainers.order import Measurement, Order, Outcome

_OUTLIVES_S = 10.0  # Ray ends the workers of a dead driver within seconds; their own watchdogs wait


class Engine:
    """One study in progress."""

    def __init__(
        self,
        tree: StageTree,
        account: Account,
        policy: Policy,
        sampler: Sampler,
        slots: int,
        *,
        moment: Callable[[], str] = str,
        grid: MixSpace | None = None,
        forecast: Forecast | None = None,
        claims: StageClaims | None = None,
    ) -> None:
        """Open the study on its books.

        Args:
            tree: its stages.
            account: its journal and balance.
            policy: who climbs.
            sampler: what is tried.
            slots: leases at most at once.
            moment: stamps a grant, ``budgets.clock.moment``; nothing where time is not real.
            grid: the space of which every mix is run, for a study that searches nothing.
            forecast: what earlier runs taught; nothing by default. It goes on learning here.
            claims: on stages that other studies may want, too; by default there are none.
        """
        self._tree = tree
        self._spec = tree.spec
        self._account = account
        self._policy = policy
        self._sampler = sampler
        self._slots = slots
        self._moment = moment
        self._claims: StageClaims = claims or Unshared()
        self._elsewhere = False  # whether another study runs what a trial waits for
        self.state = StudyState()
        self._climb = Climb(tree, self.state, forecast or Forecast())
        self._purse = Purse(self._spec, account, self._climb)
        self._agenda: Agenda = (
            SearchAgenda(
                self._tree,
                self.state,
                climb=self._climb,
                purse=self._purse,
                policy=policy,
                sampler=sampler,
            )
            if grid is None
            else GridAgenda(tree, grid, self.state, self._purse)
        )
        self._measured = ZERO
        self._news: list[object] = []
        for fact in account.facts():
            self._take(fact)

    # -- what the drivers call -----------------------------------------------------------------

    def ask(self, *, fresh: bool = False) -> Start | Wait | Stop:
        """What to do next. A ``Start`` has already been paid for.

        Args:
            fresh: whether the device's worker has yet to be started; its hold then covers that.
        """
        if self.state.ended is not None and not self.state.stopped and not self.state.leases:
            return Stop(self.state.ended)
        self._elsewhere = False
        while True:
            for trial in self.state.idle:
                if (start := self._next_stage(trial, fresh=fresh)) is not None:
                    return start
            if not self._begin_one(fresh=fresh):
                break
        if self.state.leases or self._elsewhere:
            return Wait(self._elsewhere)
        balance = self._account.balance
        ending = self._agenda.why_over(balance.spent, balance.cap)
        self._book(StudyEnded(ending.reason, stopped=ending.for_now))
        return Stop(ending.reason)

    def tell(self, measurement: Measurement) -> None:
        """Book what a lease cost, close its hold, learn its scores, move its trial."""
        device, devices = measurement.device, self._spec.budget.devices
        rate = devices.rate(device) if device else devices.highest_rate
        self._end(replace(measurement, rate=rate))

    def _end(self, measurement: Measurement) -> None:
        started = self.state.leases[measurement.hold]
        charges = [Charged(measurement.hold, p, amount) for p, amount in measurement.cost.items()]
        self._book(StageEnded(started.trial, measurement), *charges, Released(measurement.hold))
        self._claims.release(measurement.stage, done=measurement.outcome is Outcome.DONE)
        for trial in self.state.idle:
            self._settle(trial)

    def stop(self, reason: str, *, for_good: bool = False) -> None:
        """Write down that the driver stops; the study may go on later, unless it is ``for_good``."""
        self._book(StudyEnded(reason, stopped=not for_good))

    def news(self) -> tuple[object, ...]:
        """Facts taken since the last call, those replayed from the journal included."""
        news, self._news = tuple(self._news), []
        return news

    def recover(self) -> tuple[str, ...]:
        """Close every lease that a killed driver left open, charged as lost.

        A worker outlives its driver by seconds, if at all: from the grant until now and those seconds
        is as long as it can have held its device. Where that is not known, the hold is.

        Returns:
            The holds that were closed.
        """
        holds = tuple(self.state.leases)
        for hold in holds:
            started = self.state.leases[hold]
            bill = Bill({Purpose.LOST: self._longest_held(started)})
            why = "the driver ended while it ran"
            self._end(Measurement(hold, started.stage, Outcome.ORPHANED, bill, error=why))
        return holds

    def _longest_held(self, started: StageStarted) -> DeviceTime:
        hold = self._account.balance.holds[started.hold]
        passed_s = since_s(started.granted, self._moment())
        if passed_s is None:
            return hold
        devices = self._spec.budget.devices
        held = DeviceTime.busy(wall_s=passed_s + _OUTLIVES_S, devices=devices.per_trial)
        return min(hold, held.scaled(devices.highest_rate))

    # -- starting things -----------------------------------------------------------------------

    def _next_stage(self, trial: Trial, *, fresh: bool) -> Start | None:
        """Reserve a stage of a climbing trial; None when it has to wait or cannot go on."""
        if self._settle(trial) is None:
            return None
        trial = self.state.trials[trial.name]
        for node in self._climb.startable(trial):
            terms = self._climb.terms(node, fresh=fresh)
            wall_s = terms.limit.ms / 1000 / self._spec.budget.devices.per_trial
            if self._claims.claim(node.name, wall_s):
                return self._granted(trial, node, terms)
            self._elsewhere = True
        return None

    def _granted(self, trial: Trial, node: Node, terms: Terms) -> Start | None:
        """Reserve a claimed stage; None where it is not affordable."""
        hold = f"{trial.name}/{node.name}/{terms.attempt}"
        started = StageStarted(
            trial.name,
            hold,
            node.name,
            node.stage,
            terms.attempt,
            terms.expected.ms,
            self._moment(),
            expected_load_ms=terms.load.ms,
        )
        try:
            dear = terms.limit.scaled(self._spec.budget.devices.highest_rate)
            self._book(Reserved(hold, dear), started)
        except InsufficientBudgetError as refusal:
            self._claims.release(node.name, done=False)
            self._purse.refusal, self._purse.account = str(refusal), refusal.account
            if not self.state.leases and not refusal.account:
                self._book(
                    TrialMoved(trial.name, TrialState.UNAFFORDABLE, trial.rung, None, str(refusal))
                )
            return None
        return Start(trial.name, Order(hold, node.stage, terms.attempt, terms.limit, terms.grace))

    def _begin_one(self, *, fresh: bool) -> bool:
        """Set one more trial climbing if a device is free for it and the cap allows it."""
        if self.state.n_climbing >= self._slots:
            return False
        climbs = bool(self.state.n_climbing) or bool(self.state.leases)
        beginning = self._agenda.next(search_climbs=climbs, fresh=fresh)
        if not beginning or self._waits_for_base(*beginning):
            return False
        self._book(*beginning)
        return True

    def _waits_for_base(self, first: TrialProposed | TrialMoved, *_: object) -> bool:
        """Whether what begins would only wait for what another trial pretrains."""
        known = first if isinstance(first, TrialProposed) else self.state.trials[first.trial]
        return self._climb.waits_for_base(known.recipe.model)

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
        return trial.name in self.state.busy

    def _book(self, *facts: object) -> None:
        self._account.book(*facts)
        for fact in facts:
            self._take(fact)

    def _take(self, fact: object) -> None:
        """Fold one fact in, live or from the journal: the same code, so the same state."""
        self.state.apply(fact)
        self._climb.follow(fact)
        self._news.append(fact)
        match fact:
            case StageEnded(_, measurement):
                self._climb.learn(measurement)
                self._measured += measurement.cost.total
            case TrialMoved():
                self._tell_sampler(self.state.trials[fact.trial], finished=fact.score is not None)

    def _tell_sampler(self, trial: Trial, *, finished: bool) -> None:
        """Every finished rung that trains is observed; told are full-fidelity values, or that none come.

        What report cells gave stays out of the search.
        """
        if trial.role is Role.FINAL:
            return
        if finished and trial.rung != MERGED:
            self._sampler.observe(self._climb.observation(trial, self._measured))
        if not trial.over:
            return
        if trial.recipe.mix.count < self._spec.intermediate.count[0]:
            return  # the control of a study whose space begins above k = 0
        values = objectives_of(trial, self._spec, self.state, self._climb)
        self._sampler.tell(proposal_of(trial.recipe, self._spec), values)
