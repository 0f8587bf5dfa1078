"""Between the engine and Tune's hooks, without Ray: stand-ins for Tune's trials and a hand clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from fakes import Bench, HandClock, begun, engine_on, small_tree
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.errors import JournalError
from scheduler.adapters.ray_bridge import Bridge
from scheduler.adapters.ray_hooks import EngineScheduler, EngineSearcher, StopWhenOver
from scheduler.facts import StageEnded
from scheduler.interrupt import Interrupt
from scheduler.trial import TrialState
from trainers.order import Measurement, Outcome
from trainers.stage import stage_name

AMPLE = DeviceTime.from_hours(2)


@dataclass
class FakeTrial:
    """What the bridge needs of a Tune trial."""

    trial_id: str
    status: str = TuneTrial.PENDING
    error: str | None = None

    def get_error(self):
        return self.error


class Tune:
    """Tune's loop by hand: hooks in the order in which Tune calls them."""

    def __init__(self, tree, slots=1, devices=1, cap=AMPLE):
        self.journal = begun(tree, cap)
        self.engine, self.account = engine_on(self.journal, tree, slots)
        self.bench, self.clock = Bench(tree), HandClock()
        self.desk, self.killed, self.trials = {}, [], {}
        self.hurried, self.interrupt = [], Interrupt()
        self.bridge = Bridge(
            self.engine,
            slots=slots,
            devices=devices,
            leave=self.desk.__setitem__,
            kill=self.killed.append,
            hurry=lambda: self.hurried.append(1),
            show=lambda: None,
            interrupt=self.interrupt,
            clock=self.clock,
        )
        self.searcher, self.scheduler = EngineSearcher(self.bridge), EngineScheduler(self.bridge)

    def suggest(self):
        name = f"tune{len(self.trials)}"
        if self.searcher.suggest(name) == {}:
            self.trials[name] = FakeTrial(name)
            self.scheduler.on_trial_add(None, self.trials[name])
            return self.trials[name]
        return None

    def finish(self, trial, seconds, *, own_ms=1000, pid=1, outcome=Outcome.DONE, worn=""):
        """The trial's stage ends after ``seconds``, of which the worker saw ``own_ms``."""
        trial.status = TuneTrial.RUNNING
        order = self.desk.pop(trial.trial_id)
        self.clock.forward(seconds)
        scores = self.bench.run(order).scores if outcome is Outcome.DONE else ()
        bill = Bill({Purpose.TRAIN: DeviceTime(own_ms)})
        name = stage_name(order.stage)
        measurement = Measurement(order.hold, name, outcome, bill, scores, worn=worn)
        decision = self.scheduler.on_trial_result(None, trial, {"measurement": measurement, "pid": pid})
        trial.status = {"PAUSE": TuneTrial.PAUSED, "STOP": TuneTrial.TERMINATED}.get(
            decision, TuneTrial.RUNNING
        )
        return decision

    def bills(self):
        return [f.measurement.bill.to_json() for f in self.journal.facts if isinstance(f, StageEnded)]


@pytest.fixture
def tree():
    return small_tree("halving", 4)


def test_time_outside_a_fresh_worker_is_load_and_outside_a_warm_one_idle(tree):
    tune = Tune(tree)
    trial = tune.suggest()
    assert tune.finish(trial, 3.0) == TrialScheduler.CONTINUE
    assert tune.finish(trial, 1.25) == TrialScheduler.CONTINUE
    assert tune.bills() == [{"load": 2000, "train": 1000}, {"train": 1000, "idle": 250}]


def test_the_time_before_tune_makes_the_trial_belongs_to_the_lease(tree):
    tune = Tune(tree, slots=2)
    control = tune.suggest()
    while tune.engine.state.leases and len(tune.bridge._new) == 0:
        tune.finish(control, 1.0)
    tune.clock.forward(7.0)
    second = tune.suggest()
    tune.finish(second, 1.0, pid=2)
    assert tune.bills()[-1] == {"load": 7000, "train": 1000}


def test_every_device_of_a_lease_is_charged(tree):
    tune = Tune(tree, devices=2)
    tune.finish(tune.suggest(), 3.0)
    assert tune.bills() == [{"load": 4000, "train": 2000}]


def test_a_trial_goes_on_pauses_at_its_rung_and_stops_when_it_is_over(tree):
    tune = Tune(tree)
    control = tune.suggest()
    decisions = [tune.finish(control, 1.0)]
    while decisions[-1] == TrialScheduler.CONTINUE:
        decisions.append(tune.finish(control, 1.0))
    assert decisions[-1] == TrialScheduler.STOP
    assert tune.engine.state.trials["t0000"].state is TrialState.DONE
    searched = tune.suggest()
    while (decision := tune.finish(searched, 1.0)) == TrialScheduler.CONTINUE:
        pass
    assert decision == TrialScheduler.PAUSE
    assert tune.engine.state.trials["t0001"].state is TrialState.PAUSED


