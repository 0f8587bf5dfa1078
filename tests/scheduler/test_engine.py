"""The engine on a bench: whatever stages cost and however they end, the money adds up."""

from __future__ import annotations

from collections import Counter

import pytest
from fakes import Bench, KeptJournal, begun, engine_on, small_tree, spec_of, tree_of
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.amount import ZERO, DeviceTime
from budgets.bill import Bill, Purpose
from budgets.ledger import Balance, Charged, Entry, Opened, Released, Reserved, apply
from scheduler.drivers.table import drive_table
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.mix import Mix
from scheduler.moves import Start, Stop, Wait
from scheduler.state import StudyState
from scheduler.study import least_cap
from scheduler.trial import Role, TrialState
from trainers.order import Measurement, Order, Outcome
from trainers.stage import Half, stage_name

AMPLE = DeviceTime.from_hours(2)


def played(tree, cap, bench, slots=1):
    """The journal of a study that was driven to its end in virtual time."""
    journal = begun(tree, cap)
    engine, account = engine_on(journal, tree, slots)
    replayed = drive_table(engine, bench.run, slots)
    return journal, engine, account, replayed


def balances(journal):
    """The balance after each ledger entry, with the fact."""
    balance = Balance()
    for fact in journal.facts:
        if isinstance(fact, Entry):
            balance = apply(balance, fact)
        yield balance, fact


worlds = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["halving", "random", "uniform"]),
        "max_trials": st.sampled_from([None, 3]),
        "cap_ms": st.integers(30_000, 500_000),
        "slots": st.integers(1, 4),
        "salt": st.integers(0, 10_000),
        "trouble": st.sampled_from([0.0, 0.1, 0.5, 0.9]),
        "low": st.sampled_from([0.05, 0.5, 1.0]),
        "high": st.sampled_from([1.0, 2.0, 6.0]),
    }
)


@settings(max_examples=60)
@given(worlds)
def test_whatever_stages_cost_and_however_they_end_the_books_hold(world):
    tree = small_tree(world["policy"], world["max_trials"])
    bench = Bench(tree, world["salt"], (world["low"], world["high"]), world["trouble"])
    cap = DeviceTime(world["cap_ms"])
    journal, engine, account, replayed = played(tree, cap, bench, world["slots"])

    for balance, fact in balances(journal):
        assert balance.spent + balance.held <= cap, fact
    assert account.balance.holds == {}
    assert account.balance.overdrawn == ZERO
    assert replayed.reason
    assert replayed.reason == engine.state.ended
    holds = Counter(f.hold for f in journal.facts if isinstance(f, Reserved))
    assert holds == Counter(f.hold for f in journal.facts if isinstance(f, Released))
    assert set(holds.values()) <= {1}
    charged = Counter()
    for fact in journal.facts:
        if isinstance(fact, Charged):
            charged[fact.purpose] += fact.amount.ms
    assert {p: a.ms for p, a in account.balance.by_purpose.items()} == charged
    assert account.balance.spent.ms == charged.total()
    billed = Bill()
    for _, measurement in bench.answered:
        billed += measurement.bill
    assert {p: a.ms for p, a in billed.items()} == {p: n for p, n in charged.items() if n}


@settings(max_examples=40)
@given(worlds)
def test_no_stage_is_paid_for_twice_and_no_trial_has_two_in_flight(world):
    tree = small_tree(world["policy"], world["max_trials"])
    bench = Bench(tree, world["salt"], (world["low"], world["high"]), world["trouble"])
    journal, engine, _, _ = played(tree, DeviceTime(world["cap_ms"]), bench, world["slots"])
    done = Counter(m.stage for _, m in bench.answered if m.outcome is Outcome.DONE)
    assert set(done.values()) <= {1}
    busy, stages = set(), set()
    for fact in journal.facts:
        if isinstance(fact, StageStarted):
            assert fact.trial not in busy
            assert fact.stage not in stages
            busy.add(fact.trial)
            stages.add(fact.stage)
            assert len(busy) <= world["slots"]
        if isinstance(fact, StageEnded):
            busy.discard(fact.trial)
            stages.discard(fact.measurement.stage)
    roles = [t.role for t in engine.state.trials.values()]
    assert roles[0] is Role.CONTROL
    assert roles.count(Role.CONTROL) == 1


