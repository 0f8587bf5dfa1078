"""Intervals that keep their promise, and say what they cannot know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.answer import functionals
from experiments.bootstrap import CellSample, resample
from experiments.ranks import kendall_tau
from experiments.stats import (
    contrast,
    contrast_intervals,
    difference_intervals,
    equivalence_p,
    holm,
    score_intervals,
    seed_stretch,
)
from trainers.tasks.spec import Metric


def study(rng, *, gain, n_seeds, n_examples, seed_sd, n_cells=3, arms=("control", "mix")):
    """Correct or not per example: examples are of unequal difficulty and shared by the arms."""
    runs = [(arm, seed) for arm in arms for seed in range(n_seeds)]
    cells = []
    shift = np.array([gain * (arm == "mix") + rng.normal(0, seed_sd) for arm, _ in runs])
    for index in range(n_cells):
        ease = rng.uniform(0.1, 0.8, size=n_examples)
        chance = np.clip(ease[None] + shift[:, None], 0, 1)
        threshold = rng.uniform(size=n_examples)[None] * 0.7 + 0.3 * rng.uniform(size=chance.shape)
        correct = (threshold < chance).astype(float)
        cells.append(CellSample("task", f"l{index}", Metric.ACCURACY, correct[..., None]))
    return cells, runs


def mean_of(cells):
    return np.full((1, len(cells)), 1 / len(cells))


@pytest.mark.parametrize(("n_seeds", "seed_sd"), [(4, 0.03), (3, 0.0)])
def test_ninety_five_percent_intervals_cover_about_that_often(n_seeds, seed_sd):
    rng = np.random.default_rng(5)
    covered = 0
    n_studies = 160
    for number in range(n_studies):
        cells, runs = study(rng, gain=0.0, n_seeds=n_seeds, n_examples=80, seed_sd=seed_sd)
        replicates = resample(cells, runs, seed=number, n_replicates=300)
        (difference,) = difference_intervals(replicates, "mix", "control", mean_of(cells))
        covered += difference.low <= 0.0 <= difference.high
    assert 0.90 <= covered / n_studies <= 1.0


def ranked(rng, n_runs, n_examples):
    """Average precision: mostly 0, else one over a rank; the truth is its mean over all examples."""
    found = rng.uniform(size=n_examples) < 0.45
    ranks = 1 + rng.poisson(2.0, size=(n_runs, n_examples))
    return np.where(found, 1 / ranks, 0.0)[..., None]


def mined(rng, n_runs, n_examples):
    """Pairs found among sentences of which few have a partner."""
    gold = np.broadcast_to(rng.uniform(size=n_examples) < 0.15, (n_runs, n_examples))
    predicted = rng.uniform(size=gold.shape) < np.where(gold, 0.7, 0.05)
    right = predicted & gold & (rng.uniform(size=gold.shape) < 0.9)
    return np.stack([right, predicted, gold], axis=-1).astype(float)


@pytest.mark.parametrize(
    ("metric", "draw", "n_examples"), [(Metric.MAP_AT_20, ranked, 60), (Metric.MINING_F1, mined, 250)]
)
def test_intervals_of_retrieval_metrics_cover_the_truth_about_that_often(metric, draw, n_examples):
    rng = np.random.default_rng(8)
    sums_of_many = draw(rng, 1, 400_000).sum(axis=1)
    truth = CellSample("task", "l0", metric, np.zeros((1, 1, 1))).value(sums_of_many, 400_000).item()
    runs = [(arm, seed) for arm in ("control", "mix") for seed in range(3)]
    n_studies, scores_covered, differences_covered = 160, 0, 0
    for number in range(n_studies):
        cells = [CellSample("task", f"l{i}", metric, draw(rng, 6, n_examples)) for i in range(3)]
        replicates = resample(cells, runs, seed=number, n_replicates=300)
        (score,) = score_intervals(replicates, "mix", mean_of(cells))
        (difference,) = difference_intervals(replicates, "mix", "control", mean_of(cells))
        scores_covered += score.low <= truth <= score.high
        differences_covered += difference.low <= 0.0 <= difference.high
    assert 0.90 <= scores_covered / n_studies <= 1.0
    assert 0.90 <= differences_covered / n_studies <= 1.0


def translated(rng, *, known, n_cells=6, n_examples=80):
    """Cells that are translations of one another: what is hard in one language is hard in all."""
    ease = rng.uniform(0.0, 1.0, size=n_examples)
    names = tuple(f"row-{number}" for number in range(n_examples)) if known else ()
    return [
        CellSample(
            "xnli",
            f"l{index}",
            Metric.ACCURACY,
            (rng.normal(ease, 0.1, size=(1, n_examples)) > 0.5).astype(float)[..., None],
            names,
        )
        for index in range(n_cells)
    ]


def test_translations_are_drawn_together_so_that_their_mean_is_covered():
    covered = {True: 0, False: 0}
    n_studies = 150
    for known in covered:
        rng = np.random.default_rng(9)
        for number in range(n_studies):
            cells = translated(rng, known=known)
            replicates = resample(cells, [("mix", 0)], seed=number, n_replicates=300)
            (score,) = score_intervals(replicates, "mix", mean_of(cells))
            covered[known] += score.low <= 50.0 <= score.high
    assert covered[True] / n_studies >= 0.90
    assert covered[False] / n_studies < 0.75


def test_cells_drawn_together_have_the_values_of_the_same_draws():
    sums = (np.random.default_rng(1).uniform(size=(2, 30, 1)) < 0.5).astype(float)
    names = tuple("abcdefghijklmnopqrstuvwxyzABCD")
    cells = [CellSample("xnli", language, Metric.ACCURACY, sums, names) for language in ("sw", "th")]
    other = CellSample("pawsx", "sw", Metric.ACCURACY, sums, names)
    drawn = resample([cells[0], other, cells[1]], [("mix", 0), ("mix", 1)], seed=3).drawn
    assert np.array_equal(drawn[..., 0], drawn[..., 2])
    assert not np.array_equal(drawn[..., 0], drawn[..., 1])


def test_a_true_gain_is_found_and_its_interval_excludes_zero():
    cells, runs = study(np.random.default_rng(1), gain=0.15, n_seeds=4, n_examples=300, seed_sd=0.005)
    replicates = resample(cells, runs, seed=1)
    (difference,) = difference_intervals(replicates, "mix", "control", mean_of(cells))
    assert difference.excludes_zero
    assert difference.p_value < 0.01
    assert difference.low < difference.value < difference.high


def test_pairing_by_example_makes_the_interval_shorter():
    cells, runs = study(np.random.default_rng(2), gain=0.05, n_seeds=4, n_examples=150, seed_sd=0.0)
    replicates = resample(cells, runs, seed=2)
    (paired,) = difference_intervals(replicates, "mix", "control", mean_of(cells))
    control_rows = replicates.rows_of("control")
    shuffled = replicates.drawn.copy()
    shuffled[:, control_rows] = shuffled[::-1, control_rows]
    unpaired_draws = replace(replicates, drawn=shuffled)
    (unpaired,) = difference_intervals(unpaired_draws, "mix", "control", mean_of(cells))
    assert paired.value == unpaired.value
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    cells, runs = study(np.random.default_rng(3), gain=0.05, n_seeds=3, n_examples=50, seed_sd=0.01)
    first, again, other = (
        difference_intervals(resample(cells, runs, seed=s), "mix", "control", mean_of(cells))
        for s in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_arms_with_different_seeds_can_still_be_compared():
    cells, runs = study(np.random.default_rng(4), gain=0.1, n_seeds=3, n_examples=60, seed_sd=0.01)
    keep = [0, 1, 3, 4, 5]
    cells = [replace(c, sums=c.sums[keep]) for c in cells]
    replicates = resample(cells, [runs[i] for i in keep], seed=0)
    (difference,) = difference_intervals(replicates, "mix", "control", mean_of(cells))
    assert difference.n_seeds == 2
    assert difference.low < difference.value < difference.high


def test_one_seed_covers_examples_alone():
    cells, runs = study(np.random.default_rng(6), gain=0.1, n_seeds=1, n_examples=60, seed_sd=0.0)
    (score,) = score_intervals(resample(cells, runs, seed=0), "mix", mean_of(cells))
    assert score.n_seeds == 1
    assert score.low < score.value < score.high
    assert seed_stretch(1) == 0.0


def test_one_example_gives_an_interval_of_no_length():
    cells, runs = study(np.random.default_rng(6), gain=0.0, n_seeds=1, n_examples=1, seed_sd=0.0)
    (score,) = score_intervals(resample(cells, runs, seed=0), "mix", mean_of(cells))
    assert score.low == score.value == score.high


def test_a_cell_without_examples_is_refused_by_name():
    empty = CellSample("xnli", "sw", Metric.ACCURACY, np.zeros((2, 0, 1)))
    with pytest.raises(ValueError, match="xnli/sw has no example"):
        resample([empty], [("control", 0), ("mix", 0)], seed=0)


def test_fewer_seeds_are_stretched_more():
    assert seed_stretch(2) > seed_stretch(3) > seed_stretch(4) > seed_stretch(40) > 1.0


@given(st.dictionaries(st.text("abcdef", min_size=1), st.floats(0, 1), min_size=1))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    adjusted = holm(p_values)
    assert all(p_values[name] <= adjusted[name] <= 1.0 for name in p_values)
    by_p = sorted(p_values, key=lambda name: (p_values[name], name))
    assert [adjusted[name] for name in by_p] == sorted(adjusted.values())


def test_holm_on_the_textbook_case():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def brute_tau_b(first, second):
    pairs = [(i, j) for i in range(len(first)) for j in range(i)]
    a = [np.sign(first[i] - first[j]) for i, j in pairs]
    b = [np.sign(second[i] - second[j]) for i, j in pairs]
    return np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))


def test_tau_agrees_with_counting_pairs_ties_included():
    first = np.array([1.0, 2.0, 2.0, 4.0, 5.0, 3.0])
    second = np.array([1.0, 3.0, 2.0, 4.0, 4.0, 6.0])
    tau = kendall_tau(first, second, seed=0)
    assert tau.value == pytest.approx(brute_tau_b(first, second))
    assert -1 <= tau.low <= tau.value <= tau.high <= 1


def test_tau_is_not_claimed_from_four_trials_or_equal_scores():
    assert kendall_tau(np.arange(4.0), np.arange(4.0), seed=0) is None
    assert kendall_tau(np.arange(5.0), np.arange(5.0), seed=0).value == 1.0
    assert kendall_tau(np.ones(5), np.arange(5.0), seed=0) is None


def test_every_retrieval_metric_is_left_out_of_the_score_without_retrieval():
    metrics = (Metric.ACCURACY, Metric.ACCURACY_AT_1, Metric.MAP_AT_20, Metric.MINING_F1)
    cells = [CellSample(f"t{i}", "sw", metric, np.zeros((1, 3, 1))) for i, metric in enumerate(metrics)]
    named = functionals(cells, {cell.task: "retrieval" for cell in cells})
    assert named["score"].tolist() == [0.25] * 4
    assert named["without retrieval"].tolist() == [1, 0, 0, 0]


def test_the_weights_of_every_mean_add_up_to_one_over_its_own_cells():
    cells = [
        CellSample(task, language, Metric.ACCURACY, np.zeros((1, 3, 1)))
        for task, languages in {"a": ("sw", "te"), "b": ("sw",), "c": ("te",)}.items()
        for language in languages
    ]
    named = functionals(cells, {"a": "pair", "b": "pair", "c": "qa"})
    assert named["group pair"].tolist() == [0.25, 0.25, 0.5, 0.0]
    assert named["cell a/te"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert all(weights.sum() == pytest.approx(1) for weights in named.values())


def test_an_interval_of_a_score_ends_where_the_scale_of_points_does():
    runs = [("mix", seed) for seed in range(3)]
    nearly_none = np.zeros((3, 40, 1))
    nearly_none[0, :4] = 1.0
    nearly_all = 1.0 - nearly_none
    for correct, value, edge in ((nearly_none, 10 / 3, "low"), (nearly_all, 100 - 10 / 3, "high")):
        cells = [CellSample("task", "sw", Metric.ACCURACY, correct)]
        (score,) = score_intervals(resample(cells, runs, seed=0), "mix", mean_of(cells))
        assert score.value == pytest.approx(value)
        assert getattr(score, edge) == (0.0 if edge == "low" else 100.0)


def test_the_contrast_of_two_gains_is_paired_on_examples_and_seeds():
    rng = np.random.default_rng(3)
    cells, runs = study(
        rng, gain=0.1, n_seeds=4, n_examples=150, seed_sd=0.03, arms=("control", "mix", "base", "other")
    )
    replicates = resample(cells, runs, seed=2)
    whole = contrast(
        replicates, {"mix": 1.0, "control": -1.0, "other": -1.0, "base": 1.0}, mean_of(cells)
    )
    gains = [
        difference_intervals(replicates, *pair, mean_of(cells))[0].value
        for pair in (("mix", "control"), ("other", "base"))
    ]
    (interval,) = contrast_intervals(whole)
    assert interval.value == pytest.approx(gains[0] - gains[1])
    assert interval.low < interval.value < interval.high


def test_recipes_without_a_common_seed_are_drawn_apart():
    cells, runs = study(np.random.default_rng(4), gain=0.0, n_seeds=3, n_examples=60, seed_sd=0.02)
    apart = [(arm, seed + 10 * (arm == "mix")) for arm, seed in runs]
    replicates = resample(cells, apart, seed=1)
    found = contrast(replicates, {"mix": 1.0, "control": -1.0}, mean_of(cells))
    assert found.n_seeds == 3
    assert found.drawn.std() > 0


@given(st.floats(0.1, 3.0), st.floats(-3.0, 3.0))
def test_a_difference_is_equivalent_just_where_its_interval_of_90_percent_lies_within(margin, shift):
    draws = np.random.default_rng(0).normal(shift, 0.5, size=1000)
    low, high = np.sort(draws)[[49, 950]]
    inside = -margin < low and high < margin
    assert (equivalence_p(draws, margin) <= 0.05) == inside


def test_equal_recipes_are_seldom_called_equivalent_when_they_differ_by_the_margin():
    rng = np.random.default_rng(6)
    many, runs = study(rng, gain=0.06, n_seeds=1, n_examples=100_000, seed_sd=0.0)
    truth = 100 * float(np.mean([cell.sums[1].mean() - cell.sums[0].mean() for cell in many]))
    called = 0
    for number in range(150):
        cells, runs = study(rng, gain=0.06, n_seeds=4, n_examples=80, seed_sd=0.02)
        replicates = resample(cells, runs, seed=number, n_replicates=300)
        found = contrast(replicates, {"mix": 1.0, "control": -1.0}, mean_of(cells))
        called += equivalence_p(found.drawn[:, 0], truth) <= 0.05
    assert called / 150 <= 0.1
