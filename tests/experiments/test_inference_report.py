"""Inference in the report: contrasts in percent over seeds, and tables of what models take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.inference import Timings
from experiments.stats import contrast_intervals, equivalence_p
from scheduler.answered import Answered
from scheduler.mix import Mix
from scheduler.trial import Recipe, Role, Trial


def row(name, seed, ms, *, task="xnli", folded=False, fact="plain_p50_ms"):
    trial = Trial(f"f{seed}", Recipe(Mix(("mnli",)), seed, "m"), Role.FINAL, name)
    return Answered(trial, f"{name}{seed}{task}{folded}", task, folded, {fact: ms}, {}, "cpu")


def timed(rows, *, folded=True):
    return Timings(rows, folded=folded, seed=1)


@given(st.floats(0.1, 10), st.lists(st.floats(0.5, 200), min_size=2, max_size=5))
def test_models_that_take_so_many_times_as_long_differ_by_that_percentage(factor, latencies):
    rows = [row("slow", seed, factor * ms) for seed, ms in enumerate(latencies)]
    rows += [row("quick", seed, ms) for seed, ms in enumerate(latencies)]
    found = timed(rows).contrast("plain_p50_ms", {"slow": 1.0, "quick": -1.0})
    assert found.observed[0] == pytest.approx(100 * (factor - 1), abs=1e-6)
    assert found.n_seeds == len(latencies)


def test_an_interval_over_seeds_covers_no_difference_95_times_in_100():
    draws, covered = np.random.default_rng(2), 0
    for _ in range(200):
        rows = [
            row(name, seed, float(np.exp(draws.normal(1, 0.1)))) for name in "ab" for seed in range(3)
        ]
        found = timed(rows).contrast("plain_p50_ms", {"a": 1.0, "b": -1.0})
        (interval,) = contrast_intervals(found)
        covered += interval.low <= 0 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_equal_figures_differ_by_exactly_nothing_and_are_equivalent():
    rows = [row(name, seed, 1e9 / 3, fact="model_bytes") for name in "ab" for seed in range(2)]
    found = timed(rows).contrast("model_bytes", {"a": 1.0, "b": -1.0})
    (interval,) = contrast_intervals(found)
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)
    assert interval.p_value == 1
    assert equivalence_p(found.drawn[:, 0], 1.0) < 0.05


def test_the_form_that_the_spec_names_first_is_the_one_compared():
    rows = [
        row("a", seed, ms, folded=folded) for seed in (1, 2) for folded, ms in ((True, 1), (False, 4))
    ]
    rows += [row("b", seed, 2.0) for seed in (1, 2)]
    for folded, percent in ((True, -50), (False, 100)):
        found = timed(rows, folded=folded).contrast("plain_p50_ms", {"a": 1.0, "b": -1.0})
        assert found.observed[0] == pytest.approx(percent)


def test_only_tasks_that_all_were_asked_count():
    rows = [row(name, seed, 3.0) for name in "ab" for seed in (1, 2)]
    rows += [row("a", seed, 900.0, task="panx") for seed in (1, 2)]
    found = timed(rows).contrast("plain_p50_ms", {"a": 1.0, "b": -1.0})
    assert found.observed[0] == 0


def test_what_was_not_measured_often_enough_is_said():
    rows = [row("a", 1, 3.0), row("b", 1, 3.0)]
    assert "1 common seed; an interval needs two" in timed(rows).contrast(
        "plain_p50_ms", {"a": 1.0, "b": -1.0}
    )
    assert timed(rows).contrast("memory_bytes", {"a": 1.0}) == "a was not asked for memory_bytes"
    apart = [row("a", 1, 3.0), row("b", 1, 3.0, task="panx")]
    assert timed(apart).contrast("plain_p50_ms", {"a": 1.0, "b": -1.0}) == (
        "no task was asked for plain_p50_ms in all of a, b"
    )
