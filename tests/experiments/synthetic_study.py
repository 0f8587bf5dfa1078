"""A made-up study with a real journal and real record files: 19 mixes, 3 rungs, 3 finalists, 4 seeds.

Nothing is trained; scores follow a known truth: some tasks help, two hurt, more than three stop
helping, and longer training helps a little.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import SqlJournal
from budgets.ledger import Charged, Opened, Released, Reserved
from experiments.load import FACT_TYPES
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.mix import Mix
from scheduler.score import score
from scheduler.spec import StudySpec
from scheduler.trial import Arm, Recipe, Role, TrialState
from trainers.metrics import STATISTICS, value
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    ModelRef,
    Optimisation,
    TargetStage,
    TaskShare,
    stage_name,
)
from trainers.tasks.catalog import TASKS
from trainers.tasks.spec import Metric

SPEC_TEXT = """\
name: synthetic
question: How many intermediate tasks are worth their compute for low-resource languages?
seed: 13
budget:
  gpu_hours: 200
  devices: {kind: gpu, count: 8}
  final_share: 0.4
model: {name: FacebookAI/xlm-roberta-large, precision: bf16}
data: {source: hub}
intermediate:
  tasks: [anli, mnli, qqp, squad_v2, squad_v1, hellaswag, cosmosqa, commonsenseqa]
  count: [0, 8]
  mixing: {cap: [16384, 131072], temperature: [1.0, 4.0]}
  rungs: [1M, 4M, 16M]
  learning_rate: 1.0e-5
target:
  benchmark: xtreme
  tasks: [udpos, panx, xnli, xquad, tatoeba]
  languages: [sw, ur, te, mr, kk, yo, vi, de]
  tokens: 2M
