"""The response surface: intervals and best numbers of tasks against worlds whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from experiments.best_count import best_count, surface_json
from experiments.surface import surface
from scheduler.mix import Mix
from scheduler.observation import Observation
from scheduler.space import MixSpace
from tests.scheduler.worlds import Truth

TASKS = ("anli", "mnli", "qqp", "squad_v1", "hellaswag")
RUNGS = (1_000_000, 4_000_000)
SPACE = MixSpace(TASKS, (0, 5))
NOISE = 0.4


def looked_at(truth, seed, n_mixes=18):
    """Random mixes of a world at both rungs, and the control, as noisy as a study's."""
    draws = np.random.default_rng(seed)
    subsets = [s for k in range(1, 6) for s in combinations(TASKS, k)]
    chosen = random.Random(seed).sample(subsets, n_mixes)
    seen = [Observation(Mix(), 0, 0, truth.score(Mix()) + draws.normal(0, NOISE), 1.0, {}, 0, 0)]
    for subset in chosen:
        for rung, tokens in enumerate(RUNGS):
            score = truth.score(Mix(subset), rung - 1.0) + draws.normal(0, NOISE)
            seen.append(Observation(Mix(subset), rung, tokens, score, 1.0, {}, 0, 0))
    return seen


def worth(truth, k, z):
    """Scores of all mixes of k tasks over the control."""
    mixes = [Mix(subset) for subset in combinations(TASKS, k)]
    return [truth.score(mix, z) - truth.score(Mix()) for mix in mixes]


def test_intervals_cover_true_gains_and_credible_sets_the_true_best_number_of_tasks():
    gains, counts = [], []
    for seed in range(30):
        truth = Truth.of(TASKS, seed)
        for z, at in zip((-1.0, 0.0), surface(looked_at(truth, seed), SPACE, RUNGS, seed), strict=True):
            means = {k: float(np.mean(worth(truth, k, z))) for k in range(1, 6)}
            gains += [at.gain[k][1] <= means[k] <= at.gain[k][2] for k in means]
            best = {0: 0.0, **{k: max(worth(truth, k, z)) for k in range(1, 6)}}
            counts.append(max(best, key=best.get) in at.credible)
            assert sum(at.best.values()) == pytest.approx(1)
    assert 0.90 <= np.mean(gains) <= 1.0
    assert np.mean(counts) >= 0.90


def test_where_every_task_hurts_no_task_at_all_is_best():
    truth = Truth(TASKS, np.full(5, -2.0), np.zeros((5, 5)), np.full(5, 0.2))
    for at in surface(looked_at(truth, 3), SPACE, RUNGS, 1):
        assert at.best_count == 0
        assert all(high < 0 for _, _, high in at.gain.values())


def test_there_is_no_surface_without_a_mix_and_a_control():
    seen = looked_at(Truth.of(TASKS, 1), 1)
    assert surface(seen[:1], SPACE, RUNGS, 1) == ()
    assert surface(seen[1:], SPACE, RUNGS, 1) == ()
    assert "No mix" in best_count(()).instead


def test_the_figure_says_what_the_table_says():
    found = surface(looked_at(Truth.of(TASKS, 5), 5), SPACE, RUNGS, 1)
    told = surface_json(found)
    assert [row["best_k"] for row in told] == [at.best_count for at in found]
    assert f"{found[-1].best_count} at 4M tokens" in best_count(found).caption
    only = replace(found[0], best={0: 0.01, 1: 0.5, 2: 0.2, 3: 0.29})
    assert only.credible == (1, 2, 3)