@settings(max_examples=40)
@given(worlds)
def test_the_search_begins_nothing_that_the_final_reserve_would_pay(world):
    tree = small_tree(world["policy"], world["max_trials"], max_seeds=60)  # more than any share pays
    bench = Bench(tree, world["salt"], (1.0, world["high"]), world["trouble"])
    cap = DeviceTime(world["cap_ms"])
    journal, _, _, _ = played(tree, cap, bench, world["slots"])
    reserve = cap.scaled(tree.spec.budget.final_share)
    balance, roles = Balance(), {}
    for fact in journal.facts:
        if isinstance(fact, Entry):
            balance = apply(balance, fact)
        if isinstance(fact, TrialProposed):
            roles[fact.trial] = fact.role
        begins = isinstance(fact, TrialMoved) and (
            fact.reason.startswith("promoted") or fact.reason == tree.spec.search.sampler
        )
        if begins:
            assert roles[fact.trial] is Role.SEARCH
            assert balance.free >= reserve


@settings(max_examples=30)
@given(worlds)
def test_the_state_replayed_from_the_journal_is_the_live_state(world):
    tree = small_tree(world["policy"], world["max_trials"])
    bench = Bench(tree, world["salt"], (world["low"], world["high"]), world["trouble"])
    journal, engine, account, _ = played(tree, DeviceTime(world["cap_ms"]), bench, world["slots"])
    assert StudyState.of(line.fact for line in journal.lines()) == engine.state
    again, account_again = engine_on(journal, tree, world["slots"])
    assert again.state == engine.state
    assert account_again.balance == account.balance
    assert again.ask() == Stop(engine.state.ended)


@settings(max_examples=25)
@given(salt=st.integers(0, 10_000), slots=st.integers(1, 4), cap_ms=st.integers(60_000, 400_000))
def test_where_the_forecast_holds_nothing_that_was_begun_is_unaffordable(salt, slots, cap_ms):
    tree = small_tree("halving", None)
    _, engine, _, _ = played(tree, DeviceTime(cap_ms), Bench(tree, salt), slots)
    states = {t.state for t in engine.state.trials.values()}
    assert TrialState.UNAFFORDABLE not in states


def test_the_search_gets_what_the_finals_cannot_use():
    cap = DeviceTime(400_000)
    few, many = (small_tree("halving", None, max_seeds=n) for n in (1, 60))
    spent_on_search = []
    for tree in (few, many):
        _, engine, account, _ = played(tree, cap, Bench(tree))
        spent_on_search.append(len(engine.state.searched))
        assert account.balance.spent.ms > 0.9 * cap.ms
    assert spent_on_search[0] > spent_on_search[1]


def test_one_slot_and_many_slots_try_the_same_mixes_when_the_cap_is_ample():
    tree = small_tree("uniform", 4)
    finalists, mixes = set(), set()
    for slots in (1, 2, 3, 4):
        _, engine, account, replayed = played(tree, AMPLE, Bench(tree, 3, (0.3, 1.5)), slots)
        assert account.balance.cap == account.balance.free + account.balance.spent
        assert replayed.reason.startswith("nothing left to try: all 4 mixes")
        mixes.add(frozenset(t.recipe.mix for t in engine.state.searched))
        finalists.add(frozenset(t.finalist for t in engine.state.finals))
    assert len(mixes) == 1
    assert len(finalists) == 1


def test_more_slots_take_less_time_and_never_more_money():
    tree = small_tree("uniform", 4)
    one = played(tree, AMPLE, Bench(tree, 3), 1)
    four = played(tree, AMPLE, Bench(tree, 3), 4)
    assert four[3].wall_ms < one[3].wall_ms
    assert four[2].balance.spent == one[2].balance.spent


def test_the_same_answers_give_the_same_journal_to_the_byte():
    tree = small_tree()
    first, second = (played(tree, AMPLE, Bench(tree, 5, (0.5, 3.0), 0.3), 2)[0] for _ in range(2))
    assert list(first.lines()) == list(second.lines())
    assert first._rows == second._rows


def test_the_control_is_judged_before_anything_else_is_proposed_on_one_slot():
    tree = small_tree()
    journal, _, _, _ = played(tree, AMPLE, Bench(tree))
    proposals = [i for i, f in enumerate(journal.facts) if isinstance(f, TrialProposed)]
    judged = next(
        i for i, f in enumerate(journal.facts) if isinstance(f, TrialMoved) and f.score is not None
    )
    assert journal.facts[judged].trial == "t0000"
    assert proposals[0] < judged < proposals[1]


