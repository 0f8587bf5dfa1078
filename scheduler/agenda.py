"""What a study begins next, and why it is over when there is nothing.

In this order: the control; a trial that has earned its next rung; a new mix; a trial that waits, when
no new one can start; then, once no trial of the search climbs, finalists over seeds. Each only if its
part of the cap pays for all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from budgets.amount import DeviceTime
from scheduler.climb import Climb
from scheduler.facts import TrialMoved, TrialProposed
from scheduler.finals import finalists, next_finals, out_early
from scheduler.mix import Mix
from scheduler.money import Path, Purse
from scheduler.policies import Policy, Standing, Standings
from scheduler.prices import RungPrices
from scheduler.space import Sampler
from scheduler.state import StudyState
from scheduler.tree import StageTree
from scheduler.trial import MERGED, Recipe, Role, Trial, TrialState


class Ending(NamedTuple):
    """Why a study has nothing more to begin, and whether that may pass: others' holds do."""

    reason: str
    for_now: bool = False


Beginning = tuple[TrialProposed | TrialMoved, ...]


class Tried(Collection[Mix]):
    """Mixes that are trials already, and those that draw the same tasks at the same rates.

    Such a mix would run the same stages, at no cost and for no news, and a study could go on like
    that for thousands of trials.
    """

    def __init__(self, tree: StageTree) -> None:
        self._tree = tree
        self._mixes: set[Mix] = set()
        self._rates: set[tuple[tuple[str, float], ...]] = set()

    def add(self, mix: Mix) -> None:
        """Take in a mix that is a trial now."""
        if mix not in self._mixes:
            self._mixes.add(mix)
            self._rates.add(self._tree.rates(mix))

    def __contains__(self, mix: object) -> bool:
        return mix in self._mixes or (isinstance(mix, Mix) and self._tree.rates(mix) in self._rates)

    def __iter__(self) -> Iterator[Mix]:
        return iter(self._mixes)

    def __len__(self) -> int:
        return len(self._mixes)


class Agenda(Protocol):
    """What a study begins next, and why it is over when there is nothing. Books nothing."""

    def next(self, *, search_climbs: bool, fresh: bool) -> Beginning:
        """The facts that set one more trial climbing; none when nothing can begin now.

        Args:
            search_climbs: whether a trial still runs.
            fresh: whether the worker has yet to be started.
        """

    def why_over(self, spent: DeviceTime, cap: DeviceTime) -> Ending:
        """Why nothing can begin any more."""


