"""Whole studies with a merged rung, on a bench: books, sharing, restarts, and what a look decides."""

from __future__ import annotations

from collections import Counter
from functools import cache
from statistics import fmean

import pytest
from fakes import Bench, KeptJournal, begun, engine_on, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.amount import ZERO, DeviceTime
from budgets.ledger import Balance, Entry, apply
from scheduler.drivers.table import drive_table
from scheduler.engine import Start
from scheduler.facts import TrialMoved, TrialProposed
from scheduler.plan import plan_study
from scheduler.plan_view import plan_view
from scheduler.policies.trust import LEAST_PAIRS, Verdict, rung_trust
from scheduler.progress import live_view, plain_line, status_view
from scheduler.study import space_of
from scheduler.table import Table
from scheduler.trial import MERGED, Role, TrialState
from trainers.order import Outcome
from trainers.stage import MergeStage, StageKind

AMPLE = DeviceTime.from_hours(50)


@cache
def tree_with_looks(max_trials=None, policy="halving"):
    return tree_of(
        spec_of(
            {
                "intermediate.merged": {},
                "search.policy": policy,
                "search.max_trials": max_trials,
                "search.eta": 2,
                "final.max_seeds": 2,
            }
        )
    )


def played(tree, cap, bench, slots=1):
    journal = begun(tree, cap)
    engine, account = engine_on(journal, tree, slots)
    drive_table(engine, bench.run, slots)
    return journal, engine, account


def sampled(engine):
    return [t for t in engine.state.trials.values() if t.role is Role.SEARCH]


def starts(journal):
    """The rung that each sampled trial began at, in order of proposal."""
    names = {f.trial for f in journal.facts if isinstance(f, TrialProposed) and f.role is Role.SEARCH}
    first = {}
    for fact in journal.facts:
        if isinstance(fact, TrialMoved) and fact.trial in names:
            first.setdefault(fact.trial, fact.rung)
    return list(first.values())


def reasons(journal):
    return [fact.reason for fact in journal.facts if isinstance(fact, TrialMoved)]


worlds = st.fixed_dictionaries(
    {
        "max_trials": st.sampled_from([None, 5]),
        "cap_ms": st.integers(30_000, 900_000),
        "slots": st.integers(1, 4),
        "salt": st.integers(0, 10_000),
        "trouble": st.sampled_from([0.0, 0.1, 0.5, 0.9]),
        "low": st.sampled_from([0.05, 0.5, 1.0]),
        "high": st.sampled_from([1.0, 2.0, 6.0]),
        "foresight": st.sampled_from([0.0, 1.0]),
    }
)


@settings(max_examples=25)
@given(worlds)
def test_with_looks_too_the_cap_holds_and_no_stage_is_paid_for_twice(world):
    tree = tree_with_looks(world["max_trials"])
    costs = (world["low"], world["high"])
    bench = Bench(tree, world["salt"], costs, world["trouble"], world["foresight"])
    cap = DeviceTime(world["cap_ms"])
    journal, engine, account = played(tree, cap, bench, world["slots"])
    balance = Balance()
    for fact in journal.facts:
        if isinstance(fact, Entry):
            balance = apply(balance, fact)
            assert balance.spent + balance.held <= cap
    assert account.balance.holds == {}
    assert account.balance.overdrawn == ZERO
    assert engine.state.ended
    done = Counter(m.stage for _, m in bench.answered if m.outcome is Outcome.DONE)
    assert set(done.values()) <= {1}
    assert all(trial.rung >= 0 for trial in engine.state.finals)


def test_a_journal_cut_between_any_two_transactions_goes_on_to_the_same_study():
    tree = tree_with_looks(10)
    bench = Bench(tree, 3, (0.5, 1.5), foresight=0.6)
    whole, engine, _ = played(tree, AMPLE, bench)
    for n in range(1, len(whole.transactions), 13):
        journal = KeptJournal.of(whole.transactions[:n])
        again, account = engine_on(journal, tree)
        if not again.recover():
            drive_table(again, bench.run, 1)
            assert journal.facts == whole.facts, n
            assert account.balance.holds == {}
    assert {t.state for t in sampled(engine)} <= {TrialState.DONE, TrialState.PAUSED}


def test_the_first_mixes_are_trained_whatever_their_look_and_later_ones_if_it_is_good():
    tree = tree_with_looks(24)
    journal, engine, _ = played(tree, AMPLE, Bench(tree, 1))
    looks = {t.name: t.scores[MERGED] for t in sampled(engine)}
    moved = [fact for fact in journal.facts if isinstance(fact, TrialMoved)]
    promoted = {f.trial for f in moved if (f.rung, f.reason) == (0, "promoted")}
    first, later = list(looks)[:LEAST_PAIRS], list(looks)[LEAST_PAIRS:]
    assert promoted >= set(first)
    chosen = [looks[name] for name in later if name in promoted]
    left = [looks[name] for name in later if name not in promoted]
    assert chosen
    assert fmean(chosen) > fmean(left)


def test_a_rung_that_is_noise_is_dropped_and_the_journal_says_why():
    tree = tree_with_looks(60)
    journal, engine, _ = played(tree, AMPLE, Bench(tree, 3, foresight=0.0))
    merged, first = rung_trust(engine.state, tree.spec)
    assert merged.verdict is Verdict.DROPPED
    assert first.verdict is Verdict.TRUSTED
    begun_at = starts(journal)
    n_looks = begun_at.count(MERGED)
    assert LEAST_PAIRS <= n_looks < 60
    assert begun_at == [MERGED] * n_looks + [0] * (60 - n_looks)
    why = "begins at rung 0: the merged rung does not foretell rung 0 (τ"
    assert sum(why in reason for reason in reasons(journal)) == 60 - n_looks


