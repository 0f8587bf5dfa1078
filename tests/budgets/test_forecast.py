"""The forecast is never zero, never below what it expects, and learns."""

from __future__ import annotations

import random
import time
from statistics import mean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.forecast import Forecast, Work, _quantile, _quantile_of_all

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
    for _ in range(100):
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


def calm(chance):
    return chance.lognormvariate(0, 0.3)


def heavy(chance):
    """One stage in twenty is three times slower."""
    return chance.lognormvariate(0, 0.1) * (3 if chance.random() < 0.05 else 1)


def played(noise, seed, *, keys, before=0, n=400):
    """Whether each stage after ``before`` stayed under its bound, and bound over expectation."""
    chance = random.Random(seed)
    forecast = Forecast()
    rates = [chance.uniform(0.3, 1.2) for _ in range(keys)]  # the guess is on the slow side
    held, widths = [], []
    for number in range(before + n):
        key = chance.randrange(keys)
        n_units = chance.choice([20_000, 60_000])
        ms = 400 + rates[key] * n_units
        work = Work(f"kind-{key % 3}/{key}", n_units, 400 + n_units)
        actual, load = DeviceTime(int(ms * noise(chance)) + 90), DeviceTime(chance.randint(0, 90))
        if number >= before:
            estimate = forecast.estimate(work)
            held.append(actual <= estimate.upper)
            widths.append(estimate.upper.ms / estimate.expected.ms)
        forecast.learn(work, actual, load)
    return held, widths


@pytest.mark.parametrize("keys", [1, 12])
@pytest.mark.parametrize(("noise", "widest"), [(calm, 3.0), (heavy, 4.5)])
def test_the_bound_holds_ninety_nine_times_in_a_hundred_from_the_first_stage_on(noise, widest, keys):
    runs = [played(noise, seed, keys=keys) for seed in range(12)]
    assert mean(one for held, _ in runs for one in held) >= 0.99
    assert median(one for _, widths in runs for one in widths) <= widest


@pytest.mark.parametrize("noise", [calm, heavy])
def test_after_a_hundred_bills_the_bound_is_the_quantile_of_what_was_seen(noise):
    runs = [played(noise, seed, keys=12, before=200, n=150) for seed in range(12)]
    assert 0.99 <= mean(one for held, _ in runs for one in held) < 1


def test_a_stage_that_only_had_much_to_load_does_not_widen_the_bound_of_longer_ones():
    bills = [(Work("train", 10, 10_000), DeviceTime(10_100), DeviceTime(100))] * 120
    cold = (Work("train", 10, 10_000), DeviceTime(25_000), DeviceTime(15_000))
    forecast = Forecast()
    for work, actual, load in (*bills, cold):
        forecast.learn(work, actual, load)
    ten_times = forecast.estimate(Work("train", 10, 100_000))
    assert ten_times.expected.ms == pytest.approx(100_100, rel=0.01)
    assert ten_times.upper.ms <= 1.3 * 100_000 + 15_000


def test_what_was_never_seen_goes_by_its_nearest_relative():
    forecast = Forecast()
    for key, ratio in (("target/pair/a/base", 2), ("target/tokens/b/base", 5), ("evaluate/pair/a", 9)):
        for _ in range(3):
            forecast.learn(Work(key, 5, 1000), DeviceTime(1000 * ratio))
    expected = {
        key: forecast.estimate(Work(key, 5, 1000)).expected.ms
        for key in ("target/pair/a/large", "target/pair/c/base", "target/spans/d/base", "pretrain/base")
    }
    assert expected == {
        "target/pair/a/large": 2000,
        "target/pair/c/base": 2000,
        "target/spans/d/base": 3500,
        "pretrain/base": 5000,
    }


@given(bills, works, st.integers(0, 10**6))
def test_what_is_learned_before_and_after_an_estimate_counts_alike(bills, work, more_ms):
    asked, unasked = taught(bills), taught(bills)
    asked.estimate(work)
    for forecast in (asked, unasked):
        forecast.learn(work, DeviceTime(more_ms), DeviceTime(more_ms // 3))
    assert asked.estimate(work) == unasked.estimate(work)


def test_a_machine_that_slowed_down_is_noticed():
    work = Work("train", 10, 10_000)
    forecast = taught([(work, DeviceTime(10_000))] * 500 + [(work, DeviceTime(20_000))] * 64)
    assert forecast.estimate(work).expected.ms == pytest.approx(20_000, rel=0.02)


def test_an_estimate_is_quick_even_with_many_keys():
    forecast = taught([(Work(f"k{n % 300}", n, 1 + n), DeviceTime(5 * n)) for n in range(6000)])
    start_s = time.process_time()
    for number in range(300):
        forecast.estimate(Work(f"k{number}", 5, 5))
    assert (time.process_time() - start_s) / 300 < 0.01


@pytest.mark.parametrize(("n_units", "prior_ms"), [(-1, 5), (5, 0)])
def test_work_of_negative_size_or_without_a_guess_is_refused(n_units, prior_ms):
    with pytest.raises(ValueError, match="needs n_units >= 0 and prior_ms >= 1"):
        Work("train", n_units, prior_ms)


def test_what_is_done_once_is_expected_until_somebody_has_done_it():
    bare, work = Work("train", 10, 10_000), Work("train", 10, 10_000, (("a", 700), ("b", 300)))
    forecast = Forecast()
    plain, first = forecast.estimate(bare), forecast.estimate(work)
    assert first.expected.ms == plain.expected.ms + 1_000
    assert (first.once.ms, first.load.ms) == (1_000, plain.load.ms + 1_000)
    assert first.upper.ms >= plain.upper.ms + 2_500
    other = Work("other", 10, 10_000, (("b", 300), ("c", 50)))
    assert forecast.once([work, work, other]).ms == 1_050
    forecast.have(other)
    assert forecast.estimate(work).once.ms == 700
    forecast.learn(work, DeviceTime(11_000), DeviceTime(900))
    again = forecast.estimate(work)
    assert (again.once.ms, again.load.ms) == (0, 200)
    assert abs(again.expected.ms - 10_300) <= 1


def test_a_load_too_short_to_have_done_it_is_learned_whole():
    work = Work("train", 10, 10_000, (("a", 60_000),))
    forecast = Forecast()
    forecast.learn(work, DeviceTime(10_400), DeviceTime(400))
    assert forecast.estimate(work).load.ms == 400


@given(st.lists(st.lists(st.floats(0, 10), max_size=300), max_size=6))
def test_the_quantile_of_all_errors_is_that_of_all_in_one_list(errors):
    ordered = [sorted(one) for one in errors]
    together = sorted(error for one in errors for error in one)
    assert _quantile_of_all(ordered, len(together)) == _quantile(together)
