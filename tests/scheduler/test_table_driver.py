"""Studies in virtual time: killed anywhere, resumed, replayed from a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import Bench, KeptJournal, begun, engine_on, small_tree

from budgets.amount import DeviceTime
from budgets.ledger import Charged, Opened, Released, Reserved
from scheduler.drivers.table import RecordedTable, drive_table
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.trial import TrialState

AMPLE = DeviceTime.from_hours(2)
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "small_study.txt"


class KilledError(Exception):
    """The driver died."""


@dataclass
class KillBefore:
    """A bench whose driver dies at the n-th order, counted from 0."""

    bench: Bench
    n: int

    def run(self, order):
        if self.n == 0:
            raise KilledError
        self.n -= 1
        return self.bench.run(order)


def undisturbed(tree, cap, bench, slots=1):
    journal = begun(tree, cap)
    engine, _ = engine_on(journal, tree, slots)
    drive_table(engine, bench.run, slots)
    return journal, engine


def resumed(transactions, tree, bench, slots=1):
    journal = KeptJournal.of(transactions)
    engine, account = engine_on(journal, tree, slots)
    holds = engine.recover()
    drive_table(engine, bench.run, slots)
    return journal, engine, account, holds


def proposals(facts):
    return [fact for fact in facts if isinstance(fact, TrialProposed)]


def finalists(engine):
    return {(t.finalist, t.recipe.seed) for t in engine.state.finals if t.state is TrialState.DONE}


def test_a_journal_cut_between_any_two_transactions_goes_on_to_the_same_study():
    tree = small_tree("halving", 3)
    bench = Bench(tree, 2, (0.5, 1.5))
    whole, engine = undisturbed(tree, AMPLE, bench)
    for n in range(1, len(whole.transactions)):
        journal, again, account, holds = resumed(whole.transactions[:n], tree, bench)
        assert account.balance.spent + account.balance.held <= AMPLE
        assert account.balance.holds == {}
        assert proposals(journal.facts) == proposals(whole.facts), n
        assert finalists(again) == finalists(engine), n
        if not holds:
            assert journal.facts == whole.facts, n


def test_a_journal_cut_anywhere_under_a_tight_cap_ends_inside_it():
    tree = small_tree("halving", None)
    cap = DeviceTime(120_000)
    bench = Bench(tree, 4, (0.3, 3.0), trouble=0.2)
    whole, _ = undisturbed(tree, cap, bench, slots=2)
    for n in range(1, len(whole.transactions), 2):
        journal, engine, account, _ = resumed(whole.transactions[:n], tree, bench, slots=2)
        assert account.balance.spent <= cap
        assert account.balance.holds == {}
        assert engine.state.ended
        kept = whole.transactions[:n]
        assert proposals(journal.facts)[: len(proposals(kept))] == proposals(kept)


@pytest.mark.parametrize("slots", [1, 3])
def test_a_driver_killed_between_any_two_moves_finds_the_same_finalists(slots):
    tree = small_tree("uniform", 3)
    bench = Bench(tree, 6, (0.5, 1.5))
    whole, engine = undisturbed(tree, AMPLE, bench, slots)
    n_orders = sum(isinstance(fact, StageStarted) for fact in whole.facts)
    for n in range(n_orders):
        journal = begun(tree, AMPLE)
        first, _ = engine_on(journal, tree, slots)
        with pytest.raises(KilledError):
            drive_table(first, KillBefore(bench, n).run, slots)
        again, account = engine_on(journal, tree, slots)
        assert again.recover()
        drive_table(again, bench.run, slots)
        assert finalists(again) == finalists(engine), n
        assert account.balance.overdrawn == DeviceTime(0)


def test_a_lease_that_a_killed_driver_left_open_is_charged_in_full():
    tree = small_tree()
    journal = begun(tree, AMPLE)
    engine, _ = engine_on(journal, tree)
    order = engine.ask().order
    again, account = engine_on(journal, tree)
    assert again.recover() == (order.hold,)
    assert account.balance.spent == order.limit
    assert again.recover() == ()
    assert again.ask().order.attempt == 2


def test_a_recorded_study_is_replayed_from_its_table_to_the_same_journal():
    tree = small_tree()
    whole, engine = undisturbed(tree, AMPLE, Bench(tree, 1, (0.8, 1.2)))
    table = RecordedTable.of(engine.state)
    journal = begun(tree, AMPLE)
    again, _ = engine_on(journal, tree)
    drive_table(again, table.run, 1)
    assert journal.facts == whole.facts


def test_a_stage_that_was_not_recorded_fails_at_no_cost_and_says_so():
    tree = small_tree()
    engine, account = engine_on(begun(tree, AMPLE), tree)
    replayed = drive_table(engine, RecordedTable({}).run, 1)
    assert "was not recorded" in replayed.reason
    assert account.balance.spent == DeviceTime(0)


def test_a_replay_that_is_cut_short_starts_as_many_stages_as_were_asked_for():
    tree = small_tree()
    engine, account = engine_on(begun(tree, AMPLE), tree)
    bench = Bench(tree)
    replayed = drive_table(engine, bench.run, 1, at_most=5)
    assert len(bench.answered) == 5
    assert replayed.reason.startswith("5 stages were started")
    assert account.balance.holds == {}


def test_virtual_time_on_one_slot_is_the_sum_of_all_bills():
    tree = small_tree()
    engine, account = engine_on(begun(tree, AMPLE), tree)
    replayed = drive_table(engine, Bench(tree).run, 1)
    assert replayed.wall_ms == account.balance.spent.ms


def test_a_small_study_decides_what_the_golden_journal_says():
    tree = small_tree("halving", 4)
    journal, _ = undisturbed(tree, AMPLE, Bench(tree, 9, (0.5, 1.5), trouble=0.08), slots=2)
    assert told(journal.facts) == GOLDEN.read_text()


def told(facts):
    """A journal as text that anyone can check: stages numbered in order, holds by their number."""
    stages, holds, lines = {}, {}, []

    def stage(name):
        return stages.setdefault(name, f"s{len(stages) + 1:02d}")

    def hold(name):
        return holds.setdefault(name, f"#{len(holds) + 1}")

    for fact in facts:
        match fact:
            case StudyBegun(name):
                lines.append(f"begun {name}")
            case Opened(amount):
                lines.append(f"open {amount.ms} ms")
            case Reserved(name, amount):
                lines.append(f"  reserve {hold(name)} {amount.ms} ms")
            case StageStarted(trial, name, fingerprint, config, attempt, expected_ms):
                lines.append(
                    f"  start {hold(name)} {trial} {config.kind} {stage(fingerprint)}"
                    f" attempt {attempt}, {expected_ms} ms expected"
                )
            case StageEnded(trial, measurement):
                value = "".join(f" {c.task}/{c.language} {c.value:.2f}" for c in measurement.scores)
                lines.append(f"  end {hold(measurement.hold)} {trial} {measurement.outcome}{value}")
            case Charged(name, purpose, amount):
                lines.append(f"  charge {hold(name)} {purpose} {amount.ms} ms")
            case Released(name):
                lines.append(f"  release {hold(name)}")
            case StageShared(trial, fingerprint, saved_ms):
                lines.append(f"{trial} shares {stage(fingerprint)}, {saved_ms} ms saved")
            case TrialProposed(trial, recipe, role, finalist, _):
                of = f" of {finalist}" if finalist else ""
                lines.append(
                    f"propose {trial} {role}{of}: {recipe.mix} cap {recipe.mix.cap}"
                    f" T {recipe.mix.temperature} seed {recipe.seed}"
                )
            case TrialMoved(trial, state, rung, score, reason):
                worth = "" if score is None else f" score {score:.3f}"
                lines.append(f"{trial} {state} rung {rung}{worth} ({reason})")
            case StudyEnded(reason):
                lines.append(f"ended: {reason}")
    return "\n".join(lines) + "\n"
