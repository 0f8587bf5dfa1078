"""What a study begins next, and why it is over when there is nothing.

In this order: the control of every arm; a mix in the arms where it is to be tried yet; a trial that has
earned its next rung; a new mix; a trial that waits, when no new one can start; then, once no trial of
the search climbs, finalists over seeds. Each only if its part of the cap pays for all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from budgets.amount import DeviceTime
from scheduler.arms import arm_names, bracket_of, control_order, proposal_of, recipes_of
from scheduler.brackets import Brackets
from scheduler.climb import Climb
from scheduler.facts import TrialMoved, TrialProposed
from scheduler.finals import finalists, next_finals, out_early
from scheduler.mix import Mix
from scheduler.money import Path, Purse
from scheduler.policies import Policy, Standing
from scheduler.space import Sampler
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.tree import StageTree
from scheduler.trial import MERGED, Arm, Recipe, Role, Trial, TrialState
from scheduler.tried import Tried


class Ending(NamedTuple):
    """Why a study has nothing more to begin, and whether that may pass: others' holds do."""

    reason: str
    for_now: bool = False


Beginning = tuple[TrialProposed | TrialMoved, ...]


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
        self._brackets = Brackets(tree, climb, policy)
        self._sampler = sampler
        self._n_moves = 0  # that the brackets and the two below know of
        self._proposals: dict[Mix, set[Arm]] = {}  # with the arms that each is tried in
        self._tried = Tried(tree)
        self._exhausted = False  # saves asking again; the sampler would say the same

    def next(self, *, search_climbs: bool, fresh: bool) -> Beginning:
        """As the protocol; the finals wait for the last of the search."""
        if (control := next_control(self._spec, self._state)) is not None:
            return proposed(self._state, control, Role.CONTROL, "control")
        if unjudged(self._state):
            return ()  # without it no difference can be told: the rest of the cap is not spent
        if not self._state.finals_open:
            if beginning := self._next_of_search(fresh=fresh):
                return beginning
            if search_climbs:
                return ()
        return self._next_final(fresh=fresh)

    def _next_of_search(self, *, fresh: bool) -> Beginning:
        self._catch_up()
        left = self._left_of_proposal()
        if left is not None and self._pays([left], fresh=fresh):
            return self._begun(left, fresh=fresh)
        if promoted := self._promoted(self._brackets.earned(), "promoted", fresh=fresh):
            return promoted
        if left is None and (new := self._new(fresh=fresh)):
            return new
        late = self._brackets.late()
        return self._promoted(late, "promoted: no new trial could start", fresh=fresh)

    def _promoted(self, names: Iterator[str], reason: str, *, fresh: bool) -> Beginning:
        for name in names:
            trial = self._state.trials[name]
            path = (trial.recipe, trial.rung + 1)
            if self._purse.pays_search([path], fresh=fresh):
                return (TrialMoved(name, TrialState.RUNNING, path[1], None, reason),)
        return ()

    def _left_of_proposal(self) -> Recipe | None:
        """The last proposal in an arm where it is to be tried yet."""
        mix, arms = next(reversed(self._proposals.items()), (Mix(), set[Arm]()))
        recipes = recipes_of(mix, self._spec) if arms else ()
        return next((recipe for recipe in recipes if recipe.arm not in arms), None)

    def _new(self, *, fresh: bool) -> Beginning:
        """The next proposal, once all that is to be tried of it is affordable."""
        if self._all_allowed() or self._exhausted or not self._pays_some(fresh=fresh):
            return ()
        mix = self._proposed_mix()
        if mix is None:
            self._exhausted = True
            return ()
        recipes = recipes_of(mix, self._spec)
        if len(self._spec.arms) > 1 and not self._pays(recipes, fresh=fresh):
            return ()
        return self._begun(recipes[0], fresh=fresh)

    def _pays_some(self, *, fresh: bool) -> bool:
        """Whether a proposal is affordable: in every arm, or in some where it is tried in one."""
        arms = self._spec.arms
        if bracket_of(arms[0], self._spec) is not None:
            return self._pays([Recipe.of(Mix(), 0, arm) for arm in arms], fresh=fresh)
        return any(self._pays([Recipe.of(Mix(), 0, arm)], fresh=fresh) for arm in arms)

    def _pays(self, recipes: Sequence[Recipe], *, fresh: bool) -> bool:
        """Whether new trials in the arms of ``recipes`` are affordable, by stand-ins for their mix."""
        return self._purse.pays_search([self._stand_in(one.arm) for one in recipes], fresh=fresh)

    def _begun(self, recipe: Recipe, *, fresh: bool) -> Beginning:
        """The facts of a recipe that joins the search."""
        start, origin, why = self._brackets.start(recipe.arm), self._spec.search.sampler, ""
        if start > (MERGED if self._tree.has_merged else 0):
            why = self._brackets.why_above(start, recipe.arm)
        elif start == MERGED and not self._pays_look(recipe, fresh=fresh):
            start, why = 0, self._purse.refusal
        reason = f"{origin}; begins at rung {start}: {why}" if why else origin
        return proposed(self._state, recipe, Role.SEARCH, origin, rung=start, reason=reason)

    def _pays_look(self, recipe: Recipe, *, fresh: bool) -> bool:
        """Whether a first look is affordable with the training that it decides on."""
        return self._purse.pays_search([(recipe, MERGED), (recipe, 0)], fresh=fresh)

    def _proposed_mix(self) -> Mix | None:
        return self._sampler.propose(len(self._proposals), self._tried)

    def _all_allowed(self) -> bool:
        most = self._spec.search.max_trials
        return most is not None and len(self._proposals) >= most

    def _stand_in(self, arm: Arm) -> Path:
        """A recipe nobody has tried, of all tasks, for what the next trial in ``arm`` will cost."""
        recipe = Recipe.of(Mix.of(self._spec.intermediate.tasks), -1, arm)
        start = max(self._brackets.start(arm), 0)
        trial = Trial(next_name(self._state, Role.SEARCH), recipe, Role.SEARCH, rung=start)
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

    def _catch_up(self) -> None:
        """Let brackets and proposals know which trials have moved; a new one always has."""
        counts_cost = self._spec.objectives.gpu_hours is not None
        for name in self._state.moves[self._n_moves :]:
            trial = self._state.trials[name]
            if trial.role is Role.FINAL:
                continue
            proposal = proposal_of(trial.recipe, self._spec)
            self._tried.add(proposal)
            if trial.role is Role.SEARCH:
                self._proposals.setdefault(proposal, set()).add(trial.recipe.arm)
            costs = self._climb.path_cost_ms(trial) if counts_cost else {}
            measured = {rung: self._climb.figures(trial, rung) for rung in trial.trained_scores}
            self._brackets.put(Standing(trial, costs, measured))
        self._n_moves = len(self._state.moves)

    def why_over(self, spent: DeviceTime, cap: DeviceTime) -> Ending:
        """Why nothing can begin any more."""
        self._catch_up()
        money = f"{spent} of {cap} spent"
        if trouble := unjudged(self._state):
            return Ending(f"{trouble}; {money}")
        none_left = next(next_finals(self._spec, self._state), None) is None
        if none_left and not self._state.n_climbing:
            seeds = self._seeds_given()
            if self._all_allowed():
                mixes = f"all {len(self._proposals)} mixes that search.max_trials allows"
                return Ending(f"nothing left to try: {mixes} and {seeds}; {money}")
            if self._exhausted or self._proposed_mix() is None:
                mixes = f"every mix the sampler finds ({len(self._proposals)})"
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


def next_control(spec: StudySpec, state: StudyState) -> Recipe | None:
    """The first control that is not a trial yet."""
    arms = (arm for arm in control_order(spec) if state.control_of(arm) is None)
    return next((Recipe.of(Mix(), spec.seed, arm) for arm in arms), None)


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
    name = next_name(state, role)
    return (
        TrialProposed(name, recipe, role, finalist, origin),
        TrialMoved(name, TrialState.RUNNING, rung, None, reason or origin),
    )


def unjudged(state: StudyState) -> str:
    """The first control that ended without a score, and why; empty where none did."""
    names = arm_names([control.recipe.arm for control in state.controls])
    for control in state.controls:
        if control.state in (TrialState.FAILED, TrialState.UNAFFORDABLE):
            arm = names[control.recipe.arm]
            where = f" of the arm {arm}" if arm else ""
            return f"the control{where} could not be judged ({state.reasons[control.name]})"
    return ""


def next_name(state: StudyState, role: Role) -> str:
    """The name of the next trial of that role."""
    n_finals = state.roles[Role.FINAL]
    if role is Role.FINAL:
        return f"f{n_finals:04d}"
    return f"t{len(state.trials) - n_finals:04d}"