class SearchAgenda:
    """The candidates for a free device, first things first."""

    def __init__(
        self,
        tree: StageTree,
        state: StudyState,
        *,
        climb: Climb,
        purse: Purse,
        policy: Policy,
        sampler: Sampler,
    ) -> None:
        self._tree = tree
        self._spec = tree.spec
        self._state = state
        self._climb = climb
        self._purse = purse
        self._policy = policy
        self._prices = RungPrices(tree, climb)
        self._sampler = sampler
        self._n_moves = 0  # that the two below know of
        self._standings = Standings()
        self._tried = Tried(tree)
        self._exhausted = False  # saves asking again; the sampler would say the same

    def next(self, *, search_climbs: bool, fresh: bool) -> Beginning:
        """As the protocol; the finals wait for the last of the search."""
        control = self._state.control
        if control is None:
            return proposed(self._state, self._recipe(Mix()), Role.CONTROL, "control")
        if unjudged(control):
            return ()  # without it no difference can be told: the rest of the cap is not spent
        if not self._state.finals_open:
            if beginning := self._next_of_search(fresh=fresh):
                return beginning
            if search_climbs:
                return ()
        return self._next_final(fresh=fresh)

    def _next_of_search(self, *, fresh: bool) -> Beginning:
        self._catch_up()
        earned = self._policy.promote(self._standings, self._prices)
        if promoted := self._promoted(earned, "promoted", fresh=fresh):
            return promoted
        if proposed := self._new(fresh=fresh):
            return proposed
        late = self._policy.promote_late(self._standings)
        return self._promoted(late, "promoted: no new trial could start", fresh=fresh)

    def _promoted(self, name: str | None, reason: str, *, fresh: bool) -> Beginning:
        if name is None:
            return ()
        trial = self._state.trials[name]
        path = (trial.recipe, trial.rung + 1)
        if not self._purse.pays_search([path], fresh=fresh):
            return ()
        return (TrialMoved(name, TrialState.RUNNING, path[1], None, reason),)

    def _new(self, *, fresh: bool) -> Beginning:
        if self._all_allowed() or self._exhausted:
            return ()
        start = self._policy.start(self._standings, self._prices)
        if not self._purse.pays_search([self._stand_in(max(start, 0))], fresh=fresh):
            return ()
        mix = self._proposed_mix()
        if mix is None:
            self._exhausted = True
            return ()
        recipe, origin, why = self._recipe(mix), self._spec.search.sampler, ""
        if start > (MERGED if self._tree.has_merged else 0):
            why = str(self._standings.trust(start - 1))
        elif start == MERGED and not self._pays_look(recipe, fresh=fresh):
            start, why = 0, self._purse.refusal
        reason = f"{origin}; begins at rung {start}: {why}" if why else origin
        return proposed(self._state, recipe, Role.SEARCH, origin, rung=start, reason=reason)

    def _pays_look(self, recipe: Recipe, *, fresh: bool) -> bool:
        """Whether a first look is affordable with the training that it decides on."""
        return self._purse.pays_search([(recipe, MERGED), (recipe, 0)], fresh=fresh)

    def _proposed_mix(self) -> Mix | None:
        self._catch_up()
        return self._sampler.propose(self._n_sampled(), self._tried)

    def _n_sampled(self) -> int:
        return self._state.roles[Role.SEARCH]

    def _all_allowed(self) -> bool:
        most = self._spec.search.max_trials
        return most is not None and self._n_sampled() >= most

    def _stand_in(self, start: int) -> Path:
        """A recipe nobody has tried, of all tasks, for what the next trial will cost from ``start``."""
        everything = Mix.of(self._spec.intermediate.tasks)
        recipe = Recipe.of(everything, -1, self._spec.arms[0])
        trial = Trial(_name(Role.SEARCH, self._n_sampled() + 1), recipe, Role.SEARCH, rung=start)
        return recipe, self._policy.goal(trial)

    def _next_final(self, *, fresh: bool) -> Beginning:
        """The most telling repetition that what is left pays for."""
        for final in next_finals(self._spec, self._state):
            if self._purse.pays_finals(final.with_cost_of, fresh=fresh):
                return proposed(
                    self._state,
                    final.recipe,
                    Role.FINAL,
                    "final",
                    finalist=final.finalist,
                    rung=final.rung,
                )
        return ()

    def _recipe(self, mix: Mix) -> Recipe:
        return Recipe.of(mix, self._spec.seed, self._spec.arms[0])

    def _catch_up(self) -> None:
        """Let standings and tried mixes know which trials have moved; a new one always has."""
        counts_cost = self._spec.objectives.gpu_hours is not None
        for name in self._state.moves[self._n_moves :]:
            trial = self._state.trials[name]
            if trial.role is not Role.FINAL:
                self._tried.add(trial.recipe.mix)
                costs = self._climb.path_cost_ms(trial) if counts_cost else {}
                measured = {rung: self._climb.figures(trial, rung) for rung in trial.trained_scores}
                self._standings.put(Standing(trial, costs, measured))
        self._n_moves = len(self._state.moves)

    def why_over(self, spent: DeviceTime, cap: DeviceTime) -> Ending:
        """Why nothing can begin any more."""
        money = f"{spent} of {cap} spent"
        control = self._state.control
        if control is not None and unjudged(control):
            why = self._state.reasons[control.name]
            return Ending(f"the control could not be judged ({why}); {money}")
        none_left = next(next_finals(self._spec, self._state), None) is None
        if none_left and not self._state.n_climbing:
            seeds = self._seeds_given()
            if self._all_allowed():
                mixes = f"all {self._n_sampled()} mixes that search.max_trials allows"
                return Ending(f"nothing left to try: {mixes} and {seeds}; {money}")
            if self._exhausted or self._proposed_mix() is None:
                mixes = f"every mix the sampler finds ({self._n_sampled()})"
                return Ending(f"nothing left to try: {mixes} and {seeds}; {money}")
            if finalists(self._state, 1):
                return Ending(f"finalists have {seeds}; {money}")
        refusal = self._purse.refusal or "nothing more is affordable"
        if self._purse.account:
            return Ending(
                f"account {self._purse.account!r} has too little free: {refusal}; {money}", True
            )
        return Ending(f"cap reached: {refusal}; {money}")

    def _seeds_given(self) -> str:
        most = f"all {self._spec.final.max_seeds} seeds (final.max_seeds)"
        out = ", ".join(out_early(self._spec, self._state))
        return f"{most}, but for {out}, surely below the best" if out else most


def proposed(
    state: StudyState,
    recipe: Recipe,
    role: Role,
    origin: str,
    *,
    finalist: str | None = None,
    rung: int = 0,
    reason: str = "",
) -> Beginning:
    """The facts of a new trial that starts to climb at once; its ``origin`` is reason enough."""
    n_finals = state.roles[Role.FINAL]
    name = _name(role, n_finals if role is Role.FINAL else len(state.trials) - n_finals)
    return (
        TrialProposed(name, recipe, role, finalist, origin),
        TrialMoved(name, TrialState.RUNNING, rung, None, reason or origin),
    )


def unjudged(control: Trial) -> bool:
    """Whether the control ended without a score."""
    return control.state in (TrialState.FAILED, TrialState.UNAFFORDABLE)


def _name(role: Role, n_before: int) -> str:
    return f"{'f' if role is Role.FINAL else 't'}{n_before:04d}"
