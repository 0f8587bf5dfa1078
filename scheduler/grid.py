"""Everything once: the agenda of a study that a table is recorded from (``search.policy: grid``).

Every mix of the space with every seed climbs to the top in every arm and is scored on search cells at
each rung, from the merged one where there is one; then each is scored on report cells at each rung that
trains. Seed by seed, so that a cap which ends early leaves whole seeds behind. No score decides
anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from budgets.amount import DeviceTime
from scheduler.agenda import Beginning, Ending, proposed, unjudged
from scheduler.arms import control_order
from scheduler.mix import Mix
from scheduler.money import Purse
from scheduler.space import MixSpace
from scheduler.state import StudyState
from scheduler.tree import StageTree
from scheduler.trial import MERGED, Recipe, Role, TrialState


class Point(NamedTuple):
    """One trial of the grid: a final is judged at one rung, the others at every rung on their way."""

    recipe: Recipe
    role: Role
    rung: int


class GridAgenda:
    """What a recording begins next. Books nothing."""

    def __init__(self, tree: StageTree, space: MixSpace, state: StudyState, purse: Purse) -> None:
        self._lowest = MERGED if tree.has_merged else 0
        self._top = tree.n_rungs - 1
        self._state = state
        self._purse = purse
        self._points = tuple(points(tree, space))

    def next(self, *, search_climbs: bool, fresh: bool) -> Beginning:
        """The facts that set one more trial climbing; none when nothing can begin now."""
        del search_climbs
        if unjudged(self._state):
            return ()
        point = self._next_point()
        if point is None or not self._pays(point, fresh=fresh):
            return ()
        finalist, rung = None, point.rung
        if point.role is Role.FINAL:
            finalist = self._searched(point.recipe)
        elif point.recipe.mix.count:
            rung = self._lowest
        return proposed(self._state, point.recipe, point.role, "grid", finalist=finalist, rung=rung)

    def _next_point(self) -> Point | None:
        """The first point that no trial stands for and whose search, for a final, is over."""
        begun = {(t.recipe, t.role, _rung(t.role, t.rung)) for t in self._state.trials.values()}
        left = (p for p in self._points if (p.recipe, p.role, _rung(p.role, p.rung)) not in begun)
        return next((p for p in left if p.role is not Role.FINAL or self._judged(p)), None)

    def _judged(self, point: Point) -> bool:
        name = self._searched(point.recipe)
        return name is not None and point.rung in self._state.trials[name].scores

    def _searched(self, recipe: Recipe) -> str | None:
        return next((t.name for t in self._state.searched if t.recipe == recipe), None)

    def _pays(self, point: Point, *, fresh: bool) -> bool:
        if point.role is Role.FINAL:
            return self._purse.pays_finals([(point.recipe, point.rung)], fresh=fresh)
        rungs = (self._top, MERGED) if self._lowest == MERGED else (self._top,)
        return self._purse.pays_search([(point.recipe, rung) for rung in rungs], fresh=fresh)

    def why_over(self, spent: DeviceTime, cap: DeviceTime) -> Ending:
        """Why nothing can begin any more."""
        money = f"{spent} of {cap} spent"
        if self._next_point() is None:
            failed = sum(t.state is TrialState.FAILED for t in self._state.trials.values())
            missing = f", {failed} trials failed" if failed else ""
            return Ending(f"the grid of {len(self._points)} trials is recorded{missing}; {money}")
        refusal = self._purse.refusal or "nothing more is affordable"
        return Ending(f"cap reached: {refusal}; {money}", bool(self._purse.account))


def points(tree: StageTree, space: MixSpace) -> Iterator[Point]:
    """Every trial of the grid, in the order in which they are recorded."""
    spec = tree.spec
    mixes = [mix for mix in space.all_mixes() if mix.count]
    for seed in range(spec.seed, spec.seed + spec.final.max_seeds):
        controls = [Recipe.of(Mix(), seed, arm) for arm in control_order(spec)]
        for control in controls:
            yield Point(control, Role.CONTROL if seed == spec.seed else Role.SEARCH, 0)
        recipes = [replace(control, mix=mix) for mix in mixes for control in controls]
        for recipe in recipes:
            yield Point(recipe, Role.SEARCH, 0)
        for control in controls:
            yield Point(control, Role.FINAL, 0)
        for recipe in recipes:
            for rung in range(tree.n_rungs):
                yield Point(recipe, Role.FINAL, rung)


def _rung(role: Role, rung: int) -> int:
    """The rung that tells a final from another; one trial of the search stands for all of its rungs."""
    return rung if role is Role.FINAL else 0
