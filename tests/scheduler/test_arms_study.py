"""Studies of several arms on a bench: every control first, no work twice, arms apart where compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from io import StringIO

import pytest
from fakes import Bench, begun, engine_on, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from budgets.amount import ZERO, DeviceTime
from budgets.ledger import Balance, Entry, apply
from scheduler.arms import ArmedMix, observed_as
from scheduler.drivers.table import drive_table
from scheduler.errors import CapTooSmallError
from scheduler.facts import TrialMoved, TrialProposed
from scheduler.grid import points
from scheduler.mix import Mix
from scheduler.plan import plan_study
from scheduler.plan_view import plan_view
from scheduler.progress import plain_line
from scheduler.status import status_json
from scheduler.study import least_cap, space_of
from scheduler.table import Table
from scheduler.trial import Arm, Recipe, Role, TrialState
from scheduler.tried import Tried
from trainers.order import Outcome
from trainers.stage import Half, IntermediateStage, PretrainStage, TargetStage

MODELS = {"model.name": ["toy-mini", "toy-tiny"]}
TUNINGS = {"model.tuning": ["full", "lora"]}
LANGUAGES = {"intermediate.languages": {"first": ["qau"], "both": ["qau", "qbe"]}}
FACTORS = {
    "models": MODELS,
    "tunings": TUNINGS,
    "languages": LANGUAGES,
    "all": MODELS | TUNINGS | LANGUAGES,
}
AMPLE = DeviceTime.from_hours(5)


@cache
def tree_with(factors, design, max_trials=4, policy="halving", rungs=(50_000, 150_000)):
    changes = {"search.design": design, "search.max_trials": max_trials, "search.eta": 2}
    changes["intermediate.rungs"] = list(rungs)
    return tree_of(
        spec_of({**FACTORS[factors], **changes, "search.policy": policy, "final.max_seeds": 2})
    )


def played(tree, cap, bench=None, slots=1):
    journal = begun(tree, cap)
    engine, account = engine_on(journal, tree, slots)
    drive_table(engine, (bench or Bench(tree)).run, slots)
    return journal, engine, account


worlds = st.fixed_dictionaries(
    {
        "factors": st.sampled_from(list(FACTORS)),
        "design": st.sampled_from(["search", "factorial"]),
        "policy": st.sampled_from(["halving", "random", "uniform"]),
        "cap_ms": st.integers(60_000, 1_500_000),
        "slots": st.integers(1, 4),
        "salt": st.integers(0, 10_000),
        "trouble": st.sampled_from([0.0, 0.0, 0.1, 0.5]),
        "high": st.sampled_from([1.0, 2.0, 6.0]),
    }
)


@settings(max_examples=30)
@given(worlds)
def test_whatever_happens_controls_come_first_the_cap_holds_and_nothing_is_done_twice(world):
    tree = tree_with(world["factors"], world["design"], policy=world["policy"])
    bench = Bench(tree, world["salt"], (0.5, world["high"]), world["trouble"])
    cap = DeviceTime(world["cap_ms"])
    journal, engine, account = played(tree, cap, bench, world["slots"])

    balance, controlled = Balance(), set()
    for fact in journal.facts:
        if isinstance(fact, Entry):
            balance = apply(balance, fact)
            assert balance.spent + balance.held <= cap
        if isinstance(fact, TrialProposed) and fact.role is Role.CONTROL:
            controlled.add(fact.recipe.arm)
        if isinstance(fact, TrialProposed) and fact.role is not Role.CONTROL:
            assert controlled == set(tree.spec.arms)
    assert account.balance.overdrawn == ZERO
    done = Counter(m.stage for _, m in bench.answered if m.outcome is Outcome.DONE)
    assert set(done.values()) <= {1}
    recipes = Counter(
        (t.recipe, t.role, t.rung if t.role is Role.FINAL else 0) for t in engine.state.trials.values()
    )
    assert set(recipes.values()) == {1}
    if cap >= least_cap(tree.spec, tree) and world["high"] == 1.0 and not world["trouble"]:
        assert {c.recipe.arm for c in engine.state.controls if c.scores} == set(tree.spec.arms)


@settings(max_examples=12)
@given(worlds, st.integers(1, 400))
def test_a_study_that_is_cut_goes_on_as_if_it_had_not_been(world, n):
    tree = tree_with(world["factors"], world["design"], policy=world["policy"])
    bench = Bench(tree, world["salt"], (0.5, 1.5))
    whole, _, _ = played(tree, DeviceTime(world["cap_ms"]), bench)
    cut = type(whole).of(whole.transactions[: 1 + n % len(whole.transactions)])
    again, _ = engine_on(cut, tree)
    if not again.recover():
        drive_table(again, bench.run, 1)
        assert (
            cut.facts[:-1] == whole.facts[:-1]
        )  # the last says what was refused, if it was asked again


@pytest.mark.parametrize("factors", FACTORS)
def test_every_proposed_mix_is_tried_in_every_arm_where_arms_are_compared(factors):
    tree = tree_with(factors, "factorial")
    _, engine, _ = played(tree, AMPLE)
    arms = defaultdict(set)
    for trial in engine.state.trials.values():
        if trial.role is Role.SEARCH:
            arms[trial.recipe.mix].add(trial.recipe.arm)
    assert len(arms) == 4
    assert all(tried == set(tree.spec.arms) for tried in arms.values())


def test_one_arm_is_proposed_with_each_mix_where_one_recipe_is_to_win():
    tree = tree_with("all", "search", max_trials=12)
    _, engine, _ = played(tree, AMPLE)
    searched = [t.recipe for t in engine.state.trials.values() if t.role is Role.SEARCH]
    assert len(searched) == 12
    assert len({recipe.arm for recipe in searched}) > 2


@pytest.mark.parametrize("factors", FACTORS)
def test_halving_promotes_the_best_of_every_arm_where_arms_are_compared(factors):
    tree = tree_with(factors, "factorial", max_trials=8, rungs=(100_000, 600_000))
    journal, engine, _ = played(tree, AMPLE)
    first = {}
    for fact in journal.facts:
        if (
            isinstance(fact, TrialMoved)
            and fact.state is TrialState.RUNNING
            and fact.reason == "promoted"
        ):
            first.setdefault(engine.state.trials[fact.trial].recipe.arm, fact.trial)
    assert set(first) == set(tree.spec.arms)


@pytest.mark.parametrize("factors", FACTORS)
def test_every_arm_has_finalists_of_its_own_paired_with_its_control_where_arms_are_compared(factors):
    tree = tree_with(factors, "factorial")
    _, engine, _ = played(tree, AMPLE)
    seeds = defaultdict(lambda: defaultdict(set))
    for final in engine.state.finals:
        assert engine.state.trials[final.finalist].recipe.arm == final.recipe.arm
        seeds[final.recipe.arm][final.finalist].add(final.recipe.seed)
    assert set(seeds) == set(tree.spec.arms)
    for arm, of in seeds.items():
        control = engine.state.control_of(arm).name
        assert len(of) == 1 + tree.spec.final.finalists
        assert all(found == of[control] == {13, 14} for found in of.values())


def test_the_finalists_are_the_best_of_all_arms_where_one_recipe_is_to_win():
    tree = tree_with("all", "search", max_trials=12)
    _, engine, _ = played(tree, AMPLE)
    state = engine.state
    scored = [t for t in state.searched if t.role is Role.SEARCH and t.trained_scores]
    best = sorted(scored, key=lambda t: (-t.best_score, t.name))[: tree.spec.final.finalists]
    controls = {control.name for control in state.controls}
    repeated = {t.finalist for t in state.finals}
    assert repeated - controls == {t.name for t in best}
    arms = {state.trials[name].recipe.arm for name in repeated & controls}
    assert arms >= {t.recipe.arm for t in best}
    for trial in best:
        own = state.control_of(trial.recipe.arm).name
        seeds = {
            name: {f.recipe.seed for f in state.finals if f.finalist == name}
            for name in (own, trial.name)
        }
        assert seeds[own] >= seeds[trial.name]


def test_arms_of_one_model_share_what_is_the_same_in_them():
    tree = tree_with("all", "factorial")
    mix = Mix.of(("toy_entailment", "toy_roles"), 1000, 1.0)
    of = {
        arm: {node.name: node.stage for node in tree.nodes(Recipe.of(mix, 13, arm), 0, Half.SEARCH)}
        for arm in tree.spec.arms
    }
    for one in tree.spec.arms:
        for other in tree.spec.arms:
            shared = [of[one][name] for name in of[one].keys() & of[other].keys()]
            if one == other:
                continue
            kinds = {type(stage) for stage in shared}
            assert kinds == ({PretrainStage} if one.model == other.model else set())
    assert {
        stage.model.tuning
        for stages in of.values()
        for stage in stages.values()
        if isinstance(stage, PretrainStage)
    } == {"full"}


def test_the_controls_of_two_languages_are_one_and_the_same_work():
    tree = tree_with("languages", "factorial")
    one, other = (tree.nodes(Recipe.of(Mix(), 13, arm), 0, Half.SEARCH) for arm in tree.spec.arms)
    assert one == other


def test_what_no_stage_was_tuned_for_is_scored_once_for_all_tunings():
    tree = tree_with("tunings", "factorial")
    full, lora = (
        {n.name: n.stage for n in tree.nodes(Recipe.of(Mix(), 13, arm), 0, Half.SEARCH)}
        for arm in tree.spec.arms
    )
    shared = [full[name] for name in full.keys() & lora.keys()]
    assert sorted(stage.kind for stage in shared) == ["evaluate", "pretrain"]
    (retrieval,) = [stage for stage in shared if stage.kind == "evaluate"]
    assert retrieval.task == "toy_tatoeba"
    assert {s.model.tuning for s in lora.values() if isinstance(s, TargetStage)} == {"lora"}


def test_a_variant_decides_which_languages_a_mix_is_trained_in():
    tree = tree_with("languages", "factorial")
    mix = Mix(("toy_entailment",))
    for arm, wanted in zip(tree.spec.arms, (["qau"], ["qau", "qbe"]), strict=True):
        nodes = tree.nodes(Recipe.of(mix, 13, arm), 0, Half.SEARCH)
        (trunk,) = [n.stage for n in nodes if isinstance(n.stage, IntermediateStage)]
        assert [data.name[-3:] for data in trunk.shares[0].data] == wanted


def test_masked_text_alone_is_not_tried_again_in_other_languages_of_supervised_tasks():
    tree = tree_with("languages", "search")
    first, both = tree.spec.arms
    tried = Tried(tree)
    tried.add(ArmedMix.put(Mix(("toy_text",)), first))
    tried.add(ArmedMix.put(Mix(("toy_roles",)), first))
    assert ArmedMix.put(Mix(("toy_text",)), both) in tried
    assert ArmedMix.put(Mix(("toy_roles",)), both) not in tried


def test_devices_pretrain_different_models_at_the_same_time():
    tree = tree_with("all", "factorial")
    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree, 3)
    started = [engine.ask() for _ in range(2)]
    assert {type(start.order.stage) for start in started} == {PretrainStage}
    assert len({start.order.stage.model.name for start in started}) == 2


def test_a_control_that_cannot_be_judged_ends_the_study_and_names_its_arm():
    tree = tree_with("models", "factorial")
    bench = Bench(tree)

    def run(order):
        measurement = bench.run(order)
        broken = order.stage.model.name == "toy-tiny" and order.stage.kind == "target"
        return (
            type(measurement)(
                order.hold, measurement.stage, Outcome.INFEASIBLE, measurement.bill, error="too large"
            )
            if broken
            else measurement
        )

    engine, _ = engine_on(begun(tree, AMPLE), tree)
    drive_table(engine, run, 1)
    assert engine.state.ended.startswith(
        "the control of the arm toy-tiny could not be judged (infeasible"
    )
    assert not [t for t in engine.state.trials.values() if t.role is not Role.CONTROL]


@pytest.mark.parametrize("design", ["search", "factorial"])
@pytest.mark.parametrize("factors", FACTORS)
def test_a_cap_below_the_controls_is_refused_with_the_smallest_that_would_do(factors, design):
    changes = {**FACTORS[factors], "search.design": design, "data": {"source": "toy"}}
    with pytest.raises(CapTooSmallError) as refusal:
        plan_study(spec_of({**changes, "budget.gpu_hours": 0.001}))
    n_arms = len(tree_with(factors, design).spec.arms)
    assert f"in each of {n_arms} arms" in str(refusal.value)
    words = str(refusal.value).split()
    least = float(words[words.index("least") + 1].rstrip(","))
    with pytest.raises(CapTooSmallError):
        plan_study(spec_of({**changes, "budget.gpu_hours": least - 0.0001}))
    plan = plan_study(spec_of({**changes, "budget.gpu_hours": least}))
    assert plan.spent <= plan.cap
    assert len(plan.arms) == n_arms


def test_an_observation_of_one_of_several_arms_says_which():
    spec = tree_with("models", "factorial").spec
    recipe = Recipe(Mix(("toy_roles",)), 13, "toy-tiny")
    assert observed_as(recipe, spec) == ArmedMix(("toy_roles",), arm=Arm("toy-tiny"))
    assert observed_as(recipe, spec_of()) == recipe.mix


def test_status_and_plan_tell_the_arms_apart():
    tree = tree_with("models", "factorial")
    _, engine, account = played(tree, AMPLE)
    state, balance = engine.state, account.balance
    line = plain_line(state, balance)
    for arm in tree.spec.arms:
        best, control = state.best(arm), state.control_of(arm)
        assert f"{arm.model}: best so far {best.best_score:.2f}" in line
        (shown,) = [one for one in status_json(state, balance)["arms"] if one["arm"] == arm.model]
        assert (shown["best"]["trial"], shown["control"]["trial"]) == (best.name, control.name)
    plan = plan_study(spec_of({**FACTORS["models"], "search.design": "factorial"}))
    console = Console(width=200, record=True, file=StringIO())
    console.print(plan_view(plan))
    assert "2 arms, every mix is tried in each: toy-mini; toy-tiny" in console.export_text()


def test_the_best_recipe_of_a_search_is_told_with_its_arm_and_that_arms_control():
    tree = tree_with("models", "search", max_trials=8)
    _, engine, account = played(tree, AMPLE)
    best = engine.state.best()
    line = plain_line(engine.state, account.balance)
    assert f"arm {best.recipe.model}" in line
    assert status_json(engine.state, account.balance)["control"]["model"] == best.recipe.model


def test_a_table_of_every_mix_in_every_arm_serves_a_study_of_these_arms():
    changes = {
        **FACTORS["tunings"],
        "intermediate.tasks": ["toy_entailment"],
        "intermediate.count": [0, 1],
        "intermediate.mixing": {"rule": "uniform"},
        "search.policy": "grid",
        "final.max_seeds": 1,
    }
    tree = tree_of(spec_of(changes))
    _, engine, _ = played(tree, AMPLE)
    assert engine.state.ended.startswith("the grid of")
    recipes = {point.recipe for point in points(tree, space_of(tree.spec))}
    assert {recipe.arm for recipe in recipes} == set(tree.spec.arms)
    table = Table.of(tree, engine.state, recipes)
    search = tree_of(spec_of({**changes, "search.policy": "uniform", "search.design": "factorial"}))
    again, _ = engine_on(begun(search, AMPLE), search)
    drive_table(again, table.bound(search).run, 1)
    assert again.state.ended.startswith("nothing left to try")
    scores = {(t.recipe, t.role): t.scores for t in engine.state.trials.values()}
    assert all(scores[t.recipe, t.role] == t.scores for t in again.state.searched)