def test_nothing_else_starts_while_the_encoder_that_all_stand_on_is_pretrained():
    tree = small_tree()
    engine, _ = engine_on(begun(tree, AMPLE), tree, slots=4)
    first = engine.ask()
    assert isinstance(first, Start)
    assert first.order.stage.kind == "pretrain"
    assert engine.ask() == Wait()


def test_a_control_that_cannot_be_judged_ends_the_study_before_the_cap_is_spent():
    tree = small_tree("halving", None)
    bench = Bench(tree)

    def no_target(order: Order) -> Measurement:
        if order.stage.kind == "target":
            bill = Bill({Purpose.TRAIN: DeviceTime(50)})
            name = stage_name(order.stage)
            return Measurement(order.hold, name, Outcome.FAILED, bill, error="out of memory")
        return bench.run(order)

    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree)
    replayed = drive_table(engine, no_target, 1)
    assert "the control could not be judged" in replayed.reason
    assert "out of memory" in replayed.reason
    assert list(engine.state.trials) == ["t0000"]
    assert account.balance.spent < DeviceTime(30_000)


def test_a_stage_that_fails_three_times_fails_its_trial_and_no_other():
    tree = small_tree("uniform", 4)
    bench = Bench(tree)
    broken = []

    def run(order: Order) -> Measurement:
        kind, name = order.stage.kind, stage_name(order.stage)
        if kind == "intermediate" and (not broken or broken[0] == name):
            broken.append(name)
            return Measurement(order.hold, name, Outcome.LOST, Bill({Purpose.LOST: order.limit}))
        return bench.run(order)

    engine, _ = engine_on(begun(tree, AMPLE), tree)
    drive_table(engine, run, 1)
    assert len(broken) == 3
    states = Counter(t.state for t in engine.state.searched)
    assert states == {TrialState.FAILED: 1, TrialState.DONE: 4}


def test_a_lease_that_ended_at_its_deadline_is_followed_by_one_twice_as_long():
    tree = small_tree()
    engine, _ = engine_on(begun(tree, AMPLE), tree)
    limits = []
    for _ in range(3):
        order = engine.ask().order
        limits.append(order.limit.less(order.grace).ms)
        bill = Bill({Purpose.TRAIN: order.limit.less(order.grace)})
        name = stage_name(order.stage)
        engine.tell(Measurement(order.hold, name, Outcome.TRUNCATED, bill))
    assert limits == [limits[0], 2 * limits[0], 4 * limits[0]]


def test_a_hold_for_a_fresh_worker_covers_its_start():
    tree = small_tree()
    warm, _ = engine_on(begun(tree, AMPLE), tree)
    fresh, _ = engine_on(begun(tree, AMPLE), tree)
    extra = fresh.ask(fresh=True).order.limit.less(warm.ask().order.limit)
    assert extra == DeviceTime(20_000)


def test_a_stage_that_the_store_had_already_teaches_the_forecast_nothing():
    tree = small_tree()

    def expected_after(purpose):
        engine, _ = engine_on(begun(tree, AMPLE), tree)
        order = engine.ask().order
        bill = Bill({purpose: DeviceTime(1)})
        engine.tell(Measurement(order.hold, stage_name(order.stage), Outcome.DONE, bill))
        return engine.ask().order.limit

    assert expected_after(Purpose.LOAD) > expected_after(Purpose.TRAIN)


def test_a_shared_stage_is_noted_once_per_trial_with_what_it_saves():
    tree = small_tree("halving", 4)
    journal, engine, _, _ = played(tree, AMPLE, Bench(tree))
    shared = [(f.trial, f.stage) for f in journal.facts if isinstance(f, StageShared)]
    assert shared
    assert len(shared) == len(set(shared))
    assert engine.state.saved > ZERO
    ran = {(f.trial, f.stage) for f in journal.facts if isinstance(f, StageStarted)}
    assert not ran & set(shared)


def test_news_are_every_fact_once_those_of_the_journal_first():
    tree = small_tree()
    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree)
    assert list(engine.news()) == journal.facts
    before = len(journal.facts)
    drive_table(engine, Bench(tree).run, 1)
    assert list(engine.news()) == journal.facts[before:]
    assert engine.news() == ()


