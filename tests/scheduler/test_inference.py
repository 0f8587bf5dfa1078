"""Inference in a study: who is asked, what it costs, and what it decides."""

from dataclasses import dataclass, replace

import pytest
from fakes import Bench, begun, engine_on, mapping_of, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

import scheduler.inference
import scheduler.spec_inference
from budgets.amount import DeviceTime
from budgets.errors import SpecError
from scheduler.answered import answered_in
from scheduler.inference import duration_ms, infer_stages
from scheduler.mix import Mix
from scheduler.moves import Start
from scheduler.plan import plan_study
from scheduler.policies.standings import Standing, Standings, front_ranks
from scheduler.spec import read
from scheduler.spec_inference import inference_notes
from scheduler.trial import Recipe, Role, Trial, TrialState
from trainers.inference.load import Harness, Load, Scenario
from trainers.order import Outcome
from trainers.stage import EvaluateStage, Half, InferStage, StageKind

ASKED = {"inference": {"min_duration_s": 0.5, "samples": 20}}
LATENCY = {**ASKED, "objectives": {"score": "max", "gpu_hours": "min", "latency_ms": "min"}}
MIX = Mix(("toy_entailment", "toy_roles"), 2_000, 2.0)


def tree(changes):
    return tree_of(spec_of({"search.max_trials": 3, "search.eta": 2, "final.max_seeds": 2, **changes}))


def asked(tree, mix, half, rung=0, seed=13):
    recipe = Recipe.of(mix, seed, tree.spec.arms[0])
    return [node for node in tree.nodes(recipe, rung, half) if isinstance(node.stage, InferStage)]


def test_without_the_key_nobody_is_asked():
    without = tree({})
    for mix, half in ((Mix(), Half.SEARCH), (MIX, Half.REPORT)):
        assert not asked(without, mix, half)


def test_controls_and_finals_are_asked_and_the_mixes_of_the_search_are_not():
    measured = tree(ASKED)
    assert not asked(measured, MIX, Half.SEARCH)
    for mix, half in ((Mix(), Half.SEARCH), (Mix(), Half.REPORT), (MIX, Half.REPORT)):
        assert [node.stage.task for node in asked(measured, mix, half)] == ["toy_pos", "toy_tatoeba"]


def test_where_latency_is_an_objective_every_mix_is_asked():
    assert len(asked(tree(LATENCY), MIX, Half.SEARCH)) == 2


def test_a_final_of_the_first_seed_finds_the_measurement_of_its_control():
    measured = tree(ASKED)
    searched = {node.name for node in asked(measured, Mix(), Half.SEARCH)}
    assert searched == {node.name for node in asked(measured, Mix(), Half.REPORT)}
    other = {node.stage.task: node.name for node in asked(measured, Mix(), Half.REPORT, seed=14)}
    assert other["toy_pos"] not in searched
    assert other["toy_tatoeba"] in searched  # nothing was trained for it that has a seed


def test_what_is_asked_stands_on_what_is_scored_and_report_cells_stay_unseen():
    measured = tree(ASKED)
    recipe = Recipe.of(MIX, 13, measured.spec.arms[0])
    nodes = {node.name: node.stage for node in measured.nodes(recipe, 0, Half.REPORT)}
    names = list(nodes)
    parents = {s.task: s.parent for s in nodes.values() if isinstance(s, EvaluateStage)}
    for name, stage in nodes.items():
        if isinstance(stage, InferStage):
            assert stage.parent == parents[stage.task]
            assert names.index(stage.parent) < names.index(name)
            (searched,) = (
                node.stage
                for node in measured.nodes(recipe, 0, Half.SEARCH)
                if isinstance(node.stage, EvaluateStage) and node.stage.task == stage.task
            )
            assert (stage.data, stage.max_examples) == (searched.data, 20)


@pytest.mark.parametrize(
    ("tuning", "forms"),
    [("full", [False]), ("bottleneck", [False]), ("lora", [True, False]), ("ia3", [True, False])],
)
def test_an_adapter_that_can_be_folded_is_asked_in_both_forms(tuning, forms):
    measured = tree(ASKED)
    (searched, *_) = (
        node.stage
        for node in measured.nodes(Recipe.of(MIX, 13, measured.spec.arms[0]), 0, Half.SEARCH)
        if isinstance(node.stage, EvaluateStage)
    )
    tuned = replace(searched, model=replace(searched.model, tuning=tuning))
    assert [stage.folded for stage in infer_stages(measured.spec, tuned)] == forms


def test_only_the_tasks_that_are_named_are_asked():
    measured = tree({"inference": {"tasks": ["toy_pos"]}})
    assert [node.stage.task for node in asked(measured, Mix(), Half.SEARCH)] == ["toy_pos"]


