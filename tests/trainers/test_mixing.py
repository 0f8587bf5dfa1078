"""How often each task is drawn."""

import math
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from trainers.mixing import Rule, draw_rates, task_at, with_text_share

RULES = get_args(Rule)
sizes_strategy = st.lists(st.integers(1, 10**7), min_size=1, max_size=10)
temperatures = st.floats(1.0, 100.0)
rules = st.sampled_from(RULES)


def test_a_cap_makes_large_tasks_count_alike():
    capped = (1 / 9, 4 / 9, 4 / 9)
    assert draw_rates([100, 400, 1_000_000], cap=400, temperature=1.0) == capped
    assert draw_rates([100, 400, 1_000_000], rule="capped", cap=400, temperature=3.0) == capped


def test_a_temperature_of_two_takes_square_roots():
    assert draw_rates([100, 900], cap=0, temperature=2.0) == pytest.approx((0.25, 0.75))


def test_every_rule_has_its_own_rates():
    sizes = (100, 300, 1600)
    found = {rule: draw_rates(sizes, rule=rule, cap=400, temperature=2.0) for rule in RULES}
    assert found == {
        "temperature": pytest.approx((10 / 47.32051, 17.32051 / 47.32051, 20 / 47.32051)),
        "capped": (1 / 8, 3 / 8, 4 / 8),
        "proportional": (0.05, 0.15, 0.8),
        "uniform": (1 / 3, 1 / 3, 1 / 3),
        "weights": (0.05, 0.15, 0.8),
    }


@pytest.mark.parametrize("rule", RULES)
def test_no_task_has_no_rates(rule):
    assert draw_rates([], rule=rule) == ()


@given(sizes_strategy, rules, st.integers(0, 10**6), temperatures)
def test_rates_sum_to_one_and_a_larger_task_is_never_drawn_less(sizes, rule, cap, temperature):
    rates = draw_rates(sizes, rule=rule, cap=cap, temperature=temperature)
    assert math.isclose(sum(rates), 1.0)
    assert all(rate > 0 for rate in rates)
    by_size = [rate for _, rate in sorted(zip(sizes, rates, strict=True))]
    assert by_size == sorted(by_size)


@given(sizes_strategy, rules, st.integers(0, 10**6), temperatures, st.randoms())
def test_the_order_of_tasks_decides_nothing(sizes, rule, cap, temperature, rng):
    order = list(range(len(sizes)))
    rng.shuffle(order)
    rates = draw_rates(sizes, rule=rule, cap=cap, temperature=temperature)
    moved = draw_rates([sizes[i] for i in order], rule=rule, cap=cap, temperature=temperature)
    assert moved == pytest.approx([rates[i] for i in order])


@given(sizes_strategy, temperatures, st.floats(0.0, 50.0))
def test_a_higher_temperature_is_never_less_even(sizes, temperature, more):
    cool = draw_rates(sizes, cap=0, temperature=temperature)
    warm = draw_rates(sizes, cap=0, temperature=temperature + more)
    assert max(warm) <= max(cool) + 1e-12
    assert min(warm) >= min(cool) - 1e-12


@given(sizes_strategy, st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_lower_cap_is_never_less_even(sizes, cap, more):
    low = draw_rates(sizes, rule="capped", cap=cap)
    high = draw_rates(sizes, rule="capped", cap=cap + more)
    assert max(low) <= max(high) + 1e-12
    assert min(low) >= min(high) - 1e-12


@given(sizes_strategy, st.integers(0, 10**6))
def test_uniform_is_the_limit_of_a_rising_temperature(sizes, cap):
    limit = draw_rates(sizes, cap=cap, temperature=1e9)
    assert draw_rates(sizes, rule="uniform", cap=cap) == pytest.approx(limit, rel=1e-6)


@given(sizes_strategy, temperatures)
def test_proportional_is_a_temperature_of_one_without_a_cap(sizes, temperature):
    proportional = draw_rates(sizes, rule="proportional", cap=3, temperature=temperature)
    assert proportional == draw_rates(sizes, rule="temperature", cap=0, temperature=1.0)
    assert proportional == draw_rates(sizes, rule="capped", cap=max(sizes))


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9), st.floats(1e-3, 1e3))
def test_weights_are_relative(weights, factor):
    once = draw_rates(weights, rule="weights")
    assert draw_rates([w * factor for w in weights], rule="weights") == pytest.approx(once)


@pytest.mark.parametrize(
    ("sizes", "cap", "temperature"),
    [([3, 0], 0, 1.0), ([3, math.inf], 0, 1.0), ([3], -1, 1.0), ([3], 0, 0.5), ([3], 0, math.nan)],
)
@pytest.mark.parametrize("rule", RULES)
def test_what_has_no_meaning_is_refused(sizes, cap, temperature, rule):
    with pytest.raises(ValueError):
        draw_rates(sizes, rule=rule, cap=cap, temperature=temperature)


def test_masked_text_gets_its_share_and_the_others_divide_the_rest():
    rates = draw_rates([100, 300, 9_600], rule="proportional")
    assert with_text_share(rates, [False, False, True], 0.2) == pytest.approx((0.2, 0.6, 0.2))


@given(st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), max_size=9), st.floats(0, 0.99))
def test_a_share_of_text_moves_no_rate_within_text_or_within_the_others(tasks, share):
    sizes, is_text = [size for size, _ in tasks], [masked for _, masked in tasks]
    rates = draw_rates(sizes, rule="proportional")
    shared = with_text_share(rates, is_text, share)
    if not share or len(set(is_text)) < 2:
        assert shared == rates
        return
    assert math.isclose(math.fsum(shared), 1)
    assert math.isclose(math.fsum(r for r, masked in zip(shared, is_text, strict=True) if masked), share)
    for kind in (True, False):
        ratios = [
            new / old for new, old, masked in zip(shared, rates, is_text, strict=True) if masked is kind
        ]
        assert max(ratios) == pytest.approx(min(ratios))


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(ValueError, match="share of masked text"):
        with_text_share((0.5, 0.5), (True, False), share)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_the_tasks_of_many_steps_fit_the_formula(rule, seed):
    rates = draw_rates((120, 700, 2_500, 40_000), rule=rule, cap=8_000, temperature=2.0)
    rates = with_text_share(rates, (False, False, False, True), 0.25)
    n_steps = 20_000
    counts = Counter(task_at(step, rates, seed=seed) for step in range(n_steps))
    expected = [n_steps * rate for rate in rates]
    statistic = sum((counts[k] - e) ** 2 / e for k, e in enumerate(expected))
    # Seeded: one number for ever. A bound that a fair draw passes in 999 of 1,000.
    assert statistic < chi2.ppf(0.999, df=len(rates) - 1)


def test_the_bound_would_notice_rates_that_are_a_tenth_off():
    rates, n_steps = (0.5, 0.3, 0.2), 20_000
    counts = Counter(task_at(step, (0.45, 0.33, 0.22), seed=1) for step in range(n_steps))
    statistic = sum((counts[k] - n_steps * r) ** 2 / (n_steps * r) for k, r in enumerate(rates))
    assert statistic > chi2.ppf(0.999, df=2)


def test_a_task_with_rate_zero_is_never_drawn():
    assert {task_at(step, (0.0, 1.0, 0.0), seed=1) for step in range(500)} == {1}


def test_the_draw_depends_on_seed_and_step_alone():
    first = [task_at(step, (0.5, 0.5), seed=1) for step in range(64)]
    assert first == [task_at(step, (0.5, 0.5), seed=1) for step in range(64)]
    assert first != [task_at(step, (0.5, 0.5), seed=2) for step in range(64)]
