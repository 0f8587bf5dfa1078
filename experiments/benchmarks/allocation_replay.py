"""One search replayed on a world: what it recommends after how much charged device time.

The engine, its books and its policies are the real ones; only time is virtual. A stage that was recorded
longer than its hold ends at the deadline, as on a device, and training goes on in the next lease.

The recommendation after any charge is the mix and rung with the best score seen so far, the control
before that. No part of the cap is kept for finals: a search is judged by what it finds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.journal import MemoryJournal
from budgets.ledger import Charged, Opened
from experiments.benchmarks.allocation_leases import Leases
from experiments.benchmarks.allocation_world import Choice, World
from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.drivers.table import drive_table
from scheduler.engine import Engine
from scheduler.facts import STUDY_FACTS, StudyBegun, TrialMoved
from scheduler.moves import Start, Stop, Wait
from scheduler.policies import policy
from scheduler.space import Sampler, Space
from scheduler.spec import StudySpec
from scheduler.spec_parts import ObjectivesSpec
from scheduler.state import StudyState
from scheduler.structured import StructuredSampler
from scheduler.trial import MERGED, Role
from trainers.order import Measurement

PolicyName = Literal["halving", "uniform"]
Proposer = Literal["structured", "tpe", "nsga2", "gp", "random"]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to search.

    Attributes:
        name: in tables and figures.
        sampler: who proposes.
        policy: who climbs; ``uniform`` sees the top rung alone.
        counts_cost: whether device time is an objective beside the score.
        continues: whether a rung goes on from the one below, or trains from the encoder again.
        merged: whether a mix is looked at merged first, where the table has that rung.
        shares: whether a merge uses what other trials trained, or each trial pays for its own parts.
        per_hour: whether ``structured`` asks for gain per hour, or for gain whatever its price.
        lacks: which part of ours it is without; empty when that is not what it is for.
    """

    name: str
    sampler: Proposer
    policy: PolicyName
    counts_cost: bool = False
    continues: bool = True
    merged: bool = True
    shares: bool = True
    per_hour: bool = False
    lacks: str = ""

    def sees(self, world: World) -> World:
        """The world as this search finds it."""
        if self.policy == "uniform":
            return world.at_top
        seen = world if self.continues else world.anew
        return seen if self.merged else seen.unmerged


@dataclass(frozen=True, slots=True)
class Look:
    """A score that a search has seen.

    Attributes:
        charged_ms: device time charged until then, the encoder's included.
        choice: what was judged.
        score: on search cells, in points.
    """

    charged_ms: int
    choice: Choice
    score: float


@dataclass(frozen=True)
class Replay:
    """What came of one search.

    Attributes:
        cap_ms: device time granted.
        charged_ms: device time charged in all.
        repeated_ms: of it, beyond one bill for each distinct stage.
        looks: in order of charge.
        wall_ms: virtual time from first to last.
        decisions_ms: real time of each ask.
    """

    cap_ms: int
    charged_ms: int
    repeated_ms: int
    looks: tuple[Look, ...]
    wall_ms: int = 0
    decisions_ms: tuple[float, ...] = ()

    @property
    def overspent_ms(self) -> int:
        """Charged beyond the cap."""
        return max(0, self.charged_ms - self.cap_ms)

    def within(self, ms: int) -> tuple[Look, ...]:
        """Looks that were paid for by then."""
        return tuple(look for look in self.looks if look.charged_ms <= ms)

    def recommended(self, world: World) -> list[tuple[int, float]]:
        """Value of the recommendation from each charge on that changed it, the control's at 0."""
        steps = [(0, world.control)]
        best = float("-inf")
        for look in self.looks:
            if look.score > best:
                best = look.score
                steps.append((look.charged_ms, world.value(look.choice)))
        return steps


def replayed(world: World, method: Method, *, cap: DeviceTime, run: int, devices: int) -> Replay:
    """One search.

    Args:
        world: where.
        method: how.
        cap: device time it may be charged.
        run: seeds the sampler, and takes the recorded seeds in turn.
        devices: at once.
    """
    seen = method.sees(world)
    tree = seen.opened(_spec(seen, method, cap, run, devices))
    spec = tree.spec
    account = Account(MemoryJournal(STUDY_FACTS))
    account.book(StudyBegun(spec.name, spec.model_dump(mode="json"), "", {}), Opened(cap))
    chosen = policy(
        method.policy,
        n_rungs=tree.n_rungs,
        eta=spec.search.eta,
        seed=spec.seed,
        has_merged=tree.has_merged,
    )
    timed = _Timed(Engine(tree, account, chosen, _sampler(seen.space, spec, method, run), devices))
    leases = Leases(seen.bound(tree), shares=method.shares)
    outcome = drive_table(timed, leases.run, devices)
    return Replay(
        cap.ms,
        account.balance.spent.ms,
        leases.repeated_ms,
        tuple(_looks(account, lift=world.n_rungs - seen.n_rungs)),
        outcome.wall_ms,
        tuple(timed.decisions_ms),
    )


def _spec(world: World, method: Method, cap: DeviceTime, run: int, devices: int) -> StudySpec:
    """The recorded study with this search, cap and seed, and nothing kept for finals."""
    spec = world.spec
    one = spec.budget.devices.model_copy(update={"count": devices, "per_trial": 1})
    changes = {
        "seed": world.seeds[run % len(world.seeds)],
        "budget": spec.budget.model_copy(
            update={"gpu_hours": cap.hours, "devices": one, "final_share": 0.0}
        ),
        "search": spec.search.model_copy(
            update={"sampler": method.sampler, "policy": method.policy, "max_trials": None}
        ),
        "objectives": ObjectivesSpec(score="max", gpu_hours="min" if method.counts_cost else None),
        "final": spec.final.model_copy(update={"finalists": 1, "max_seeds": 1}),
    }
    return spec.model_copy(update=changes)


def _sampler(space: Space, spec: StudySpec, method: Method, run: int) -> Sampler:
    """Who proposes; seeded by the run, so that two runs on one recorded seed differ."""
    if method.sampler == "structured":
        return StructuredSampler(
            space,
            spec.intermediate.rungs,
            run,
            acquisition="per-hour" if method.per_hour else "plain",
            hours=method.counts_cost,
            search_ms=spec.budget.cap.ms,
        )
    return OptunaSampler(space, spec.objectives.directions, method.sampler, run)


def _looks(account: Account, *, lift: int) -> Iterator[Look]:
    """Scores of what was trained, with what had been charged by then; ``lift`` names the true rung."""
    state, charged_ms = StudyState(), 0
    for fact in account.facts():
        state.apply(fact)
        if isinstance(fact, Charged):
            charged_ms += fact.amount.ms
        elif isinstance(fact, TrialMoved) and fact.score is not None and fact.rung != MERGED:
            trial = state.trials[fact.trial]
            if trial.role is not Role.FINAL:
                mix = trial.recipe.mix
                yield Look(charged_ms, (mix, fact.rung + lift if mix.count else 0), fact.score)


class _Timed:
    """The engine, with the time that each of its answers took."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.decisions_ms: list[float] = []

    def ask(self) -> Start | Wait | Stop:
        begun_s = time.perf_counter()
        answer = self._engine.ask()
        self.decisions_ms.append(1000 * (time.perf_counter() - begun_s))
        return answer

    def tell(self, measurement: Measurement) -> None:
        self._engine.tell(measurement)
