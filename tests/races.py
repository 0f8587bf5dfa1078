"""Finals of made-up finalists, decided by the code that decides real ones, on a budget of their own."""

from __future__ import annotations

import numpy as np
from fakes import small_tree

from scheduler.facts import TrialMoved, TrialProposed
from scheduler.finals import next_finals
from scheduler.mix import Mix
from scheduler.state import StudyState
from scheduler.trial import Recipe, Role, TrialState

CONTROL = "t0000"
MAX_SEEDS = 60
COSTS = (1.0, 2.0)  # of a repetition of the control, and of a finalist


def spec_with(n_finalists, seeds="race", max_seeds=MAX_SEEDS):
    """A spec with these finals."""
    spec = small_tree().spec
    update = {"finalists": n_finalists, "max_seeds": max_seeds, "seeds": seeds}
    return spec.model_copy(update={"final": spec.final.model_copy(update=update)})


def after_search(n_finalists):
    """A study whose search has just ended, each finalist a hair above the next."""
    state = StudyState()
    for i in range(n_finalists + 1):
        mix = Mix.of(("toy_reading",), 1000 + 100 * i, 1.0) if i else Mix()
        role = Role.SEARCH if i else Role.CONTROL
        name = f"t{i:04d}"
        state.apply(TrialProposed(name, Recipe(mix, 13, "toy-tiny"), role, None, "random"))
        state.apply(TrialMoved(name, TrialState.RUNNING, 0))
        state.apply(TrialMoved(name, TrialState.DONE, 0, 50 - 0.001 * i))
    return state


def begin(state, finalist, seed):
    """One more repetition, running; its name."""
    name = f"f{len(state.finals):04d}"
    recipe = Recipe(state.trials[finalist].recipe.mix, seed, "toy-tiny")
    state.apply(TrialProposed(name, recipe, Role.FINAL, finalist, "final"))
    state.apply(TrialMoved(name, TrialState.RUNNING, 0))
    return name


def score(state, finalist, *scores):
    """Repetitions with the seeds from 13 on, finished."""
    for seed, value in enumerate(scores, start=13):
        state.apply(TrialMoved(begin(state, finalist, seed), TrialState.DONE, 0, value))


def draws(means, rng, *, seed_sd=0.7, sd=1.0):
    """Scores of arms with these true means, shape (seeds, arms); a seed moves all arms alike."""
    common = rng.normal(0, seed_sd, (MAX_SEEDS, 1))
    return 50 + np.array(means) + common + rng.normal(0, sd, (MAX_SEEDS, len(means)))


def raced(scores, budget, seeds="race"):
    """Score by arm and seed once nothing more fits in ``budget``, and what is left of it.

    Args:
        scores: that repetitions would have, shape (seeds, arms), the control's first.
        budget: in the unit of COSTS.
        seeds: the rule.
    """
    n_finalists = scores.shape[1] - 1
    spec, state = spec_with(n_finalists, seeds), after_search(n_finalists)

    def cost(recipe):
        return COSTS[recipe.mix.count > 0]

    while True:
        found = next_finals(spec, state)
        fits = (f for f in found if sum(cost(recipe) for recipe, _ in f.with_cost_of) <= budget)
        final = next(fits, None)
        if final is None:
            break
        budget -= cost(final.recipe)
        arm, seed = final.finalist, final.recipe.seed
        value = scores[seed - spec.seed, int(arm[1:])]
        state.apply(TrialMoved(begin(state, arm, seed), TrialState.DONE, 0, value))
    by_arm = {}
    for trial in state.finals:
        by_arm.setdefault(trial.finalist, {})[trial.recipe.seed] = trial.best_score
    return by_arm, budget