@dataclass
class Timed(Bench):
    """A bench whose models take ten milliseconds, and one for each task of their mix."""

    def run(self, order):
        measured = super().run(order)
        if not isinstance(order.stage, InferStage) or measured.outcome is not Outcome.DONE:
            return measured
        tasks, _ = self._tasks[measured.stage]
        facts = {"latency_ms": 10.0 + len(tasks), "memory_bytes": 5e6}
        measured = replace(measured, facts=facts)
        self.answered[-1] = (order, measured)
        return measured


def played(tree, hours=2.0):
    """A study driven to its end: its engine, its account, and what its sampler was told."""
    journal = begun(tree, DeviceTime.from_hours(hours))
    engine, account = engine_on(journal, tree)
    told, bench = [], Timed(tree)
    tell = engine._sampler.tell
    engine._sampler.tell = lambda mix, values: (told.append((mix, values)), tell(mix, values))
    while isinstance(move := engine.ask(fresh=False), Start):
        engine.tell(bench.run(move.order))
    return engine, account, told, bench


def test_a_study_measures_each_model_once_and_scores_as_without():
    plain, *_ = played(tree({}))
    measured, account, _, bench = played(tree(ASKED))
    scores = [
        {trial.name: dict(trial.scores) for trial in engine.state.trials.values()}
        for engine in (plain, measured)
    ]
    assert scores[0] == scores[1]
    stages = [m.stage for order, m in bench.answered if order.stage.kind is StageKind.INFER]
    assert len(stages) == len(set(stages)) > 0
    kinds = {started.config.kind for started, _ in measured.state.measurements()}
    assert StageKind.INFER in kinds
    assert account.balance.held == DeviceTime(0)


def test_the_sampler_is_told_score_hours_and_latency_in_the_order_of_the_objectives():
    *_, told, _ = played(tree(LATENCY))
    values = [(mix, values) for mix, values in told if values is not None]
    assert values
    for mix, (score, hours, latency_ms) in values:
        assert score > 30
        assert 0 < hours < 2
        assert latency_ms == 10 + mix.count


def test_memory_is_told_in_megabytes_and_may_stand_alone():
    *_, told, _ = played(tree({**ASKED, "objectives": {"score": "max", "memory_mb": "min"}}))
    assert {values[1:] for _, values in told if values is not None} == {(5.0,)}


def test_directions_name_one_word_per_objective():
    objectives = spec_of(LATENCY).objectives
    assert objectives.directions == ("max", "min", "min")
    assert objectives.measured == ("latency_ms",)


def test_what_was_measured_on_another_device_or_half_of_it_is_measured_anew(monkeypatch):
    wide = {**ASKED, "budget.devices": {"kind": "cpu", "count": 2, "per_trial": 2}}
    here = [asked(tree(changes), Mix(), Half.SEARCH)[0].name for changes in (ASKED, wide)]
    monkeypatch.setattr(scheduler.inference, "cpu_name", lambda: "another processor")
    elsewhere = asked(tree(ASKED), Mix(), Half.SEARCH)[0]
    assert len({*here, elsewhere.name}) == 3
    assert elsewhere.stage.device == "1 x another processor"


# -- what is ranked by ------------------------------------------------------------------------------

POINTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25
)


def naive_ranks(points):
    """Peel the front of what is left, again and again."""

    def beats(one, other):
        lower = all(a <= b for a, b in zip(one[1:], other[1:], strict=True))
        return one != other and one[0] >= other[0] and lower

    ranks, left, rank = {}, set(points), 0
    while left:
        front = {p for p in left if not any(beats(other, p) for other in left)}
        ranks.update(dict.fromkeys(front, rank))
        left, rank = left - front, rank + 1
    return [ranks[point] for point in points]


def standings_of(points):
    """Trials at rung 0 with a score, a cost and a latency, each of its own class."""
    standings = Standings()
    for number, (score, cost, latency) in enumerate(points):
        trial = Trial(
            f"t{number:04d}",
            Recipe(Mix(), 1, "m"),
            Role.SEARCH,
            state=TrialState.PAUSED,
            scores={0: float(score)},
        )
        standings.put(Standing(trial, {0: round(1000 * 2**cost)}, {0: (2.0**latency,)}))
    return standings


@settings(max_examples=60)
@given(POINTS)
def test_trials_are_ranked_by_fronts_over_all_objectives(points):
    ranks = naive_ranks(points)
    ordered = standings_of(points).ranked(0)
    found = [ranks[int(name[1:])] for name in ordered]
    assert found == sorted(ranks)
    for rank in set(ranks):  # inside a front by score
        scores = [points[int(name[1:])][0] for name in ordered if ranks[int(name[1:])] == rank]
        assert scores == sorted(scores, reverse=True)


