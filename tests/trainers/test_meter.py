"""Every millisecond of a lease has exactly one purpose."""

import math
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.bill import Purpose
from trainers.meter import Meter


class HandClock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time_s = 1000.0

    def now_s(self) -> float:
        return self.time_s


class _StopError(Exception):
    pass


def test_a_nested_block_takes_over_and_gives_back():
    clock = HandClock()
    meter = Meter(clock)
    clock.time_s += 1.0
    with meter.on(Purpose.TRAIN):
        clock.time_s += 2.0
        with meter.on(Purpose.EVALUATE):
            clock.time_s += 4.0
        clock.time_s += 8.0
    assert meter.bill().to_json() == {"train": 10_000, "evaluate": 4_000, "idle": 1_000}


def test_what_an_exception_leaves_is_billed_to_the_right_purposes():
    clock = HandClock()
    meter = Meter(clock)

    def train_until_a_save_fails():
        with meter.on(Purpose.TRAIN):
            clock.time_s += 1.0
            with meter.on(Purpose.SAVE):
                clock.time_s += 2.0
                raise _StopError

    with pytest.raises(_StopError):
        train_until_a_save_fails()
    clock.time_s += 4.0
    assert meter.bill().to_json() == {"train": 1_000, "save": 2_000, "idle": 4_000}


def test_a_bill_taken_inside_a_block_covers_the_lease_so_far():
    clock = HandClock()
    meter = Meter(clock, devices=8)
    with meter.on(Purpose.LOAD):
        clock.time_s += 0.5
        assert meter.bill().to_json() == {"load": 4_000}
        clock.time_s += 0.25
    assert meter.bill().to_json() == {"load": 6_000}


moves = st.recursive(
    st.integers(0, 5_000_000).map(lambda us: ("pass", us)),
    lambda inner: st.tuples(st.sampled_from(Purpose), st.booleans(), st.lists(inner, max_size=4)),
    max_leaves=25,
)


@settings(deadline=None)
@given(st.lists(moves, max_size=6), st.integers(1, 8))
def test_the_bill_sums_to_the_lease_and_no_purpose_is_off_by_more_than_rounding(story, devices):
    clock = HandClock()
    meter = Meter(clock, devices=devices)
    true_s = dict.fromkeys(Purpose, Fraction(0))
    switches = 0

    def play(move, purpose):
        nonlocal switches
        if move[0] == "pass":
            before = clock.time_s
            clock.time_s += move[1] / 1e6
            true_s[purpose] += Fraction(clock.time_s) - Fraction(before)
            return
        inner, fails, story_inside = move
        switches += 2
        with suppress(_StopError), meter.on(inner):
            for part in story_inside:
                play(part, inner)
            if fails:
                raise _StopError

    for part in story:
        play(part, Purpose.IDLE)
    bill = meter.bill()
    assert bill.total.ms == math.ceil((clock.time_s - 1000.0) * 1000 * devices)
    for purpose in Purpose:
        billed_ms = bill.amounts[purpose].ms if purpose in bill.amounts else 0
        assert abs(billed_ms - float(true_s[purpose]) * 1000 * devices) <= switches + 1
