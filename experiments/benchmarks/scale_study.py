"""The large study of the scale benchmark: its spec, its made-up results, and a stopwatch around it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import experiments
from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.forecast import Forecast
from budgets.journal import Journal, Line, MemoryJournal, SqlJournal
from budgets.ledger import Opened
from scheduler.engine import Engine
from scheduler.facts import STUDY_FACTS, StudyBegun, TrialMoved
from scheduler.mix import Mix
from scheduler.moves import Start, Stop, Wait
from scheduler.spec import StudySpec, load
from scheduler.study import engine_of, sampler_of
from scheduler.tree import StageTree
from scheduler.trial import Recipe, TrialState
from trainers.order import CellScore, Measurement, Order, Outcome
from trainers.stage import EvaluateStage, Half, IntermediateStage, Stage
from trainers.tasks.source import DataIdentity

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.spec import Split

SamplerName = Literal["random", "structured", "tpe"]

_SPEC = Path(experiments.__file__).parent / "studies" / "xtreme-nine-by-nine.yaml"
_TARGETS = ("xnli", "tatoeba")  # trained, and retrieval: 4 stages a rung
_MODEL = "xlm-roberta-base"
_SPREAD = 0.4  # a stage takes 0.6 to 1.4 times its mean
_TAUGHT = 25  # bills of each kind of stage that the forecast knows beforehand


class LargeStudy(NamedTuple):
    """An open study: its engine, its journal, and what answers its orders."""

    engine: Engine
    journal: TimedJournal
    stages: SyntheticStages


class NamedData:
    """Data that is only named: every split has the same number of rows."""

    def identity(self, split: Split, language: str) -> DataIdentity:
        """The name of the split."""
        return DataIdentity(f"{split.place(language)}/{language}", "named", 50_000)

    def rows(self, split: Split, language: str) -> Dataset:
        """Never read.

        Raises:
            LookupError: always.
        """
        raise LookupError(f"nothing is trained here, and {split} in {language} has no rows")


def spec_of(recipes: int, devices: int, sampler: SamplerName) -> StudySpec:
    """Nine tasks with searched cap and temperature, three rungs, halving, two targets."""
    spec, _ = load(_SPEC)
    one = spec.budget.devices.model_copy(update={"count": devices})
    return spec.model_copy(
        update={
            "budget": spec.budget.model_copy(update={"gpu_hours": 1.0, "devices": one}),
            "model": spec.model.model_copy(update={"name": _MODEL}),
            "target": spec.target.model_copy(update={"tasks": _TARGETS}),
            "search": spec.search.model_copy(update={"sampler": sampler, "max_trials": recipes}),
        }
    )


@contextmanager
def opened(
    *, recipes: int, devices: int, sampler: SamplerName, stage_s: float, journal: Path | None
) -> Iterator[LargeStudy]:
    """A new study whose cap pays for the recipes, for one promotion in eta at each rung, and finals.

    Its forecast has learned from a run before it.
    """
    draft = spec_of(recipes, devices, sampler)
    stages = SyntheticStages(StageTree(draft, NamedData(), lambda _: "named"), stage_s)
    hours = stages.hours(recipes)
    budget = draft.budget.model_copy(update={"gpu_hours": hours})
    spec = draft.model_copy(update={"budget": budget})
    tree = StageTree(spec, NamedData(), lambda _: "named")
    kept = SqlJournal(journal, STUDY_FACTS, name=spec.name, writer=True) if journal else None
    try:
        timed = TimedJournal(kept or MemoryJournal(STUDY_FACTS))
        account = Account(timed)
        account.book(
            StudyBegun(spec.name, spec.model_dump(mode="json"), "", {}), Opened(spec.budget.cap)
        )
        engine = engine_of(spec, tree, account, sampler_of(spec), forecast=stages.forecast())
        yield LargeStudy(engine, timed, SyntheticStages(tree, stage_s))
    finally:
        if kept:
            kept.close()


class SyntheticStages:
    """Answers orders by formula: what a stage costs and scores follows from what it is.

    Attributes:
        n: orders answered.
        total_ms: device time of them all.
    """

    def __init__(self, tree: StageTree, stage_s: float) -> None:
        self._tree = tree
        self._sample = Recipe.of(Mix.of(tree.spec.intermediate.tasks), -1, tree.spec.arms[0])
        first = tree.nodes(self._sample, 0, Half.SEARCH)
        mean_prior_ms = sum(node.work.prior_ms for node in first) / len(first)
        self._per_prior = 1000 * stage_s / mean_prior_ms
        self._mixes: dict[str, tuple[tuple[str, ...], int]] = {}
        self.n = self.total_ms = 0

    def run(self, order: Order) -> Measurement:
        """Done, and scored where the stage is an evaluation."""
        _, name, _ = order.hold.split("/")  # to work it out again takes as long as a decision
        self._mixes[name] = _lineage(order.stage, self._mixes)
        cost_ms = round(self._mean_ms(order.stage) * (1 + _SPREAD * _signed(name)))
        cost = min(DeviceTime(cost_ms), order.limit.less(order.grace))
        outcome = Outcome.DONE if cost.ms == cost_ms else Outcome.TRUNCATED
        self.n += 1
        self.total_ms += cost.ms
        bill = Bill(
            {Purpose.LOAD: DeviceTime(cost.ms // 20), Purpose.TRAIN: DeviceTime(cost.ms - cost.ms // 20)}
        )
        scores = self._scores(order.stage) if outcome is Outcome.DONE else ()
        error = "" if scores or outcome is Outcome.DONE else "longer than its hold"
        return Measurement(order.hold, name, outcome, bill, scores, error=error)

    def hours(self, recipes: int) -> float:
        """What ``recipes`` would cost with one in eta promoted from each rung, and finals."""
        spec = self._tree.spec
        done: set[str] = set()
        ms = 0.0
        for rung in range(self._tree.n_rungs):
            nodes = [n for n in self._tree.nodes(self._sample, rung, Half.SEARCH) if n.name not in done]
            done.update(node.name for node in nodes)
            ms += recipes / spec.search.eta**rung * sum(self._mean_ms(n.stage) for n in nodes)
        return ms / 3_600_000 / (1 - spec.budget.final_share)

    def forecast(self) -> Forecast:
        """What a run before would have taught."""
        learned = Forecast()
        nodes = [
            node
            for rung in range(self._tree.n_rungs)
            for half in Half
            for node in self._tree.nodes(self._sample, rung, half)
        ]
        for i in range(_TAUGHT):
            for node in nodes:
                factor = 1 + _SPREAD * (2 * i / (_TAUGHT - 1) - 1)
                learned.learn(
                    node.work, DeviceTime(round(node.work.prior_ms * self._per_prior * factor))
                )
        return learned

    def _mean_ms(self, stage: Stage) -> float:
        return self._tree.work(stage).prior_ms * self._per_prior

    def _scores(self, stage: Stage) -> tuple[CellScore, ...]:
        if not isinstance(stage, EvaluateStage):
            return ()
        tasks, tokens = self._mixes.get(stage.parent or "", ((), 0))
        gain = sum(_signed(_digest(task)) for task in tasks) * (1 + tokens / 16e6)
        noise = _signed(stage.parent or "0" * 16)
        return tuple(
            CellScore(stage.task, code, "accuracy", round(50 + 3 * gain + noise, 3), 2_000)
            for code in stage.languages
        )


def _lineage(
    stage: Stage, known: Mapping[str, tuple[tuple[str, ...], int]]
) -> tuple[tuple[str, ...], int]:
    """Intermediate tasks and tokens on the way to ``stage``."""
    if isinstance(stage, IntermediateStage):
        return tuple(share.task for share in stage.shares), stage.tokens
    return known.get(getattr(stage, "parent", None) or "", ((), 0))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _signed(digest: str) -> float:
    """A number from -1 to 1 that follows from hex digits."""
    return int(digest[:8], 16) / 2**31 - 1


class TimedJournal:
    """A journal, and how long each transaction took."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.times_s: list[float] = []
        self.cpu_s = 0.0

    def append(self, *facts: object) -> None:
        """As the journal, timed."""
        begun_s, begun_cpu_s = time.perf_counter(), time.thread_time()
        self._journal.append(*facts)
        self.times_s.append(time.perf_counter() - begun_s)
        self.cpu_s += time.thread_time() - begun_cpu_s

    def lines(self) -> Iterator[Line]:
        """As the journal."""
        return self._journal.lines()