final: {finalists: 3, max_seeds: 4}
"""
SPEC = {
    "name": "synthetic",
    "question": "How many intermediate tasks are worth their compute for low-resource languages?",
    "seed": 13,
    "budget": {"gpu_hours": 200, "devices": {"kind": "gpu", "count": 8}, "final_share": 0.4},
    "model": {"name": "FacebookAI/xlm-roberta-large", "precision": "bf16"},
    "data": {"source": "hub"},
    "intermediate": {
        "tasks": [
            "anli",
            "mnli",
            "qqp",
            "squad_v2",
            "squad_v1",
            "hellaswag",
            "cosmosqa",
            "commonsenseqa",
        ],
        "count": [0, 8],
        "mixing": {"cap": [16384, 131072], "temperature": [1.0, 4.0]},
        "rungs": [1_000_000, 4_000_000, 16_000_000],
        "learning_rate": 1.0e-5,
    },
    "target": {
        "benchmark": "xtreme",
        "tasks": ["udpos", "panx", "xnli", "xquad", "tatoeba"],
        "languages": ["sw", "ur", "te", "mr", "kk", "yo", "vi", "de"],
        "tokens": 2_000_000,
    },
    "final": {"finalists": 3, "max_seeds": 4},
}
HELP = {"squad_v2": 0.9, "squad_v1": 0.7, "hellaswag": 0.6, "mnli": 0.4, "cosmosqa": 0.2, "anli": 0.1}
HARM = {"qqp": -0.6, "commonsenseqa": -0.1}
MODEL = ModelRef("FacebookAI/xlm-roberta-large", "f" * 40, precision="bf16")
STEPS = Optimisation(1e-5)
HOUR_MS = 3_600_000


def true_gain(mix: Mix, rung: int) -> float:
    """Points over the control."""
    gains = sorted((HELP | HARM)[task] for task in mix.tasks)[::-1]
    total = sum(gain * 0.75**place for place, gain in enumerate(gains))
    return (total - 0.3 * max(0, mix.count - 3)) * (0.5, 0.8, 1.0)[rung] * 1.5


class SyntheticStudy:
    """Writes the journal of a study as eight devices would have made it.

    Args:
        store: folder for the run and its stages.
        kind: of the devices.
        gain: multiplies every true gain.
        shift: points added to every mix.
        finals: whether finalists are repeated.
        ended: whether the study came to an end.
    """

    def __init__(
        self, store: Path, *, name="synthetic", kind="gpu", gain=1.0, shift=0.0, finals=True, ended=True
    ):
        self.store, self.gain, self.shift, self.finals, self.ended = store, gain, shift, finals, ended
        plain = {**SPEC, "name": name, "store": str(store)}
        plain["budget"] = {**SPEC["budget"], "devices": {"kind": kind, "count": 8}}
        self.spec = StudySpec.model_validate(plain)
        self.folder = store / name
        self.folder.mkdir(parents=True)
        self.at = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        url = f"sqlite:///{self.folder / 'journal.db'}"
        self.journal = SqlJournal(url, FACT_TYPES, writer=True, now=lambda: self.at)
        self.rng = np.random.default_rng(7)
        self.done: dict[str, Measurement] = {}
        self.scores: dict[tuple[str, int], float] = {}
        self.mixes: dict[str, Mix] = {}
        self.arms: dict[str, Arm] = {}
        self.ease = {lang: 0.74 - 0.04 * i for i, lang in enumerate(self.spec.languages[::-1])}
        self.hard: dict[tuple[str, str, str], np.ndarray] = {}

    def write(self) -> Path:
        """The run folder, its journal complete."""
        begun = StudyBegun(
            self.spec.name,
            self.spec.model_dump(mode="json"),
            SPEC_TEXT,
            {
                "python": "3.11.9",
                "torch": "2.13.0",
                "git_commit": "0123abc",
                "devices": ["NVIDIA H200"] * 8,
            },
        )
        self.journal.append(begun, Opened(DeviceTime.from_hours(self.spec.budget.gpu_hours)))
        self._search()
        if self.finals:
            self._finals()
        if self.ended:
            self.journal.append(
                StudyEnded("cap reached: the next pair of finals needs more than is free")
            )
        else:
            self.journal.append(Reserved("t0002/open/1", DeviceTime(2 * HOUR_MS)))
        self.journal.close()
        return self.folder

    def _search(self) -> None:
        tasks = self.spec.intermediate.tasks
        self._propose("t0000", Mix(), Role.CONTROL, "control")
        subsets = [("squad_v2",), ("squad_v1", "squad_v2", "hellaswag"), tasks, ("qqp",)]
        while len(subsets) < 19:
            k = int(self.rng.integers(1, 7))
            subsets.append(tuple(sorted(self.rng.choice(tasks, size=k, replace=False).tolist())))
        for number, subset in enumerate(subsets, start=1):
            cap, temperature = int(self.rng.integers(16, 132)) * 1000, float(self.rng.uniform(1, 4))
            mix = Mix.of(tuple(subset), cap, temperature)
            self._propose(f"t{number:04d}", mix, Role.SEARCH, "tpe")
        self._climb(["t0000", *sorted(self.mixes)[1:]], 0)
        self._end("t0019", TrialState.FAILED, "stage failed 3 times: loss is not finite")
        self._climb(self._best(0, 7), 1)
        third = self._best(1, 4)
        self._climb(third[:3], 2)
        for name in third[:3]:
            self._end(name, TrialState.DONE, "last rung")
        for name in third[3:]:
            self._end(name, TrialState.UNAFFORDABLE, "rung 2 needs 7.4 device-hours, 3.1 are free")
        for name in sorted(self.mixes)[1:]:
            if name not in third and name != "t0019":
                self._end(name, TrialState.PRUNED, "others were promoted")
        self._end("t0000", TrialState.DONE, "control")

    def _best(self, rung: int, n: int) -> list[str]:
        scored = {t: s for (t, r), s in self.scores.items() if r == rung and t not in ("t0000", "t0019")}
        return sorted(scored, key=lambda name: -scored[name])[:n]

    def _finals(self) -> None:
        arms = ["t0000", *self._best(2, 3)]
        number = count()
        for seed in range(13, 17):
            names = []
            for arm in arms:
                name = f"f{next(number):04d}"
                self._propose(name, self.mixes[arm], Role.FINAL, "final", seed, arm)
                names.append(name)
            self._climb(names, 2, Half.REPORT, seed)
            for name in names:
                self._end(name, TrialState.DONE, "scored on report cells")

    def _propose(self, name, mix, role, origin, seed=13, finalist=None, arm=None) -> None:
        self.mixes[name] = mix
        self.arms[name] = arm or self.spec.arms[0]
        recipe = Recipe.of(mix, seed, self.arms[name])
        self.journal.append(TrialProposed(name, recipe, role, finalist, origin))

    def _end(self, name: str, state: TrialState, reason: str) -> None:
        rung = max((r for t, r in self.scores if t == name), default=0)
        self.journal.append(TrialMoved(name, state, rung, None, reason))

    def _climb(self, names: list[str], rung: int, half: Half = Half.SEARCH, seed: int = 13) -> None:
        """Train and score some trials to one rung, eight leases at a time."""
        ways = []
        for name in names:
            self.journal.append(TrialMoved(name, TrialState.RUNNING, rung))
            ways.append((name, self._stages(name, rung, half, seed)))
        clock = [(self.at, slot) for slot in range(8)]
        ending: list[tuple[datetime, int, object]] = []
        order = count()
        for name, stages in ways:
            for stage in stages:
                start, slot = heapq.heappop(clock)
                while ending and ending[0][0] <= start:
                    self._close(heapq.heappop(ending))
                self.at = max(self.at, start)
                end = self._lease(name, stage, rung, seed, ending, order)
                heapq.heappush(clock, (end, slot))
        while ending:
            self._close(heapq.heappop(ending))
        for name in names:
            cells = [
                c for s in self._stages(name, rung, half, seed) for c in self.done[stage_name(s)].scores
            ]
            self.scores[name, rung] = score(cells)
            state = TrialState.PAUSED if name != "t0019" else TrialState.RUNNING
            if (
                state is TrialState.PAUSED
                and half is Half.SEARCH
                and rung < 2
                and self.mixes[name].count
            ):
                self.journal.append(
                    TrialMoved(name, state, rung, self.scores[name, rung], "waits for promotion")
                )
            else:
                self.journal.append(TrialMoved(name, TrialState.RUNNING, rung, self.scores[name, rung]))

    def _stages(self, trial: str, rung: int, half: Half, seed: int) -> list:
        stages, encoder, rungs = [], None, self.spec.intermediate.rungs
        mix, arm = self.mixes[trial], self.arms[trial]
        model = replace(MODEL, name=arm.model, tuning=arm.tuning)
        for level in range(rung + 1 if mix.count else 0):
            shares = tuple(TaskShare(task, round(1 / mix.count, 6), ()) for task in mix.tasks)
            before = rungs[level - 1] if level else 0
            cap = replace(STEPS, weight_decay=mix.cap / 1e7 + mix.temperature)
            trunk = IntermediateStage(model, None, encoder, shares, before, rungs[level], cap, seed)
            encoder = stage_name(trunk)
            stages.append(trunk)
        for task, languages in self.spec.cells:
            parent = encoder
            if TASKS[task].train:
                target = TargetStage(model, encoder, task, (), self.spec.target.tokens, STEPS, seed)
                stages.append(target)
                parent = stage_name(target)
            stages.append(EvaluateStage(model, parent, task, languages, half, ()))
        return stages

    def _drawn(self, stage) -> dict[str, float]:
        """Shares of 1,000 steps, drawn at the rates that were planned."""
        if not isinstance(stage, IntermediateStage):
            return {}
        planned = np.array([share.rate for share in stage.shares])
        steps = np.random.default_rng(stage.tokens).multinomial(1000, planned / planned.sum())
        return {share.task: n / 1000 for share, n in zip(stage.shares, steps.tolist(), strict=True)}

    def _lease(self, trial, stage, rung, seed, ending, order) -> datetime:
        name = stage_name(stage)
        if name in self.done:
            saved = self.done[name].bill.total.ms
            self.journal.append(StageShared(trial, name, saved))
            return self.at
        hours = {"intermediate": 0.3, "target": 0.68, "evaluate": 0.09}[stage.kind]
        if isinstance(stage, IntermediateStage):
            hours *= (stage.tokens - stage.tokens_before) / 1e6 * 0.8
        ms = round(hours * HOUR_MS * self.rng.uniform(0.9, 1.15))
        attempt = 1
        if trial == "t0003" and isinstance(stage, IntermediateStage) and rung == 0:
            self._lose(trial, name, stage, ms)
            attempt = 2
        hold = f"{trial}/{name}/{attempt}"
        started = StageStarted(trial, hold, name, stage, attempt, ms)
        self.journal.append(Reserved(hold, DeviceTime(round(ms * 1.3))), started)
        work = Purpose.EVALUATE if isinstance(stage, EvaluateStage) else Purpose.TRAIN
        shares = {work: 0.955, Purpose.LOAD: 0.025, Purpose.SAVE: 0.012, Purpose.IDLE: 0.008}
        bill = Bill({purpose: DeviceTime(round(ms * share)) for purpose, share in shares.items()})
        cells = self._score(trial, stage, name, rung, seed) if isinstance(stage, EvaluateStage) else ()
        measurement = Measurement(hold, name, Outcome.DONE, bill, cells, rates=self._drawn(stage))
        self.done[name] = measurement
        end = self.at + timedelta(milliseconds=ms)
        heapq.heappush(ending, (end, next(order), (trial, measurement)))
        return end

    def _lose(self, trial, name, stage, ms) -> None:
        """A first attempt whose worker died."""
        hold, bill = f"{trial}/{name}/1", Bill({Purpose.LOST: DeviceTime(ms)})
        self.journal.append(Reserved(hold, bill.total), StageStarted(trial, hold, name, stage, 1, ms))
        lost = Measurement(hold, name, Outcome.LOST, bill, error="the worker did not come back")
        self.journal.append(
            StageEnded(trial, lost), Charged(hold, Purpose.LOST, bill.total), Released(hold)
        )

    def _close(self, event) -> None:
        at, _, (trial, measurement) = event
        self.at = max(self.at, at)
        charges = [Charged(measurement.hold, p, a) for p, a in measurement.bill.items()]
        self.journal.append(StageEnded(trial, measurement), *charges, Released(measurement.hold))

    def _score(self, trial, stage: EvaluateStage, name, rung, seed) -> tuple[CellScore, ...]:
        metric = TASKS[stage.task].metric
        mix = self.mixes[trial]
        gain = self._gain(trial, rung)
        luck = np.random.default_rng([seed, len(mix.tasks), rung]).normal(0, 0.25)
        cells, tables = [], []
        for language in stage.languages:
            bonus = {"tatoeba": 1.8, "xquad": 1.6, "udpos": 0.3}.get(stage.task, 0.9)
            poor = 1.3 if language in ("sw", "yo", "te", "ur") else 0.7
            chance = self.ease[language] + (gain * bonus * poor + luck) / 100
            records = self._records(metric, stage, language, chance)
            sums = {column: values.sum() for column, values in records.items()}
            n = len(next(iter(records.values())))
            cells.append(CellScore(stage.task, language, metric, float(value(metric, sums, n)), n))
            ids = [f"{language}-{i}" for i in self.rng.permutation(n)]
            order = [int(one.split("-")[1]) for one in ids]
            columns = {k: v[order] for k, v in records.items()}
            tables.append(pa.table({"language": [language] * n, "example": ids, **columns}))
        folder = self.store / "stages" / name
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(tables), folder / "records.parquet")
        return tuple(cells)

    def _gain(self, trial: str, rung: int) -> float:
        """True points over the control."""
        mix = self.mixes[trial]
        return self.gain * true_gain(mix, rung) + self.shift if mix.count else 0.0

    def _records(self, metric: Metric, stage, language, chance) -> dict[str, np.ndarray]:
        """Right answers: an example is as hard for every run, and a little luck is the run's own."""
        n = 400 if stage.half is Half.REPORT else 200
        key = (stage.task, language, str(stage.half))
        if key not in self.hard:
            self.hard[key] = self.rng.uniform(size=n)
        right = (0.9 * self.hard[key] + 0.1 * self.rng.uniform(size=n) < chance).astype(float)
        if metric is Metric.SPAN_F1:
            spans = np.full(n, 3.0)
            return {"true_positives": right * 3, "n_predicted": spans, "n_gold": spans}
        if metric is Metric.QA_F1_EM:
            return {"f1": right, "em": right * (self.hard[key] > 0.2)}
        return dict.fromkeys(STATISTICS[metric], right)
