"""Two studies on one store at the same time: what both need is run once."""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from dataclasses import replace

from fakes import Bench, HandClock, begun, engine_on, small_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from scheduler.moves import Start, Stop, Wait
from trainers.order import Outcome
from trainers.stage import Half, StageKind, stage_name
from trainers.stage_claims import StoreClaims

AMPLE = DeviceTime.from_hours(2)
FOUND = Bill({Purpose.LOAD: DeviceTime(5)})


class Shared:
    """Some studies on one store, in virtual time; a stage is in the store once it has ended as done."""

    def __init__(self, folder, *, slots, bench, cap):
        self.clock, self.slots, self.bench = HandClock(), slots, bench
        self.journals = [begun(bench.tree, cap) for _ in slots]
        self.engines = [self.opened(i, folder) for i in range(len(slots))]
        self.in_store, self.running, self.worked, self.reasons = {}, [], Counter(), {}
        self.at_work, self.n_started = set(), 0

    def opened(self, i, folder):
        claims = StoreClaims(folder, f"study {i}", self.clock.now_s)
        return engine_on(self.journals[i], self.bench.tree, self.slots[i], claims=claims)[0]

    def kill(self, i):
        """The driver of a study and its workers are gone; what they were at is not in the store."""
        lost = [one for one in self.running if one[2] == i]
        self.running = [one for one in self.running if one[2] != i]
        heapq.heapify(self.running)
        self.at_work -= {one[3].stage for one in lost}
        self.reasons[i] = "killed"

    def ask(self, i):
        busy = sum(one[2] == i for one in self.running)
        while i not in self.reasons and busy < self.slots[i]:
            match self.engines[i].ask():
                case Start(order=order):
                    self.start(i, order)
                    busy += 1
                case Stop(reason):
                    self.reasons[i] = reason
                case Wait():
                    return

    def start(self, i, order):
        name = stage_name(order.stage)
        measurement = self.bench.run(order)
        assert name not in self.at_work, "two studies are at one stage"
        if name in self.in_store:
            measurement = replace(self.in_store[name], hold=order.hold, bill=FOUND)
        self.at_work.add(name)
        ends_s = self.clock.now_s() + measurement.bill.total.ms / 1000
        self.n_started += 1
        heapq.heappush(self.running, (ends_s, self.n_started, i, measurement))

    def step(self):
        """Ask everybody, then let the stage that ends first end; time passes where all wait."""
        for i in range(len(self.engines)):
            self.ask(i)
        if not self.running:
            self.clock.forward(600)
            return
        ends_s, _, i, measurement = heapq.heappop(self.running)
        self.clock.forward(max(0.0, ends_s - self.clock.now_s()))
        self.at_work.discard(measurement.stage)
        if measurement.outcome is Outcome.DONE:
            self.worked[measurement.stage] += measurement.bill != FOUND
            self.in_store.setdefault(measurement.stage, measurement)
        self.engines[i].tell(measurement)

    def until(self, n_steps=20_000, *, n_over):
        for _ in range(n_steps):
            if len(self.reasons) >= n_over:
                return
            self.step()
        raise AssertionError(f"still going: {self.reasons}")


worlds = st.fixed_dictionaries(
    {
        "slots": st.lists(st.integers(1, 3), min_size=2, max_size=3),
        "salt": st.integers(0, 10_000),
        "trouble": st.sampled_from([0.0, 0.2, 0.5]),
        "cap_ms": st.integers(60_000, 600_000),
    }
)


def shared(folder, world):
    bench = Bench(small_tree("halving", 4), world["salt"], (0.5, 2.0), world["trouble"])
    return Shared(folder, slots=world["slots"], bench=bench, cap=DeviceTime(world["cap_ms"]))


@settings(max_examples=12)
@given(worlds)
def test_no_stage_is_worked_at_twice_and_every_study_ends(world):
    with tempfile.TemporaryDirectory() as folder:
        lab = shared(folder, world)
        lab.until(n_over=len(lab.slots))
    assert set(lab.worked.values()) <= {1}
    for engine, journal in zip(lab.engines, lab.journals, strict=True):
        assert not engine.state.leases
        assert journal.facts


@settings(max_examples=12)
@given(worlds, st.integers(0, 40), st.booleans())
def test_what_a_killed_study_was_at_is_taken_over_when_its_claim_expires(world, n_steps, restarts):
    with tempfile.TemporaryDirectory() as folder:
        lab = shared(folder, world)
        for _ in range(n_steps):
            if 0 not in lab.reasons:
                lab.step()
        lab.kill(0)
        if restarts:
            del lab.reasons[0]
            lab.engines[0] = lab.opened(0, folder)
            lab.engines[0].recover()
        lab.until(n_over=len(lab.slots))
    assert set(lab.worked.values()) <= {1}


def test_a_study_waits_for_the_stage_of_another_and_then_has_it_for_next_to_nothing(tmp_path):
    lab = Shared(str(tmp_path), slots=[1, 1], bench=Bench(small_tree("halving", 3)), cap=AMPLE)
    first, second = lab.engines
    lab.ask(0)
    assert second.ask() == Wait(elsewhere=True)
    assert not any(lab.journals[1].transactions[2:])  # proposed, and nothing reserved
    lab.until(n_over=2)
    base = lab.bench.tree.base("toy-tiny").name
    assert lab.worked[base] == 1
    found = second.state.stages[base].measurements
    assert [m.outcome for m in found] == [Outcome.DONE]
    assert found[0].bill == FOUND
    together = sum(engine.state.stages[base].charged.ms for engine in (first, second))
    assert together - FOUND.total.ms == first.state.stages[base].charged.ms


def test_a_trial_whose_next_stage_runs_elsewhere_takes_another_on_its_way(tmp_path):
    tree, clock = small_tree("halving", 3), HandClock()
    bench = Bench(tree)
    engine, _ = engine_on(
        begun(tree, AMPLE), tree, claims=StoreClaims(str(tmp_path), "ours", clock.now_s)
    )
    engine.tell(bench.run(engine.ask().order))  # the encoder
    way = tree.nodes(engine.state.control.recipe, 0, Half.SEARCH)
    target = next(node for node in way if node.stage.kind is StageKind.TARGET)
    theirs = StoreClaims(str(tmp_path), "theirs", clock.now_s)
    assert theirs.claim(target.name, 100)
    order = engine.ask().order
    assert (order.stage.kind, order.stage.task) == (StageKind.EVALUATE, "toy_tatoeba")
    engine.tell(bench.run(order))
    assert engine.ask() == Wait(elsewhere=True)
    theirs.release(target.name, done=False)
    assert stage_name(engine.ask().order.stage) == target.name