class Ask(NamedTuple):
    """One answered question.

    Attributes:
        took_s: without writing.
        started: whether a stage was the answer.
        began: whether a recipe was proposed or promoted for it.
    """

    took_s: float
    started: bool
    began: bool


class TimedEngine:
    """The engine, with the processor time of each of its answers and the wall time of its writes.

    Other programs of the machine slow both down; of the first they are left out.
    """

    def __init__(self, engine: Engine, journal: TimedJournal) -> None:
        self._engine = engine
        self._journal = journal
        self._thought_s = 0.0
        self.asks: list[Ask] = []
        self.tells_s: list[float] = []
        self.total_s = 0.0

    def ask(self) -> Start | Wait | Stop:
        """As the engine."""
        with self._timed() as took:
            answer = self._engine.ask()
        news = self._engine.news()
        began = any(isinstance(fact, TrialMoved) and fact.state is TrialState.RUNNING for fact in news)
        self.asks.append(Ask(took[0], isinstance(answer, Start), began))
        return answer

    def tell(self, measurement: Measurement) -> None:
        """As the engine."""
        with self._timed() as took:
            self._engine.tell(measurement)
        self.tells_s.append(took[0])

    def thought_ms(self) -> float:
        """What was thought and written since this was asked last."""
        thought_s, self._thought_s = self._thought_s, 0.0
        return 1000 * thought_s

    @contextmanager
    def _timed(self) -> Iterator[list[float]]:
        """Seconds of the block without writing, in the list once it has ended."""
        took: list[float] = []
        n_written, written_s = len(self._journal.times_s), self._journal.cpu_s
        begun_s = time.thread_time()
        yield took
        took.append(time.thread_time() - begun_s - (self._journal.cpu_s - written_s))
        all_s = took[0] + sum(self._journal.times_s[n_written:])
        self._thought_s += all_s
        self.total_s += all_s
