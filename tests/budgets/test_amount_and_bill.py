"""Device time is exact, rounded only where it enters, and a bill has one purpose per millisecond."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.clock import MonotonicClock

amounts = st.integers(0, 10**15).map(DeviceTime)
bills = st.dictionaries(st.sampled_from(Purpose), amounts).map(Bill)


@given(st.floats(0, 10**6), st.integers(1, 1000))
def test_busy_time_is_never_undercharged_and_at_most_a_millisecond_over(wall_s, devices):
    busy = DeviceTime.busy(wall_s=wall_s, devices=devices)
    exact_ms = Fraction(wall_s) * 1000 * devices
    assert exact_ms * (1 - Fraction(1, 10**15)) <= busy.ms < exact_ms * (1 + Fraction(1, 10**15)) + 1


@given(st.floats(0, 10**6))
def test_a_cap_never_promises_more_than_was_granted(hours):
    cap = DeviceTime.from_hours(hours)
    assert cap.hours <= hours * (1 + 1e-15)
    assert DeviceTime(cap.ms + 1).hours >= hours * (1 - 1e-15)


@given(amounts, amounts)
def test_what_is_taken_away_comes_back_or_was_never_there(a, b):
    assert (a + b).less(b) == a
    assert a.less(b) + b == max(a, b)


@pytest.mark.parametrize("ms", [1.0, True, "1", None])
def test_only_whole_milliseconds_are_device_time(ms):
    with pytest.raises(TypeError, match="whole number of milliseconds"):
        DeviceTime(ms)


def test_device_time_is_never_negative():
    with pytest.raises(ValueError, match="cannot be negative, got -1 ms"):
        DeviceTime(-1)


@given(st.lists(bills, max_size=4))
def test_bills_add_up_purpose_by_purpose(many):
    whole = sum(many, Bill())
    assert whole.total == DeviceTime.total(bill.total for bill in many)
    for purpose, amount in whole.items():
        assert amount == DeviceTime.total(b.amounts.get(purpose, DeviceTime(0)) for b in many)


@given(bills)
def test_a_bill_in_json_says_the_same(bill):
    again = Bill.from_json(bill.to_json())
    assert list(again.items()) == list(bill.items())


def test_one_more_item_is_one_more_sum():
    bill = Bill({Purpose.TRAIN: DeviceTime(5)}).plus(Purpose.TRAIN, DeviceTime(2))
    assert bill.plus(Purpose.LOST, DeviceTime(1)).to_json() == {"train": 7, "lost": 1}


def test_the_clock_does_not_run_backwards():
    clock = MonotonicClock()
    readings_s = [clock.now_s() for _ in range(100)]
    assert readings_s == sorted(readings_s)
