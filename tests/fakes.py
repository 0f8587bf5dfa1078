"""Stand-ins: a clock moved by hand, data without rows, and a bench that answers orders by formula.

With them a whole study takes milliseconds: the engine, the books and the journal are the real ones,
only nothing is trained. Scores and costs follow from what a stage is, never from chance or time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import MemoryJournal
from budgets.ledger import Opened
from budgets.spec import read_yaml
from scheduler.arms import proposals
from scheduler.engine import Engine
from scheduler.facts import STUDY_FACTS, StudyBegun
from scheduler.policies import policy
from scheduler.space import RandomSampler
from scheduler.spec import StudySpec, read
from scheduler.stage_claims import StageClaims
from scheduler.study import space_of
from scheduler.tree import StageTree
from trainers.order import CellScore, Measurement, Order, Outcome
from trainers.stage import MergeStage, ScoringStage, Stage, stage_name
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import Split

TOY_STUDY = Path(__file__).parent / "scheduler" / "toy_study.yaml"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_SMALL = {
    "intermediate.tasks": ["toy_text", "toy_entailment", "toy_reading", "toy_roles"],
    "intermediate.count": [0, 4],
    "target.tasks": ["toy_pos", "toy_tatoeba"],
    "target.languages": {"low_resource": "default"},
    "search.sampler": "random",
    "tracking.mlflow": None,
}


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def forward(self, seconds: float) -> None:
        self._now_s += seconds


class PaperSource:
    """Data that is only named: every split has 200 rows in every language."""

    def identity(self, split: Split, language: str) -> DataIdentity:
        name = f"{split.data.repo}/{split.data.config_for(language)}/{split.name}"
        return DataIdentity(f"{name}/{language}", "paper", 200)

    def rows(self, split: Split, language: str) -> Any:
        raise AssertionError(f"nothing may be read here: {split} in {language}")


class KeptJournal(MemoryJournal):
    """A journal in memory that remembers which facts were written together."""

    def __init__(self) -> None:
        super().__init__(STUDY_FACTS, now=lambda: NOON)
        self.transactions: list[tuple[object, ...]] = []

    def append(self, *facts: object) -> None:
        super().append(*facts)
        self.transactions.append(facts)

    @classmethod
    def of(cls, transactions: Iterable[tuple[object, ...]]) -> KeptJournal:
        journal = cls()
        for facts in transactions:
            journal.append(*facts)
        return journal

    @property
    def facts(self) -> list[object]:
        return [fact for facts in self.transactions for fact in facts]


def mapping_of(changes: Mapping[str, object], *, small: bool = True) -> dict[str, Any]:
    """The quick start's YAML, fewer tasks when ``small``, with values at dotted paths replaced."""
    mapping, _ = read_yaml(TOY_STUDY)
    for path, value in {**(_SMALL if small else {}), **changes}.items():
        *parents, last = path.split(".")
        part: Any = mapping
        for key in parents:
            part = part[key]
        part[last] = value
    return mapping


def spec_of(changes: Mapping[str, object] | None = None, *, small: bool = True) -> StudySpec:
    """The spec of :func:`mapping_of`."""
    return read(mapping_of(changes or {}, small=small), "test")


def tree_of(spec: StudySpec) -> StageTree:
    """A stage tree over data that is only named."""
    return StageTree(spec, PaperSource(), lambda _: "paper")


@cache
def small_tree(
    policy_name: str = "halving", max_trials: int | None = 4, max_seeds: int = 2
) -> StageTree:
    """The tree of a small study, built once; the cap and the slots are the engine's."""
    return tree_of(
        spec_of(
            {
                "search.policy": policy_name,
                "search.max_trials": max_trials,
                "search.eta": 2,
                "final.max_seeds": max_seeds,
            }
            if max_trials is not None
            else {"search.policy": policy_name, "search.eta": 2, "final.max_seeds": max_seeds}
        )
    )


def begun(tree: StageTree, cap: DeviceTime) -> KeptJournal:
    """A journal of a study that has just begun."""
    journal = KeptJournal()
    spec_json = tree.spec.model_dump(mode="json")
    journal.append(StudyBegun(tree.spec.name, spec_json, "", {}), Opened(cap))
    return journal