def test_a_rung_that_foretells_is_kept_and_spares_training():
    tree = tree_with_looks(60)
    journal, engine, _ = played(tree, DeviceTime.from_hours(0.1), Bench(tree, 5))
    assert rung_trust(engine.state, tree.spec)[0].verdict is Verdict.TRUSTED
    assert not any("does not foretell" in reason for reason in reasons(journal))
    trained = [t for t in sampled(engine) if t.trained_scores]
    assert len(trained) < len(sampled(engine))


def test_looks_share_their_trunks_and_each_task_is_trained_alone_once():
    tree = tree_with_looks(10)
    _, engine, _ = played(tree, AMPLE, Bench(tree, 2))
    parts, kinds = set(), Counter()
    for record in engine.state.stages.values():
        kinds[record.config.kind] += 1
        if isinstance(record.config, MergeStage):
            parts |= {part.stage for part in record.config.parts}
    assert len(parts) == 4
    assert kinds[StageKind.MERGE] == 2 * 10
    assert engine.state.saved > ZERO


def test_a_mix_whose_task_is_being_trained_for_another_takes_up_a_task_that_nobody_trains():
    tree = tree_with_looks(12)
    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree, slots=8)
    bench = Bench(tree, 3)
    while not engine.state.control.scores if engine.state.control else True:
        engine.tell(bench.run(engine.ask().order))
    trunks = Counter()
    while isinstance(step := engine.ask(), Start):
        trunks[step.order.stage.kind] += 1
    assert trunks == {StageKind.INTERMEDIATE: 4}
    assert len({started.trial for started in engine.state.leases.values()}) == 4


def test_the_sampler_never_sees_a_merged_score():
    tree = tree_with_looks(10)
    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree)
    seen = []
    engine._sampler.observe = seen.append
    drive_table(engine, Bench(tree, 2).run, 1)
    assert MERGED not in {one.rung for one in seen}
    assert len([one for one in seen if one.mix.count]) == sum(
        len(t.trained_scores) for t in sampled(engine)
    )


def test_a_merge_that_never_works_keeps_no_mix_from_being_trained():
    tree = tree_with_looks(3)
    bench = Bench(tree, 2)

    def run(order):
        measured = bench.run(order)
        if isinstance(order.stage, MergeStage):
            return type(measured)(
                order.hold, measured.stage, Outcome.INFEASIBLE, measured.bill, error="x"
            )
        return measured

    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree)
    drive_table(engine, run, 1)
    assert all(0 in t.scores and MERGED not in t.scores for t in sampled(engine))
    assert any("goes on without its first look: infeasible" in r for r in reasons(journal))


def test_a_first_look_that_is_not_affordable_is_left_out():
    tree = tree_with_looks(None)
    found = set()
    for cap_ms in range(40_000, 130_000, 5_000):
        journal, _, _ = played(tree, DeviceTime(cap_ms), Bench(tree, 2))
        found |= set(starts(journal))
    assert found == {MERGED, 0}


def test_a_grid_records_every_mix_merged_and_the_search_is_replayed_on_it():
    small = spec_of(
        {
            "intermediate.merged": {},
            "intermediate.tasks": ["toy_reading", "toy_roles"],
            "intermediate.count": [0, 2],
            "intermediate.mixing": {"rule": "uniform"},
            "search.policy": "grid",
            "final.max_seeds": 2,
        }
    )
    tree = tree_of(small)
    _, engine, _ = played(tree, AMPLE, Bench(tree, 2))
    n_mixes = sum(mix.count > 0 for mix in space_of(small).all_mixes())
    looked_at = [t for t in engine.state.trials.values() if MERGED in t.scores]
    assert len(looked_at) == 2 * n_mixes
    assert all(t.role is not Role.FINAL for t in looked_at)
    table = Table.of(tree, engine.state, [t.recipe for t in engine.state.trials.values()])
    search = tree_of(
        small.model_copy(update={"search": small.search.model_copy(update={"policy": "halving"})})
    )
    journal = begun(search, AMPLE)
    again, account = engine_on(journal, search)
    drive_table(again, table.bound(search).run, 1)
    replayed = {t.recipe: t.scores for t in again.state.searched}
    recorded = {t.recipe: t.scores for t in engine.state.searched}
    assert all(scores.items() <= recorded[recipe].items() for recipe, scores in replayed.items())
    assert sum(MERGED in scores for scores in replayed.values()) == n_mixes
    assert account.balance.overdrawn == ZERO


def test_a_table_without_looks_is_refused_where_they_are_asked_for():
    plain = tree_of(spec_of({"search.max_trials": 3}))
    _, engine, _ = played(plain, AMPLE, Bench(plain, 2))
    table = Table.of(plain, engine.state, [t.recipe for t in engine.state.trials.values()])
    with pytest.raises(Exception, match="has no merged rung and quickstart has one"):
        table.bound(tree_with_looks())


def test_plan_and_status_say_what_is_looked_at():
    spec = tree_with_looks(12).spec
    plan = plan_study(spec)
    assert plan.n_merged == 12
    assert plan.to_json()["trials_merged"] == 12
    words = "\n".join(str(part) for part in plan_view(plan).renderables)
    assert "12 are looked at merged, " in words
    tree = tree_with_looks(60)
    _, engine, account = played(tree, AMPLE, Bench(tree, 3, foresight=0.0))
    for view in (status_view, live_view):
        words = "\n".join(str(part) for part in view(engine.state, account.balance).renderables)
        assert "the merged rung does not foretell rung 0 (τ" in words
        assert "it is dropped, new mixes begin at rung 0" in words
    assert "| the merged rung does not foretell" in plain_line(engine.state, account.balance)