def test_a_cap_raised_after_the_end_lets_the_search_go_on():
    tree = small_tree("halving", None)
    cap = least_cap(tree.spec, tree).scaled(2)
    journal, engine, _, _ = played(tree, cap, Bench(tree))
    n_before = len(engine.state.searched)
    assert isinstance(journal.facts[-1], StudyEnded)
    journal.append(Opened(cap))
    again, _ = engine_on(journal, tree)
    assert again.state.ended is None
    drive_table(again, Bench(tree).run, 1)
    assert len(again.state.searched) > n_before


def test_a_mix_that_would_run_the_same_stages_is_no_new_trial():
    tree = small_tree("uniform", None, max_seeds=1)
    _, engine, _, replayed = played(tree, DeviceTime(300_000), Bench(tree, 3, (0.1, 0.1)))
    ways = [tree.nodes(t.recipe, 1, Half.SEARCH)[-1].name for t in engine.state.searched]
    assert len(ways) == len(set(ways))
    assert replayed.reason


def test_a_space_whose_mixes_all_draw_alike_is_exhausted_by_its_subsets():
    changes = {"intermediate.tasks": ["toy_reading", "toy_roles", "toy_commonsense"]}
    tree = tree_of(spec_of({**changes, "intermediate.count": [0, 3], "final.max_seeds": 1}))
    sizes = {tree.rates(Mix.of(tuple(changes["intermediate.tasks"]), cap, 1.0)) for cap in (1000, 6000)}
    assert len(sizes) == 1
    _, engine, _, replayed = played(tree, AMPLE, Bench(tree))
    assert len(engine.state.searched) == 8
    assert "every mix the sampler finds (7)" in replayed.reason


def test_the_last_reason_names_the_limit_that_was_reached():
    ended = played(small_tree("halving", 3), AMPLE, Bench(small_tree("halving", 3)))[3].reason
    assert "all 3 mixes that search.max_trials allows" in ended
    assert "all 2 seeds (final.max_seeds)" in ended
    tight = small_tree("halving", None)
    reason = played(tight, least_cap(tight.spec, tight), Bench(tight))[3].reason
    assert reason.startswith("cap reached: the next step of the search needs")  # no mix, no finalist


@pytest.mark.parametrize("slots", [1, 3])
def test_the_least_cap_pays_for_the_control_on_search_and_report_cells(slots):
    tree = small_tree("halving", None)
    cap = least_cap(tree.spec, tree)
    _, engine, _, _ = played(tree, cap, Bench(tree), slots)
    halves = {record.config.half for record in engine.state.stages.values() if record.scores}
    assert engine.state.control.state is TrialState.DONE
    assert [t.state for t in engine.state.finals] == [TrialState.DONE]
    assert halves == {Half.SEARCH, Half.REPORT}


def test_a_kept_journal_is_what_was_appended():
    journal = KeptJournal.of([(Reserved("a", DeviceTime(1)),), (Released("a"),)])
    assert journal.facts == [line.fact for line in journal.lines()]


@given(st.integers(0, 4_000_000))
@settings(max_examples=30)
def test_an_orphaned_lease_is_charged_for_as_long_as_it_can_have_been_held(passed_ms):
    tree = small_tree("halving", 3)
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree, moment=lambda: "boot/1000")
    start = engine.ask()
    hold = account.balance.holds[start.order.hold]
    again, account = engine_on(journal, tree, moment=lambda: f"boot/{1000 + passed_ms}")
    assert again.recover() == (start.order.hold,)
    longest = DeviceTime(passed_ms + 10_000)  # the seconds are rounded up to the next millisecond
    assert min(hold, longest) <= account.balance.spent <= min(hold, longest + DeviceTime(1))
    assert account.balance.holds == {}


@pytest.mark.parametrize("now", ["another boot/2000", "boot/999", ""])
def test_an_orphaned_lease_whose_time_cannot_be_known_is_charged_in_full(now):
    tree = small_tree("halving", 3)
    journal = begun(tree, AMPLE)
    engine, account = engine_on(journal, tree, moment=lambda: "boot/1000")
    start = engine.ask()
    hold = account.balance.holds[start.order.hold]
    again, account = engine_on(journal, tree, moment=lambda: now)
    again.recover()
    assert account.balance.spent == hold