def test_a_promoted_trial_runs_again_under_the_tune_trial_it_had(tree):
    tune = Tune(tree)
    while True:
        trial = tune.scheduler.choose_trial_to_run(None) or tune.suggest()
        before = trial.status
        if before == TuneTrial.PAUSED:
            break
        while tune.finish(trial, 1.0) == TrialScheduler.CONTINUE:
            pass
    promoted = tune.bridge._ours[trial.trial_id]
    assert tune.engine.state.trials[promoted].rung == 1


def test_a_whole_study_through_the_hooks_ends_with_its_books_closed(tree):
    tune = Tune(tree, slots=2)
    stopper = StopWhenOver(tune.bridge)
    n_steps = 0
    while not stopper.stop_all():
        n_steps += 1
        assert n_steps < 1000
        trial = tune.scheduler.choose_trial_to_run(None) or tune.suggest()
        running = [t for t in tune.trials.values() if t.trial_id in tune.desk]
        if trial is None and not running:
            continue
        tune.finish(trial or running[0], 1.5, pid=n_steps % 2)
    assert tune.engine.state.ended.startswith("nothing left to try")
    assert tune.account.balance.holds == {}
    assert tune.searcher.suggest("late") == Searcher.FINISHED
    assert tune.scheduler.choose_trial_to_run(None) is None
    assert len(tune.engine.state.finals) == 6


def test_while_nothing_can_start_the_searcher_says_not_now(tree):
    tune = Tune(tree, slots=2)
    tune.suggest()
    assert tune.searcher.suggest("another") is None


def test_a_dead_worker_is_charged_as_lost_for_the_time_it_held(tree):
    tune = Tune(tree)
    trial = tune.suggest()
    hold = tune.desk[trial.trial_id].hold
    tune.clock.forward(4.5)
    trial.error = "Traceback\n  deep\nActorDiedError: killed"
    tune.scheduler.on_trial_error(None, trial)
    assert tune.bills() == [{"lost": 4500}]
    assert hold not in tune.account.balance.holds
    ended = [f.measurement for f in tune.journal.facts if isinstance(f, StageEnded)]
    assert ended[0].error == "ActorDiedError: killed"
    again = tune.suggest()
    assert again.trial_id != trial.trial_id
    assert tune.desk[again.trial_id].attempt == 2


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
def test_a_worn_worker_is_ended_between_two_orders_and_the_next_pays_for_its_start(tree, outcome):
    tune = Tune(tree)
    trial = tune.suggest()
    tune.finish(trial, 3.0)
    first = tune.desk[trial.trial_id].limit
    assert tune.finish(trial, 2.0, outcome=outcome, worn="the worker leaks") == TrialScheduler.CONTINUE
    assert tune.killed == [trial]
    assert trial.trial_id not in tune.desk  # nothing is left for a dead process
    tune.scheduler.on_trial_error(None, trial)  # Tune finds it dead
    assert tune.bills() == [{"load": 2000, "train": 1000}, {"train": 1000, "idle": 1000}]
    again = tune.suggest()
    assert again.trial_id != trial.trial_id
    assert tune.bridge._ours[again.trial_id] == "t0000"
    assert tune.desk[again.trial_id].limit > first or outcome is Outcome.DONE
    tune.finish(again, 4.0, pid=2)
    assert tune.bills()[-1] == {"load": 3000, "train": 1000}
    assert tune.engine.state.worn == ["the worker leaks"]


