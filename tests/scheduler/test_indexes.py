"""What is kept up to date fact by fact is what a look at everything would find."""

from __future__ import annotations

from collections import Counter

from fakes import Bench, begun, engine_on, small_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.forecast import Forecast, Work
from scheduler.climb import Climb
from scheduler.demand import Demand, Needed
from scheduler.drivers.table import drive_table
from scheduler.facts import TrialProposed
from scheduler.policies import Standing, Standings
from scheduler.state import StudyState
from scheduler.trial import Role, TrialState
from trainers.order import Outcome
from trainers.stage import Half

worlds = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["halving", "random", "uniform"]),
        "cap_ms": st.integers(30_000, 500_000),
        "slots": st.integers(1, 5),
        "salt": st.integers(0, 10_000),
        "trouble": st.sampled_from([0.0, 0.3, 0.8]),
        "most": st.integers(1, 150),
    }
)


def played(world):
    """The tree and the facts of a study that was driven in virtual time, perhaps not to its end."""
    tree = small_tree(world["policy"], 6)
    bench = Bench(tree, world["salt"], (0.5, 2.0), world["trouble"])
    journal = begun(tree, DeviceTime(world["cap_ms"]))
    engine, _ = engine_on(journal, tree, world["slots"])
    drive_table(engine, bench.run, world["slots"], world["most"])
    return tree, journal.facts


def half(trial):
    return Half.REPORT if trial.role is Role.FINAL else Half.SEARCH


def missing(state, nodes):
    """Work and truncations of the stages that nobody has done or runs, from all their leases."""
    for node in nodes:
        leases = state.stages[node.name].leases if node.name in state.stages else ()
        outcomes = [lease.measurement.outcome if lease.measurement else None for lease in leases]
        if None not in outcomes and Outcome.DONE not in outcomes:
            yield Needed(node.work, outcomes.count(Outcome.TRUNCATED))


@settings(max_examples=25)
@given(worlds)
def test_indexes_are_what_looking_at_every_trial_and_lease_finds(world):
    tree, facts = played(world)
    state = StudyState()
    demand = Demand(state, lambda t: tree.nodes(t.recipe, t.rung, half(t)))
    for fact in facts:
        state.apply(fact)
        demand.follow(fact)
        climbing = [t for t in state.trials.values() if t.state is TrialState.RUNNING]
        leased = {started.trial for started in state.leases.values()}
        assert state.idle == [t for t in climbing if t.name not in leased]
        assert state.n_climbing == len(climbing)
        assert state.busy == {started.trial: hold for hold, started in state.leases.items()}
        assert +state.roles == Counter(t.role for t in state.trials.values())
        assert demand.ways == Counter(
            tuple(missing(state, tree.nodes(t.recipe, t.rung, half(t)))) for t in climbing
        )


@settings(max_examples=25)
@given(worlds)
def test_what_is_committed_is_the_sum_over_climbing_trials(world):
    tree, facts = played(world)
    state, forecast = StudyState(), Forecast()
    climb = Climb(tree, state, forecast)
    for fact in facts:
        state.apply(fact)
        climb.follow(fact)
        each = [
            climb.missing_cost([(t.recipe, t.rung)], half(t))
            for t in state.trials.values()
            if t.state is TrialState.RUNNING
        ]
        assert climb.committed() == DeviceTime.total(each)


@settings(max_examples=25)
@given(worlds)
def test_a_bundle_of_recipes_costs_what_is_missing_of_them_whatever_was_done_since(world):
    tree, facts = played(world)
    state = StudyState()
    climb = Climb(tree, state, Forecast())
    proposed = [fact.recipe for fact in facts if isinstance(fact, TrialProposed)]
    paths = [(recipe, rung) for recipe in proposed for rung in range(tree.n_rungs)]
    bundles = {half: climb.bundle(paths, half) for half in Half}
    for fact in facts:
        state.apply(fact)
        climb.follow(fact)
        for at, bundle in bundles.items():
            assert climb.bundle_cost(bundle) == climb.missing_cost(paths, at)


@settings(max_examples=25)
@given(worlds, st.sampled_from([0, 1, 1_000]))
def test_standings_that_followed_every_move_are_those_made_anew(world, cost_ms):
    _, facts = played(world)
    state, followed, n_known = StudyState(), Standings(), 0

    def standing(trial):
        return Standing(
            trial, {rung: cost_ms * (1 + len(trial.recipe.mix.tasks)) for rung in trial.scores}
        )

    for fact in facts:
        state.apply(fact)
        for name in state.moves[n_known:]:
            followed.put(standing(state.trials[name]))
        n_known = len(state.moves)
        anew = Standings(standing(t) for t in reversed(state.trials.values()))
        for rung in range(3):
            assert followed.ranked(rung) == anew.ranked(rung)
            for among in (None, 0, 1, 2):
                assert followed.first_waiting(rung, among) == anew.first_waiting(rung, among)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 100), st.integers(1, 10_000)), max_size=60))
def test_an_estimate_that_was_asked_for_before_is_the_one_a_new_forecast_gives(bills):
    asked = Work("a/b/0", 50, 500)
    forecast, learned = Forecast(), []
    for key, n_units, taken_ms in bills:
        forecast.estimate(asked)
        learned.append((Work(f"a/b/{key}", n_units, 10 * n_units), DeviceTime(taken_ms)))
        forecast.learn(*learned[-1])
        anew = Forecast()
        for lesson in learned:
            anew.learn(*lesson)
        assert forecast.estimate(asked) == anew.estimate(asked)
