"""A lease is charged for being held: what the worker's meter could not see is added from outside."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.drivers.lease import billed, granted, lost
from trainers.order import Measurement, Order, Outcome

BILL = Bill({Purpose.LOAD: DeviceTime(100), Purpose.TRAIN: DeviceTime(900)})
ORDER = Order("h", None, 1, DeviceTime(10_000), DeviceTime(2_000))


def measured(bill=BILL):
    return Measurement("h", "s", Outcome.DONE, bill)


def test_the_rest_of_a_warm_lease_is_idle():
    bill = billed(measured(), held=DeviceTime(1250), devices=1, fresh=False).bill
    assert bill.to_json() == {"load": 100, "train": 900, "idle": 250}


def test_the_rest_of_a_fresh_workers_lease_is_load():
    bill = billed(measured(), held=DeviceTime(1250), devices=1, fresh=True).bill
    assert bill.to_json() == {"load": 350, "train": 900}


@given(
    wall_s=st.floats(0, 1000), devices=st.integers(1, 8), fresh=st.booleans(), ms=st.integers(0, 10**6)
)
def test_a_lease_costs_what_it_was_held_and_never_less_than_the_worker_saw(wall_s, devices, fresh, ms):
    seen = Bill({Purpose.TRAIN: DeviceTime(ms)})
    held = DeviceTime.busy(wall_s=wall_s, devices=devices)
    total = billed(measured(seen), held=held, devices=devices, fresh=fresh).bill.total
    assert total == max(held, DeviceTime(ms * devices))


def test_a_worker_sees_its_order_in_wall_time_less_what_has_passed():
    seen = granted(ORDER, devices=2, waited_s=1.5)
    assert (seen.limit, seen.grace) == (DeviceTime(3_500), DeviceTime(1_000))


def test_an_order_that_waited_too_long_has_no_time_left():
    assert granted(ORDER, devices=1, waited_s=60).limit == ZERO


def test_a_lost_lease_is_all_lost():
    measurement = lost(ORDER, DeviceTime(5_000), "the worker ended")
    assert measurement.outcome is Outcome.LOST
    assert measurement.bill.to_json() == {"lost": 5_000}
    assert measurement.error == "the worker ended"
