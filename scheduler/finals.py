"""Who is repeated over seeds and scored on report cells, and who gets the next seed.

A repetition with ``study seed + i`` exists for the control first, then for finalists: differences to
the control are then paired by seed. The first seed's training stages exist already (the search ran
them), so it costs report evaluations only.

Every finalist gets the first two seeds, without which no spread is known. Then each further seed goes
to the comparisons that decide the answer: control, leader and challenger (``scheduler/race.py``). A
finalist that is surely below the leader gets no more; one that is neither gets a seed when nothing else
fits in what is left.

Of a study with several arms, one of which is to win, the finalists are the best of all, and the controls
those of their arms and the best control. Where arms are compared, each has finalists and a race of its
own, and the arm with the fewest repetitions comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from scheduler.race import Race, race
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.trial import Arm, Recipe, Role, Trial

Repetitions = dict[str, dict[int, Trial]]  # finalist or control -> seed -> its final
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


@dataclass(frozen=True, slots=True)
class Field:
    """Trials that run against one another in the finals.

    Attributes:
        controls: one for each arm that is in it.
        finalists: the best first.
    """

    controls: tuple[Trial, ...]
    finalists: tuple[Trial, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of them, the controls first."""
        return (*self.controls, *self.finalists)

    def control_of(self, trial: Trial) -> Trial:
        """The control of a trial's arm."""
        return next(one for one in self.controls if one.recipe.arm == trial.recipe.arm)

    def best_of(self, arm: Arm) -> tuple[Trial, ...]:
        """The best finalist of an arm, if it has one."""
        return tuple(one for one in self.finalists if one.recipe.arm == arm)[:1]


def finalists(state: StudyState, n: int, arm: Arm | None = None) -> tuple[Trial, ...]:
    """The ``n`` sampled trials with the best scores, each at the rung where it scored best.

    A rung is how long a mix is trained, which is part of the question: a short stage that beats a
    long one is the better recipe, and the cheaper.

    Args:
        state: of the study.
        n: at most so many.
        arm: whose; None for all arms.
    """
    scored = [t for t in state.searched if t.trained_scores and t.role is Role.SEARCH]
    scored = [t for t in scored if arm is None or t.recipe.arm == arm]
    return tuple(sorted(scored, key=lambda t: (-t.best_score, t.name))[:n])


def fields(spec: StudySpec, state: StudyState) -> tuple[Field, ...]:
    """Who runs against whom; of an arm whose control has no score, nobody."""
    judged = tuple(control for control in state.controls if control.trained_scores)
    n = spec.final.finalists
    if spec.search.design == "factorial":
        return tuple(Field((one,), finalists(state, n, one.recipe.arm)) for one in judged)
    arms = {control.recipe.arm for control in judged}
    best = tuple(t for t in finalists(state, n) if t.recipe.arm in arms)
    leading = max(judged, key=lambda control: control.best_score, default=None)
    wanted = {t.recipe.arm for t in best}
    controls = tuple(c for c in judged if c.recipe.arm in wanted or c is leading or not best)
    return (Field(controls, best),) if controls else ()


def standing(field: Field, state: StudyState) -> Race:
    """Where the finalists stand by the repetitions that are scored."""
    return _standing(_repeated(state, field.trials), field)


def next_finals(spec: StudySpec, state: StudyState) -> Iterator[Final]:
    """The repetitions that may be begun now, the most telling first; none when nothing is left.

    A later one is for when those before it do not fit in what is left of the cap.
    """
    repeated = Counter(trial.recipe.arm for trial in state.finals)
    in_turn = sorted(fields(spec, state), key=lambda one: repeated[one.controls[0].recipe.arm])
    for field in in_turn:
        yield from _next_of(field, spec, state)


def _next_of(field: Field, spec: StudySpec, state: StudyState) -> Iterator[Final]:
    best = field.finalists
    seeds = range(spec.seed, spec.seed + (spec.final.max_seeds if best else 1))
    n_first = _FIRST if spec.final.seeds == "race" else spec.final.max_seeds
    begun = _repeated(state, field.trials)
    missing = {trial.name: _missing(trial, field, begun) for trial in best}
    unpaired = {c.name: [s for s in seeds if s not in begun[c.name]] for c in field.controls}
    for seed in seeds[:n_first]:
        for control in field.controls:
            if seed in unpaired[control.name]:
                yield _final(control, seed, *field.best_of(control.recipe.arm))
        yield from (_final(trial, seed) for trial in best if seed in missing[trial.name])
    by_name = {trial.name: trial for trial in best}
    order = [by_name[name] for name in _standing(begun, field).order]
    first, rest = order[:2], order[2:]
    yield from (_final(t, missing[t.name][0]) for t in first if missing[t.name])
    partners = {field.control_of(t).name: t for t in reversed(first)}
    for control in field.controls:
        if control.name in partners:
            seeds_left = unpaired[control.name][:1]
            yield from (_final(control, seed, partners[control.name]) for seed in seeds_left)
    yield from (_final(t, missing[t.name][0]) for t in rest if missing[t.name])


def _missing(trial: Trial, field: Field, begun: Repetitions) -> list[int]:
    """Seeds that a finalist lacks beside the control of its arm."""
    control = begun[field.control_of(trial).name]
    paired = {seed for seed, t in control.items() if t.scores or not t.over}
    return sorted(paired - begun[trial.name].keys())


def out_early(spec: StudySpec, state: StudyState) -> tuple[str, ...]:
    """Finalists that were surely below the best before they had every seed of their control."""
    return tuple(name for field in fields(spec, state) for name in _out_early(field, state))


def _out_early(field: Field, state: StudyState) -> Iterator[str]:
    begun = _repeated(state, field.trials)
    race = _standing(begun, field)
    for trial in field.finalists:
        n_seeds = len(begun[field.control_of(trial).name])
        if race.out(trial.name) and len(begun[trial.name]) < n_seeds:
            yield trial.name


def _standing(begun: Repetitions, field: Field) -> Race:
    scores = {
        name: {seed: t.best_score for seed, t in by_seed.items() if t.scores}
        for name, by_seed in begun.items()
    }
    for trial in field.finalists:  # a seed that its own control lacks would pair with another arm's
        own = scores[field.control_of(trial).name]
        scores[trial.name] = {s: v for s, v in scores[trial.name].items() if s in own}
    return race(scores, *(control.name for control in field.controls))


def _repeated(state: StudyState, trials: tuple[Trial, ...]) -> Repetitions:
    """The finals of these trials, each at the rung where the trial is best."""
    begun: Repetitions = {trial.name: {} for trial in trials}
    rungs = {trial.name: trial.best_rung for trial in trials if trial.trained_scores}
    for t in state.finals:
        if t.finalist is not None and rungs.get(t.finalist) == t.rung:
            begun[t.finalist][t.recipe.seed] = t
    return begun


def _final(trial: Trial, seed: int, *partners: Trial) -> Final:
    """``trial`` with ``seed``, if ``partners`` are affordable with it."""
    paths = tuple((replace(t.recipe, seed=seed), t.best_rung) for t in (trial, *partners))
    return Final(paths[0][0], trial.name, trial.best_rung, paths)
