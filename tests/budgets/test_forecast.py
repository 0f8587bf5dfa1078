"""The forecast is never zero, never below what it expects, and learns."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.forecast import Forecast, Work

keys = st.sampled_from(["train", "evaluate", "load"])
works = st.builds(Work, keys, st.integers(0, 10**9), st.integers(1, 10**9))
bills = st.lists(st.tuples(works, st.integers(0, 10**9).map(DeviceTime)), max_size=12)


def taught(bills):
    forecast = Forecast()
    for work, actual in bills:
        forecast.learn(work, actual)
    return forecast


@given(bills, works)
def test_the_bound_is_above_what_is_expected_and_neither_is_zero(bills, work):
    estimate = taught(bills).estimate(work)
    assert estimate.expected.ms >= 1
    assert estimate.upper.ms >= estimate.expected.ms + 1500
    assert estimate.upper >= estimate.expected.scaled(1.25)


@given(bills, works, st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_work_never_costs_less(bills, work, more_units, more_ms):
    forecast = taught(bills)
    small = forecast.estimate(work)
    large = forecast.estimate(Work(work.key, work.n_units + more_units, work.prior_ms + more_ms))
    assert large.expected >= small.expected
    assert large.upper >= small.upper


@given(st.floats(0.01, 100), st.integers(10_000, 10**7), st.integers(1, 9))
def test_learning_one_ratio_again_and_again_converges(ratio, prior_ms, others):
    forecast = Forecast()
    for number in range(others):
        forecast.learn(Work(f"other-{number}", 1, 1000), DeviceTime(1000))
    work = Work("train", 100, prior_ms)
    actual = DeviceTime.busy(wall_s=ratio * prior_ms / 1000)
    errors = []
    for _ in range(60):
        forecast.learn(work, actual)
        errors.append(abs(forecast.estimate(work).expected.ms / actual.ms - 1))
    assert errors[-1] < 0.05
    assert errors[-1] <= errors[0] + 0.01
    last = forecast.estimate(work)
    assert last.upper.ms <= max(1.35 * last.expected.ms, last.expected.ms + 1501)


def test_with_nothing_learned_the_guess_is_expected_and_the_bound_is_two_and_a_half_times_it():
    estimate = Forecast().estimate(Work("train", 10, 60_000))
    assert (estimate.expected.ms, estimate.upper.ms) == (60_000, 150_000)


def test_short_work_gets_a_second_and_a_half_on_top():
    estimate = Forecast().estimate(Work("merge", 1, 10))
    assert (estimate.expected.ms, estimate.upper.ms) == (10, 1510)


def test_a_new_key_profits_from_what_the_device_did_to_the_others():
    forecast = taught([(Work(key, 5, 1000), DeviceTime(3000)) for key in ("a", "b", "c")])
    assert forecast.estimate(Work("d", 5, 10_000)).expected.ms == pytest.approx(30_000, abs=1)


def test_fixed_and_per_unit_costs_are_told_apart_whatever_the_guess_was():
    forecast = Forecast()
    for n_units in (1000, 2000, 4000, 8000):
        forecast.learn(Work("train", n_units, 1), DeviceTime(5000 + 3 * n_units))
    assert forecast.estimate(Work("train", 16_000, 1)).expected.ms == pytest.approx(53_000, abs=1)


def test_one_wild_bill_moves_the_bound_more_than_the_expectation():
    forecast = taught([(Work("train", 10, 10_000), DeviceTime(10_000))] * 8)
    calm = forecast.estimate(Work("train", 10, 10_000))
    forecast.learn(Work("train", 10, 10_000), DeviceTime(100_000))
    wild = forecast.estimate(Work("train", 10, 10_000))
    assert wild.expected == calm.expected
    assert wild.upper.ms >= 100_000


def test_the_bound_holds_nineteen_times_in_twenty_for_noisy_work():
    chance = random.Random(13)
    forecast = Forecast()
    held = 0
    for _ in range(400):
        n_units = chance.randint(1000, 50_000)
        work = Work("train", n_units, 2 * n_units)
        actual = DeviceTime(int((8000 + 5 * n_units) * chance.lognormvariate(0, 0.3)))
        held += actual <= forecast.estimate(work).upper
        forecast.learn(work, actual)
    assert held >= 380


def test_a_machine_that_slowed_down_is_noticed():
    work = Work("train", 10, 10_000)
    forecast = taught([(work, DeviceTime(10_000))] * 500 + [(work, DeviceTime(20_000))] * 64)
    assert forecast.estimate(work).expected.ms == pytest.approx(20_000, rel=0.02)


def test_an_estimate_is_quick_even_with_many_keys():
    forecast = taught([(Work(f"k{n % 300}", n, 1 + n), DeviceTime(5 * n)) for n in range(6000)])
    start_s = time.perf_counter()
    for number in range(300):
        forecast.estimate(Work(f"k{number}", 5, 5))
    assert (time.perf_counter() - start_s) / 300 < 0.01


@pytest.mark.parametrize(("n_units", "prior_ms"), [(-1, 5), (5, 0)])
def test_work_of_negative_size_or_without_a_guess_is_refused(n_units, prior_ms):
    with pytest.raises(ValueError, match="needs n_units >= 0 and prior_ms >= 1"):
        Work("train", n_units, prior_ms)