def engine_on(
    journal: MemoryJournal,
    tree: StageTree,
    slots: int = 1,
    moment: Callable[[], str] = str,
    claims: StageClaims | None = None,
) -> tuple[Engine, Account]:
    """A new engine on a journal, as after a start or a restart, and its account."""
    spec, account = tree.spec, Account(journal)
    chosen = policy(
        spec.search.policy,
        n_rungs=tree.n_rungs,
        eta=spec.search.eta,
        seed=spec.seed,
        has_merged=tree.has_merged,
        compares_arms=spec.search.design == "factorial",
    )
    sampler = RandomSampler(proposals(spec, space_of(spec)), spec.seed)
    grid = space_of(spec) if spec.search.policy == "grid" else None
    engine = Engine(tree, account, chosen, sampler, slots, moment=moment, grid=grid, claims=claims)
    return engine, account


@dataclass
class Bench:
    """Answers orders by formula, and remembers them.

    Attributes:
        tree: whose first forecast the costs are multiples of.
        salt: another salt is another world.
        costs: lowest and highest multiple.
        trouble: chance that a lease is truncated, fails or is lost.
        foresight: share of a merged score that a mix's worth decides; the rest is noise.
        answered: what it was asked and what it answered.
    """

    tree: StageTree
    salt: int = 0
    costs: tuple[float, float] = (1.0, 1.0)
    trouble: float = 0.0
    foresight: float = 1.0
    answered: list[tuple[Order, Measurement]] = field(default_factory=list)
    _tasks: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)

    def run(self, order: Order) -> Measurement:
        name = stage_name(order.stage)
        self._tasks[name] = self._lineage(order.stage)
        cost = self._cost(order, name)
        outcome = self._outcome(order, cost)
        scores = self._scores(order.stage) if outcome is Outcome.DONE else ()
        if outcome is Outcome.TRUNCATED:
            cost = order.limit.less(order.grace)
        if outcome is Outcome.LOST:
            cost = order.limit
        cost = min(cost, order.limit)
        purpose = Purpose.LOST if outcome is Outcome.LOST else Purpose.TRAIN
        load = DeviceTime(cost.ms // 10)
        bill = Bill({Purpose.LOAD: load, purpose: cost.less(load)})
        error = "" if outcome is Outcome.DONE else f"the bench made it {outcome}"
        measurement = Measurement(order.hold, name, outcome, bill, scores, error=error)
        self.answered.append((order, measurement))
        return measurement

    def _cost(self, order: Order, name: str) -> DeviceTime:
        low, high = self.costs
        factor = low + (high - low) * self._chance("cost", name)
        return DeviceTime(max(1, round(self.tree.work(order.stage).prior_ms * factor)))

    def _outcome(self, order: Order, cost: DeviceTime) -> Outcome:
        if self._chance("trouble", order.hold) < self.trouble:
            kinds = (Outcome.TRUNCATED, Outcome.FAILED, Outcome.LOST)
            return kinds[int(3 * self._chance("kind", order.hold))]
        return Outcome.DONE if cost <= order.limit.less(order.grace) else Outcome.TRUNCATED

    def _lineage(self, stage: Stage) -> tuple[tuple[str, ...], int]:
        """Intermediate tasks and tokens on the way to ``stage``."""
        shares = getattr(stage, "shares", ())
        if shares and stage.parent is not None:
            return tuple(share.task for share in shares), stage.tokens
        return self._tasks.get(getattr(stage, "parent", None) or "", ((), 0))

    def _scores(self, stage: Stage) -> tuple[CellScore, ...]:
        if not isinstance(stage, ScoringStage):
            return ()
        parents = (
            [p.stage for p in stage.parts] if isinstance(stage, MergeStage) else [stage.parent or ""]
        )
        trained = [self._tasks.get(parent, ((), 0)) for parent in parents]
        tasks, tokens = [task for names, _ in trained for task in names], trained[0][1]
        gain = sum(self._chance("gain", task) - 0.3 for task in tasks) * (1 + tokens / 150_000)
        if isinstance(stage, MergeStage):
            noise = 2 * self._chance("look", *[part.weight for part in stage.parts], *parents) - 1
            gain = self.foresight * gain + (1 - self.foresight) * noise
        return tuple(
            CellScore(stage.task, code, "accuracy", 40 + 5 * gain + self._chance("cell", code), 200)
            for code in stage.languages
        )

    def _chance(self, *about: object) -> float:
        """A number in [0, 1) that follows from ``about`` and the salt alone."""
        text = "/".join(str(part) for part in (self.salt, *about))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