def test_a_whole_study_whose_workers_are_worn_after_every_third_stage_ends(tree):
    tune, n_stages, running = Tune(tree), 0, None
    while not StopWhenOver(tune.bridge).stop_all():
        assert n_stages < 1000
        trial = tune.scheduler.choose_trial_to_run(None) or running or tune.suggest()
        if trial is None:
            continue
        n_stages += 1
        worn = "the worker leaks" if n_stages % 3 == 0 else ""
        decision = tune.finish(trial, 1.5, pid=n_stages // 3, worn=worn)
        if worn:
            tune.scheduler.on_trial_error(None, trial)
            trial.status = TuneTrial.ERROR
        running = trial if decision == TrialScheduler.CONTINUE and not worn else None
    assert tune.engine.state.ended.startswith("nothing left to try")
    assert tune.account.balance.holds == {}
    assert len(tune.killed) == n_stages // 3 == len(tune.engine.state.worn)


def test_a_worker_that_dies_twice_over_is_charged_once(tree):
    tune = Tune(tree)
    trial = tune.suggest()
    tune.clock.forward(1.0)
    tune.scheduler.on_trial_error(None, trial)
    tune.scheduler.on_trial_error(None, trial)
    assert tune.bills() == [{"lost": 1000}]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_lease_is_charged_at_most_its_hold_however_late_the_driver_notices(tree, comes_back):
    tune = Tune(tree)
    trial = tune.suggest()
    limit = tune.desk[trial.trial_id].limit
    if comes_back:
        tune.finish(trial, limit.ms / 1000 + 60)
    else:
        tune.clock.forward(limit.ms / 1000 + 60)
        tune.scheduler.on_trial_error(None, trial)
    assert sum(tune.bills()[0].values()) == limit.ms


def test_a_second_ctrl_c_waits_until_a_move_is_written_down(tree, monkeypatch):
    tune = Tune(tree)
    append = tune.journal.append

    def interrupted(*facts):
        tune.interrupt._on_signal(2, None)
        append(*facts)

    monkeypatch.setattr(tune.journal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune.suggest()
    monkeypatch.undo()
    tune.bridge.abandon()
    assert tune.account.balance.holds == {}
    assert engine_on(tune.journal, tree)[0].recover() == ()


def test_a_lease_past_its_hold_is_killed_and_one_within_it_is_not(tree):
    tune = Tune(tree)
    trial = tune.suggest()
    limit_s = tune.desk[trial.trial_id].limit.ms / 1000
    tune.clock.forward(limit_s - 0.5)
    tune.scheduler.choose_trial_to_run(None)
    assert tune.killed == []
    tune.clock.forward(1.0)
    tune.scheduler.choose_trial_to_run(None)
    assert tune.killed == [trial]


def test_a_result_that_cannot_be_booked_ends_the_experiment_and_keeps_its_hold_open(tree, monkeypatch):
    tune = Tune(tree)
    trial = tune.suggest()
    hold = tune.desk[trial.trial_id].hold

    def full(*facts):
        raise JournalError("the disk is full")

    monkeypatch.setattr(tune.account, "book", full)
    with pytest.raises(JournalError):
        tune.finish(trial, 2.0)
    tune.scheduler.on_trial_error(None, trial)  # what Tune does with an error in a hook
    assert StopWhenOver(tune.bridge).stop_all()
    assert tune.searcher.suggest("another") == Searcher.FINISHED
    with pytest.raises(JournalError, match="the disk is full"):
        tune.bridge.raise_if_broken()
    assert tune.bills() == []
    again, account = engine_on(tune.journal, tree)
    assert again.recover() == (hold,)
    assert account.balance.holds == {}
    assert account.balance.spent > ZERO


def test_an_error_in_the_searcher_is_kept_for_the_driver_to_raise(tree, monkeypatch):
    tune = Tune(tree)

    def full(*facts):
        raise JournalError("the disk is full")

    monkeypatch.setattr(tune.account, "book", full)
    with pytest.raises(JournalError):
        tune.searcher.suggest("first")
    assert StopWhenOver(tune.bridge).stop_all()
    with pytest.raises(JournalError, match="the disk is full"):
        tune.bridge.raise_if_broken()


def test_what_tune_snapshots_of_searcher_scheduler_and_stopper_is_no_state(tree):
    tune = Tune(tree)
    for hook in (tune.searcher, tune.scheduler, StopWhenOver(tune.bridge)):
        assert hook.__getstate__() == {"state": "the journal is the state"}
    tune.bridge.raise_if_broken()


def test_ctrl_c_hurries_the_workers_once_starts_nothing_and_ends_when_all_are_back(tree):
    tune = Tune(tree, slots=1)
    trial = tune.suggest()
    trial.status = TuneTrial.RUNNING
    tune.interrupt._on_signal(2, None)
    tune.scheduler.choose_trial_to_run(None)
    tune.scheduler.choose_trial_to_run(None)
    assert tune.hurried == [1]
    assert not tune.bridge.over
    tune.finish(trial, 1.0, outcome=Outcome.STOPPED)
    assert tune.desk == {}
    tune.scheduler.choose_trial_to_run(None)
    assert tune.bridge.over
    assert tune.engine.state.stopped
    assert tune.account.balance.holds == {}


def test_ctrl_c_twice_kills_the_workers_and_charges_what_they_held(tree):
    tune = Tune(tree, slots=1)
    trial = tune.suggest()
    trial.status = TuneTrial.RUNNING
    tune.clock.forward(3.0)
    tune.bridge.abandon()
    assert tune.killed == [trial]
    assert tune.account.balance.holds == {}
    assert tune.account.balance.spent == DeviceTime(3_000)
    assert tune.engine.state.stopped