@given(POINTS)
def test_a_latency_that_all_share_changes_no_rank(points):
    flat = [(score, cost, 3) for score, cost, _ in points]
    expected = front_ranks([(score, cost) for score, cost, _ in points])
    assert naive_ranks(flat) == expected


# -- what it costs ------------------------------------------------------------------------------------

LOADS = st.builds(
    Load,
    harness=st.sampled_from(Harness),
    scenarios=st.sets(st.sampled_from(Scenario)).map(tuple),
    min_duration_ms=st.integers(1, 10_000),
    max_duration_ms=st.integers(10_000, 100_000),
    min_queries=st.integers(1, 1_000),
    streams=st.integers(1, 64),
    server_latency_ms=st.just(100),
    server_queries_per_s=st.none() | st.floats(0.1, 1_000),
    seed=st.just(0),
)


@given(LOADS, st.integers(1, 1_000), st.floats(0.01, 1_000))
def test_a_forecast_lies_between_the_shortest_and_the_longest_durations(load, n_samples, sample_ms):
    took = duration_ms(load, n_samples, sample_ms)
    n_tests = 1 + len(load.asked)
    batched_ms = n_samples * sample_ms / 2
    assert took >= load.min_duration_ms * n_tests
    assert took <= load.max_duration_ms * (1 + n_tests) + batched_ms + 1


def test_a_plan_pays_for_inference_and_names_it():
    plans = [plan_study(spec_of(changes)) for changes in ({}, ASKED)]
    kinds = [{count.kind: count for count in plan.stages} for plan in plans]
    assert "infer" not in kinds[0]
    assert kinds[1]["infer"].time > DeviceTime(0)
    assert plans[1].least > plans[0].least  # the control is asked, too
    longer = {"inference": {**ASKED["inference"], "min_duration_s": 5}}
    assert plan_study(spec_of(longer)).least > plans[1].least


def test_without_loadgen_inference_is_planned_plainly_and_the_plan_says_so(monkeypatch):
    with_it = asked(tree(ASKED), Mix(), Half.SEARCH)[0]
    monkeypatch.setattr(scheduler.spec_inference, "loadgen_installed", lambda: False)
    without = asked(tree(ASKED), Mix(), Half.SEARCH)[0]
    assert with_it.stage.load.harness is Harness.LOADGEN
    assert without.stage.load.harness is Harness.PLAIN
    assert without.name != with_it.name  # what is measured later with it is measured anew
    alone = {**ASKED, "budget.devices": {"kind": "cpu", "count": 1, "per_trial": 1}}
    (note,) = plan_study(spec_of(alone)).notes
    assert "interlude-scheduler[inference]" in note
    asked_plainly = {**alone, "inference": {**ASKED["inference"], "harness": "plain"}}
    assert plan_study(spec_of(asked_plainly)).notes == ()


def test_a_plan_says_when_inference_shares_its_cpu():
    (note,) = inference_notes(spec_of(ASKED))
    assert "while up to 1 other stages" in note
    assert not list(inference_notes(spec_of({})))


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objectives": {"score": "max", "latency_ms": "min"}}, "latency_ms: nothing measures it"),
        ({"inference": {"tasks": ["toy_xnli"]}}, "inference.tasks.0: 'toy_xnli' is not in target"),
        ({"inference": {"scenarios": ["server", "server"]}}, "scenarios.1: 'server' is listed twice"),
        ({"inference": {"scenarios": []}}, "inference.scenarios"),
        ({"inference": {"scenarios": ["peak"]}}, "inference.scenarios.0"),
        ({"inference": {"min_duration_s": 5, "max_duration_s": 1}}, "1 is less than min_duration_s 5"),
        ({"inference": {"min_duration_s": 0}}, "inference.min_duration_s"),
        ({**ASKED, "search.policy": "grid"}, "keeps no latencies"),
        ({**LATENCY, "search.sampler": "structured"}, "knows scores and hours alone"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_would_do(changes, words):
    with pytest.raises(SpecError) as refusal:
        read(mapping_of(changes), "test")
    assert any(words in problem for problem in refusal.value.problems)


# -- what is read of it -------------------------------------------------------------------------------


def test_every_final_and_the_control_have_figures_for_each_task():
    engine, *_ = played(tree(ASKED))
    state = engine.state
    rows = answered_in(state)
    measured = {(row.trial.name, row.task) for row in rows}
    expected = [state.control, *state.finals]
    assert {(t.name, task) for t in expected for task in ("toy_pos", "toy_tatoeba")} == measured
    by_final = {row.trial.recipe.mix.count: row.facts["latency_ms"] for row in rows}
    assert all(latency_ms == 10 + count for count, latency_ms in by_final.items())
