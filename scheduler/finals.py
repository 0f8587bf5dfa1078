"""Who is repeated over seeds and scored on report cells, and who gets the next seed.

A repetition with ``study seed + i`` exists for the control first, then for finalists: differences to
the control are then paired by seed. The first seed's training stages exist already (the search ran
them), so it costs report evaluations only.

Every finalist gets the first two seeds, without which no spread is known. Then each further seed goes
to the comparisons that decide the answer: control, leader and challenger (``scheduler/race.py``). A
finalist that is surely below the leader gets no more; one that is neither gets a seed when nothing else
fits in what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scheduler.race import Race, race
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.trial import Recipe, Role, Trial

Repetitions = dict[str, dict[int, Trial]]  # arm -> seed -> its final
_FIRST = 2  # seeds of every finalist, whatever they are worth


@dataclass(frozen=True, slots=True)
class Final:
    """A repetition that may be begun.

    Attributes:
        recipe: a finalist's, with a seed.
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


def standing(spec: StudySpec, state: StudyState) -> Race:
    """Where the finalists stand by the repetitions that are scored."""
    control = state.control
    if control is None:
        return Race(())
    return _standing(_repeated(state, (control, *finalists(state, spec.final.finalists))), control)


def next_finals(spec: StudySpec, state: StudyState) -> Iterator[Final]:
    """The repetitions that may be begun now, the most telling first; none when nothing is left.

    A later one is for when those before it do not fit in what is left of the cap.
    """
    control = state.control
    if control is None or not control.trained_scores:
        return
    best = finalists(state, spec.final.finalists)
    seeds = range(spec.seed, spec.seed + (spec.final.max_seeds if best else 1))
    n_first = _FIRST if spec.final.seeds == "race" else spec.final.max_seeds
    begun = _repeated(state, (control, *best))
    paired = {seed for seed, t in begun[control.name].items() if t.scores or not t.over}
    missing = {trial.name: sorted(paired - begun[trial.name].keys()) for trial in best}
    unpaired = [seed for seed in seeds if seed not in begun[control.name]]
    for seed in seeds[:n_first]:
        if seed in unpaired:
            yield _final(control, seed, *best[:1])
        yield from (_final(trial, seed) for trial in best if seed in missing[trial.name])
    by_name = {trial.name: trial for trial in best}
    order = [by_name[name] for name in _standing(begun, control).order]
    first, rest = order[:2], order[2:]
    yield from (_final(t, missing[t.name][0]) for t in first if missing[t.name])
    yield from (_final(control, seed, *first[:1]) for seed in unpaired[:1])
    yield from (_final(t, missing[t.name][0]) for t in rest if missing[t.name])


def out_early(spec: StudySpec, state: StudyState) -> tuple[str, ...]:
    """Finalists that were surely below the best before they had every seed of the control."""
    control = state.control
    if control is None:
        return ()
    begun = _repeated(state, (control, *finalists(state, spec.final.finalists)))
    race, n_seeds = _standing(begun, control), len(begun[control.name])
    return tuple(arm for arm in race.arms if race.out(arm) and len(begun[arm]) < n_seeds)


def _standing(begun: Repetitions, control: Trial) -> Race:
    scores = {
        arm: {seed: t.best_score for seed, t in by_seed.items() if t.scores}
        for arm, by_seed in begun.items()
    }
    return race(scores, control.name)


def _repeated(state: StudyState, arms: tuple[Trial, ...]) -> Repetitions:
    """The finals of these arms, each at the rung where the arm is best."""
    begun: dict[str, dict[int, Trial]] = {arm.name: {} for arm in arms}
    rungs = {arm.name: arm.best_rung for arm in arms if arm.trained_scores}
    for t in state.finals:
        if t.finalist is not None and rungs.get(t.finalist) == t.rung:
            begun[t.finalist][t.recipe.seed] = t
    return begun


def _final(arm: Trial, seed: int, *partners: Trial) -> Final:
    """``arm`` with ``seed``, if ``partners`` are affordable with it."""
    paths = tuple((replace(t.recipe, seed=seed), t.best_rung) for t in (arm, *partners))
    return Final(paths[0][0], arm.name, arm.best_rung, paths)
