"""How often each task is drawn."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.mixing import draw_rates, task_at

sizes_strategy = st.lists(st.integers(1, 10**7), min_size=1, max_size=10)
temperatures = st.floats(1.0, 100.0)


def test_a_cap_makes_large_tasks_count_alike():
    assert draw_rates([100, 400, 1_000_000], cap=400, temperature=1.0) == (1 / 9, 4 / 9, 4 / 9)


def test_a_temperature_of_two_takes_square_roots():
    assert draw_rates([100, 900], cap=0, temperature=2.0) == pytest.approx((0.25, 0.75))


def test_no_task_has_no_rates():
    assert draw_rates([], cap=0, temperature=1.0) == ()


@given(sizes_strategy, st.integers(0, 10**6), temperatures)
def test_rates_sum_to_one_and_a_larger_task_is_never_drawn_less(sizes, cap, temperature):
    rates = draw_rates(sizes, cap=cap, temperature=temperature)
    assert math.isclose(sum(rates), 1.0)
    by_size = [rate for _, rate in sorted(zip(sizes, rates, strict=True))]
    assert by_size == sorted(by_size)


@given(sizes_strategy, temperatures, st.floats(0.0, 50.0))
def test_a_higher_temperature_is_never_less_even(sizes, temperature, more):
    cool = draw_rates(sizes, cap=0, temperature=temperature)
    warm = draw_rates(sizes, cap=0, temperature=temperature + more)
    assert max(warm) <= max(cool) + 1e-12
    assert min(warm) >= min(cool) - 1e-12


@pytest.mark.parametrize(
    ("sizes", "cap", "temperature"),
    [([3, 0], 0, 1.0), ([3], -1, 1.0), ([3], 0, 0.5), ([3], 0, math.nan)],
)
def test_what_has_no_meaning_is_refused(sizes, cap, temperature):
    with pytest.raises(ValueError):
        draw_rates(sizes, cap=cap, temperature=temperature)


def test_tasks_are_drawn_at_their_rates():
    rates = (0.5, 0.3, 0.2)
    counts = Counter(task_at(step, rates, seed=7) for step in range(5000))
    assert [counts[task] / 5000 for task in range(3)] == pytest.approx(rates, abs=0.03)


def test_a_task_with_rate_zero_is_never_drawn():
    assert {task_at(step, (0.0, 1.0, 0.0), seed=1) for step in range(500)} == {1}


def test_the_draw_depends_on_seed_and_step_alone():
    first = [task_at(step, (0.5, 0.5), seed=1) for step in range(64)]
    assert first == [task_at(step, (0.5, 0.5), seed=1) for step in range(64)]
    assert first != [task_at(step, (0.5, 0.5), seed=2) for step in range(64)]
