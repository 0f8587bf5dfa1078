"""Between the engine and Tune's three hooks: who has which lease, and what runs next.

Tune calls its searcher and scheduler from one thread, the driver's. The bridge grants a lease the
moment it leaves an order, and ends it when the result is back, so that everything in between is
charged: a process starting, the work, the answer travelling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler

from budgets.amount import DeviceTime
from budgets.clock import Clock, MonotonicClock
from scheduler.allocation import Allocation
from scheduler.drivers.lease import billed, lost
from scheduler.engine import Engine
from scheduler.interrupt import REASON, Interrupt
from scheduler.moves import Start, Stop
from trainers.order import Measurement, Order, Outcome

# Of the grace, for the driver to see before the hold ends that the worker has; a watchdog bites sooner.
_NOTICE_SHARE = 0.05


@dataclass(slots=True)
class _Lease:
    """A granted order; its clock runs."""

    start: Start
    granted_s: float

    def held(self, now_s: float, devices: int) -> DeviceTime:
        """What was held until now; its hold at most, at whose end the watchdog frees the device."""
        wall = DeviceTime.busy(wall_s=now_s - self.granted_s, devices=devices)
        return min(wall, self.start.order.limit)


class Bridge:
    """The engine as Tune's hooks see it.

    Args:
        engine: decides.
        slots: leases at most at once.
        devices: held by each lease.
        leave: puts an order where the worker of a Tune trial finds it.
        kill: ends the worker of a Tune trial.
        hurry: tells all workers that the user wants to stop.
        show: called after every move.
        interrupt: the user's Ctrl-C.
        clock: times the leases.
        allocation: of devices that are paid while they stand idle, too.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        slots: int,
        devices: int,
        leave: Callable[[str, Order], None],
        kill: Callable[[TuneTrial], None],
        hurry: Callable[[], None],
        show: Callable[[], None],
        interrupt: Interrupt,
        clock: Clock | None = None,
        allocation: Allocation | None = None,
    ) -> None:
        self._engine = engine
        self._slots = slots
        self._devices = devices
        self._leave = leave
        self._kill = kill
        self._hurry = hurry
        self._show = show
        self._interrupt = interrupt
        self._clock = clock or MonotonicClock()
        self._allocation = allocation
        self._leases: dict[str, _Lease] = {}
        self._trials: dict[str, TuneTrial] = {}
        self._ours: dict[str, str] = {}
        self._tune_ids: dict[str, str] = {}
        self._new: list[tuple[Start, float]] = []
        self._processes: set[int] = set()
        self._failure: BaseException | None = None
        self._hurried = False
        self.over = False

    # -- leases --------------------------------------------------------------------------------

    def _draw(self) -> Start | None:
        """The next order, while a slot is free; None when there is none now."""
        if self.over or self._interrupt.asked() or not self._paid():
            return None
        if len(self._leases) + len(self._new) >= self._slots:
            return None
        match self._engine.ask(fresh=self._fresh):
            case Start() as start:
                return start
            case Stop():
                self.over = True
        return None

    def _paid(self) -> bool:
        """Whether the devices that no lease holds now are paid for."""
        busy = self._devices * (len(self._leases) + len(self._new))
        return self._allocation is None or self._allocation.keep(busy)

    @property
    def _fresh(self) -> bool:
        return len(self._processes) < self._slots

    def _grant(self, tune_id: str, start: Start, since_s: float) -> None:
        self._leases[tune_id] = _Lease(start, since_s)
        self._leave(tune_id, start.order)
        self._show()

    def _dispatch(self, start: Start) -> None:
        """Give ``start`` to the Tune trial that runs its trial, or keep it for a new one."""
        tune_id = self._tune_ids.get(start.trial)
        if tune_id is None:
            self._new.append((start, self._clock.now_s()))
        else:
            self._grant(tune_id, start, self._clock.now_s())

    # -- Tune's questions ----------------------------------------------------------------------

    def suggest(self, tune_id: str) -> bool:
        """Whether Tune should start a new trial under ``tune_id``."""
        self._fill()
        if not self._new or self._failure is not None:
            return False
        start, since_s = self._new.pop(0)
        self._tune_ids[start.trial] = tune_id
        self._ours[tune_id] = start.trial
        self._grant(tune_id, start, since_s)
        return True

    def _fill(self) -> None:
        """Draw orders until no slot is free or nothing is to be had."""
        while (start := self._draw()) is not None:
            self._dispatch(start)

    def added(self, trial: TuneTrial) -> None:
        """Tune made the trial that was suggested."""
        self._trials[trial.trial_id] = trial

    def chosen(self) -> TuneTrial | None:
        """A paused trial that has an order, else any that waits for its first."""
        self._end_overdue()
        self._heed_the_user()
        self._heed_the_allocation()
        self._fill()
        granted = (self._trials[i] for i in self._leases if i in self._trials)
        return next((trial for trial in granted if trial.status in _STARTABLE), None)

    def came_back(self, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Book a finished stage; what the trial does next."""
        measurement: Measurement = result["measurement"]
        fresh = result["pid"] not in self._processes
        self._processes.add(result["pid"])
        lease = self._leases.pop(trial.trial_id)
        held = lease.held(self._clock.now_s(), self._devices)
        self._tell(billed(measurement, held=held, devices=self._devices, fresh=fresh))
        ours = self._ours[trial.trial_id]
        if measurement.worn:
            self._replace(trial, result["pid"])
        while (start := self._draw()) is not None:
            self._dispatch(start)
        if trial.trial_id in self._leases or measurement.worn:  # a dead worker's trial ends in error
            return TrialScheduler.CONTINUE
        if self._engine.state.trials[ours].over:
            self._forget(trial.trial_id)
            return TrialScheduler.STOP
        return TrialScheduler.PAUSE

    def _replace(self, trial: TuneTrial, pid: int) -> None:
        """End a worker between two orders; our trial goes on under another Tune trial, with another.

        Tune would keep the process of a trial that stops or pauses. It finds this one dead.
        """
        self._processes.discard(pid)
        self._forget(trial.trial_id)
        self._kill(trial)

    def died(self, trial: TuneTrial) -> None:
        """Charge a lease whose worker did not come back; the engine may try the stage again."""
        lease = self._leases.pop(trial.trial_id, None)
        self._forget(trial.trial_id)
        self._processes.clear()  # which of them died is not said; the next leases may be fresh
        if lease is None:
            return
        held = lease.held(self._clock.now_s(), self._devices)
        error = f"the worker ended: {trial.get_error() or 'no reason given'}"
        self._tell(lost(lease.start.order, held, error.strip().splitlines()[-1]))

    def _end_overdue(self) -> None:
        """Kill the worker of every lease whose hold is about to end, where no watchdog has."""
        now_s = self._clock.now_s()
        for tune_id, lease in self._leases.items():
            order = lease.start.order
            end_s = order.limit.less(order.grace.scaled(_NOTICE_SHARE)).ms / 1000 / self._devices
            if now_s - lease.granted_s > end_s and tune_id in self._trials:
                self._kill(self._trials[tune_id])

    def _heed_the_user(self) -> None:
        """After Ctrl-C: hurry what runs, and end the study when nothing does."""
        if not self._interrupt.asked() or self.over:
            return
        if not self._hurried:
            self._hurried = True
            self._hurry()
        if not self._leases and not self._new:
            self._engine.stop(REASON)
            self.over = True
            self._show()

    def _heed_the_allocation(self) -> None:
        """End the study when idle devices cannot be paid any more and nothing runs."""
        if not self._paid() and not self.over and not self._leases and not self._new:
            self._engine.stop(self._allocation.refusal if self._allocation else "", for_good=True)
            self.over = True
            self._show()

    def abandon(self) -> None:
        """End every lease now, charged for what it has held so far: the user asked twice."""
        for tune_id in self._leases:
            if tune_id in self._trials:
                self._kill(self._trials[tune_id])
        for lease in (*self._leases.values(), *(_Lease(*new) for new in self._new)):
            held = lease.held(self._clock.now_s(), self._devices)
            self._engine.tell(lost(lease.start.order, held, REASON, Outcome.STOPPED))
        self._leases.clear()
        self._new.clear()
        self._engine.stop(REASON)
        self.over = True

    def _tell(self, measurement: Measurement) -> None:
        self._engine.tell(measurement)
        self._show()

    def _forget(self, tune_id: str) -> None:
        ours = self._ours.get(tune_id)
        if ours is not None and self._tune_ids.get(ours) == tune_id:
            del self._tune_ids[ours]

    # -- a broken driver must not look like a finished study --------------------------------------

    def guarded(self, hook: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        """What ``hook`` answers; what breaks in it is remembered and ends the experiment."""
        try:
            with self._interrupt.held_back():
                return hook(*arguments)
        except BaseException as failure:
            self._failure = self._failure or failure
            self.over = True
            raise

    def raise_if_broken(self) -> None:
        """Raise what broke inside a hook."""
        if self._failure is not None:
            raise self._failure


_STARTABLE = (TuneTrial.PENDING, TuneTrial.PAUSED)
