"""The interval of the answer stays honest where the scores decide who gets seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from races import CONTROL, MAX_SEEDS, draws, raced

from experiments.bootstrap import CellSample, resample
from experiments.stats import difference_intervals
from scheduler.race import race
from trainers.tasks.spec import Metric

N_EXAMPLES = 150


def answers(gains, rng, *, seed_sd=0.02):
    """Right or wrong by seed, arm and example: how hard an example is, is the same for all arms."""
    common = rng.normal(0, seed_sd, (MAX_SEEDS, 1, 1))
    own = rng.normal(0, seed_sd, (MAX_SEEDS, len(gains), 1))
    ease = rng.uniform(0.1, 0.8, N_EXAMPLES)
    chance = np.clip(ease + np.array(gains)[:, None] + common + own, 0, 1)
    shape = (MAX_SEEDS, len(gains), N_EXAMPLES)
    threshold = 0.7 * rng.uniform(size=N_EXAMPLES) + 0.3 * rng.uniform(size=shape)
    return (threshold < chance).astype(float)


@dataclass(frozen=True)
class Told:
    """What a study found out: of the named finalist its true gain, the interval, and what was left."""

    gain: float
    best: float
    low: float
    high: float
    left: float


def told(gains, budget, rule, number):
    """Run the finals of one study and compare the best finalist with the control as the report does."""
    rng = np.random.default_rng(number)
    correct = answers((0.0, *gains), rng)
    by_arm, left = raced(100 * correct.mean(axis=-1), budget, rule)
    best = race(by_arm, CONTROL).leader
    runs = [(arm, seed) for arm in (CONTROL, best) for seed in sorted(by_arm[arm])]
    rows = np.stack([correct[seed - 13, int(arm[1:])] for arm, seed in runs])
    cells = [CellSample("task", "sw", Metric.ACCURACY, rows[..., None])]
    drawn = resample(cells, runs, seed=number, n_replicates=300)
    (gain,) = difference_intervals(drawn, best, CONTROL, np.ones((1, 1)))
    return Told(gains[int(best[1:]) - 1], max(gains), gain.low, gain.high, left)


def coverage(gains, budget, rule, n_studies):
    """Share of studies without a real difference whose interval holds 0."""
    found = [told(gains, budget, rule, number) for number in range(n_studies)]
    return np.mean([one.low <= 0 <= one.high for one in found])


@pytest.mark.parametrize("rule", ["race", "equal"])
def test_without_a_real_difference_the_interval_holds_zero_about_95_times_in_100(rule):
    assert 0.90 <= coverage((0.0, 0.0), 26, rule, 150) <= 1.0


def test_a_race_names_as_good_a_finalist_and_is_surer_of_its_gain():
    width, lost = {}, {}
    for rule in ("race", "equal"):
        found = [
            told(np.random.default_rng([7, n]).normal(0.02, 0.02, 4), 55, rule, n) for n in range(80)
        ]
        width[rule] = np.mean([one.high - one.low for one in found])
        lost[rule] = np.mean([one.best - one.gain for one in found])
    assert width["race"] < 0.9 * width["equal"]
    assert lost["race"] <= lost["equal"] + 0.002


def lost_by_the_finals(n_finalists, budget, rule, number):
    """Points between the best of 20 mixes and the one that is named.

    True gains have sd 1, and the search sees each with an error of sd 0.7.
    """
    rng = np.random.default_rng([number, 1])
    true = rng.normal(0, 1, 20)
    top = np.argsort(-(true + rng.normal(0, 0.7, 20)))[:n_finalists]
    by_arm, _ = raced(draws((0.0, *true[top]), rng), budget, rule)
    best = race(by_arm, CONTROL).leader
    return true.max() - true[top[int(best[1:]) - 1]]


def test_among_four_finalists_a_race_finds_as_good_a_mix_as_equal_seeds():
    lost = {
        rule: np.mean([lost_by_the_finals(4, 46, rule, number) for number in range(80)])
        for rule in ("race", "equal")
    }
    assert 0 < lost["race"] <= lost["equal"]
