"""Who is repeated over seeds and scored on report cells, and in which order.

Round i gives the control and every finalist the seed ``study seed + i``: differences to the control
are then paired by seed. The first round's training stages exist already (the search ran them), so
it costs report evaluations only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.trial import Recipe, Role, Trial


@dataclass(frozen=True, slots=True)
class Final:
    """The next repetition.

    Attributes:
        recipe: a finalist's, with this round's seed.
        finalist: the searched trial it repeats.
        rung: the one where the finalist scored best.
        with_cost_of: (recipe, rung) pairs that must be affordable together: a control without its
            finalist would answer nothing.
    """

    recipe: Recipe
    finalist: str
    rung: int
    with_cost_of: tuple[tuple[Recipe, int], ...]


def finalists(state: StudyState, n: int) -> tuple[Trial, ...]:
    """The ``n`` sampled trials with the best scores, each at the rung where it scored best.

    A rung is how long a mix is trained, which is part of the question: a short stage that beats a
    long one is the better recipe, and the cheaper.
    """
    scored = [t for t in state.searched if t.trained_scores and t.role is Role.SEARCH]
    return tuple(sorted(scored, key=lambda t: (-t.best_score, t.name))[:n])


def next_final(spec: StudySpec, state: StudyState) -> Final | None:
    """The next repetition that nobody has begun, or None when all seeds are done."""
    control = state.control
    if control is None or not control.scores:
        return None
    best = finalists(state, spec.final.finalists)
    begun = {(t.finalist, t.recipe.seed, t.rung) for t in state.finals}
    for offset in range(spec.final.max_seeds if best else 1):
        seed = spec.seed + offset
        for trial in (control, *best):
            if (trial.name, seed, trial.best_rung) not in begun:
                partners = (trial, best[0]) if trial is control and best else (trial,)
                return Final(
                    replace(trial.recipe, seed=seed),
                    trial.name,
                    trial.best_rung,
                    tuple((replace(p.recipe, seed=seed), p.best_rung) for p in partners),
                )
    return None
