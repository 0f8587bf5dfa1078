"""One process, one device: every lease is timed from outside, and the first pays for the start."""

from __future__ import annotations

import pytest
from fakes import Bench, HandClock, begun, engine_on, small_tree

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.drivers.inline import drive_inline
from scheduler.facts import StageEnded
from scheduler.interrupt import REASON, Interrupt
from scheduler.moves import Start
from trainers.order import Measurement, Outcome
from trainers.stage import stage_name

AMPLE = DeviceTime.from_hours(2)


class TimedBench:
    """A bench on a clock: a stage takes its bill's time and a quarter of a second more."""

    def __init__(self, tree, clock):
        self.bench, self.clock, self.orders = Bench(tree), clock, []

    def run(self, order, hurried):
        self.orders.append(order)
        measurement = self.bench.run(order)
        self.clock.forward(measurement.bill.total.ms / 1000 + 0.25)
        return measurement


def driven(devices=1):
    tree, clock, shown = small_tree("halving", 3), HandClock(), []
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    runner = TimedBench(tree, clock)
    reason = drive_inline(
        engine, runner, clock, lambda: shown.append(1), interrupt=Interrupt(), devices=devices
    )
    bills = [f.measurement.bill.to_json() for f in journal.facts if isinstance(f, StageEnded)]
    return reason, account.balance, bills, runner, shown


def test_a_study_is_driven_to_its_end_and_shown_at_every_move():
    reason, balance, bills, runner, shown = driven()
    assert reason.startswith("nothing left to try")
    assert balance.holds == {}
    assert len(shown) == 2 * len(runner.orders) + 1
    assert len(bills) == len(runner.orders)


def test_the_first_lease_counts_its_start_as_load_and_every_other_its_rest_as_idle():
    _, _, bills, _, _ = driven()
    assert "idle" not in bills[0]
    assert bills[0]["load"] > 250
    assert all(abs(bill["idle"] - 250) <= 1 for bill in bills[1:])


def test_all_the_time_that_passed_is_charged():
    _, balance, _, runner, _ = driven()
    assert balance.spent.ms == pytest.approx(1000 * runner.clock.now_s(), abs=len(runner.orders))


def test_a_lease_of_two_devices_costs_both_and_its_worker_sees_wall_time():
    _, one, _, runner, _ = driven()
    _, two, _, runner_of_two, _ = driven(devices=2)
    assert two.spent.ms > 1.9 * one.spent.ms
    assert runner_of_two.orders[0].limit.ms == runner.orders[0].limit.ms // 2


def test_an_engine_that_waits_for_a_lease_that_nobody_runs_is_an_error_not_a_loop():
    tree, clock = small_tree("halving", 3), HandClock()
    engine, _ = engine_on(begun(tree, AMPLE), tree)
    engine.ask()
    with pytest.raises(RuntimeError, match="nothing runs, and still the engine says Wait"):
        drive_inline(engine, TimedBench(tree, clock), clock, lambda: None, interrupt=Interrupt())


class StoppedBench(TimedBench):
    """A bench that the user stops at its third stage, once or twice."""

    def __init__(self, tree, clock, interrupt, *, times):
        super().__init__(tree, clock)
        self.interrupt, self.times = interrupt, times

    def run(self, order, hurried):
        if len(self.orders) == 2:
            self.clock.forward(4.0)
            for _ in range(self.times):
                self.interrupt._on_signal(2, None)
            assert hurried()
            self.orders.append(order)
            bill = Bill({Purpose.TRAIN: DeviceTime(4_000)})
            return Measurement(order.hold, stage_name(order.stage), Outcome.STOPPED, bill)
        return super().run(order, hurried)


def stopped(times):
    tree, clock, interrupt = small_tree("halving", 3), HandClock(), Interrupt()
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    runner = StoppedBench(tree, clock, interrupt, times=times)
    return (
        tree,
        journal,
        engine,
        account,
        lambda: drive_inline(engine, runner, clock, lambda: None, interrupt=interrupt),
    )


def test_stopped_once_the_running_stage_is_saved_and_the_study_goes_on_later():
    tree, journal, engine, account, drive = stopped(times=1)
    assert drive() == REASON
    assert account.balance.holds == {}
    assert engine.state.stopped
    again, _ = engine_on(journal, tree)
    clock = HandClock()
    reason = drive_inline(again, TimedBench(tree, clock), clock, lambda: None, interrupt=Interrupt())
    assert reason.startswith("nothing left to try")
    assert not again.state.stopped


def test_stopped_twice_the_running_stage_is_charged_for_what_it_held_and_no_more():
    tree, journal, _, account, drive = stopped(times=2)
    with pytest.raises(KeyboardInterrupt):
        drive()
    assert account.balance.holds == {}
    last = [f for f in journal.facts if isinstance(f, StageEnded)][-1].measurement
    assert (last.outcome, last.bill.to_json()) == (Outcome.STOPPED, {"lost": 4_000})
    again, _ = engine_on(journal, tree)
    assert isinstance(again.ask(), Start)


class LostDevice(TimedBench):
    """The third stage's device fails under it."""

    def run(self, order, hurried):
        if len(self.orders) < 2:
            return super().run(order, hurried)
        self.orders.append(order)
        bill = Bill({Purpose.TRAIN: DeviceTime(1000)})
        lost = "the device cuda failed under the stage."
        return Measurement(
            order.hold, stage_name(order.stage), Outcome.FAILED, bill, error=lost, worn=lost
        )


def test_a_process_whose_device_is_gone_runs_no_further_stage_and_the_study_can_go_on():
    tree, clock = small_tree("halving", 3), HandClock()
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    runner = LostDevice(tree, clock)
    reason = drive_inline(engine, runner, clock, lambda: None, interrupt=Interrupt())
    assert len(runner.orders) == 3
    assert reason == "the device cuda failed under the stage. Run the same command again."
    assert engine.state.stopped
    assert account.balance.holds == {}
    again, _ = engine_on(journal, tree)
    found = again.ask()
    assert isinstance(found, Start)
    assert (found.order.stage, found.order.attempt) == (runner.orders[2].stage, 2)
