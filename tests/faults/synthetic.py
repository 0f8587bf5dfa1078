"""A worker whose stages take milliseconds, and the fuses that break it, or its driver, on the way.

The worker is the real one with the real watchdog, meter and stage store; only instead of training it
sleeps, and instead of scoring it computes. What a stage gives follows from its name and from what its
parent left in the store, so a parent that was lost or torn cannot go unnoticed.

A *fuse* is a fault and the place where it lies: the n-th time that this process passes there. Each
burns once in the life of a study, in the order given; a file says which have burnt.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from budgets.bill import Purpose
from trainers.checkpoints import PARTIAL, StageStore
from trainers.errors import StoreError
from trainers.order import CellScore, Order, Outcome
from trainers.stage import EvaluateStage, Stage, stage_name
from trainers.worker import Worker, WorkerSettings, _Found, _recorded

_FOREVER_S = 3600
_NODE = os.environ.get("FAULTS_NODE", "this machine")
_WEIGHTS_BYTES = 20_000


@dataclass
class Fuses:
    """The faults of one study, as one of its processes sees them.

    Attributes:
        folder: where it is written which have burnt.
        faults: each with ``at`` (a place), ``n`` (how often it is passed first) and ``do``.
    """

    folder: Path
    faults: list[dict[str, Any]]
    _passed: dict[int, int] = field(default_factory=dict)

    def burnt(self, number: int) -> Path:
        """The file that says that a fault has happened, and in which process."""
        return self.folder / f"burnt-{number}"

    def first(self) -> int | None:
        """The fault that burns next; None when all have burnt."""
        return next((i for i in range(len(self.faults)) if not self.burnt(i).exists()), None)

    def due(self, place: str) -> str | None:
        """The fault that happens here and now, if any; it is marked as burnt."""
        number = self.first()
        if number is None or self.faults[number]["at"] != place:
            return None
        self._passed[number] = self._passed.get(number, 0) + 1
        if self._passed[number] < self.faults[number]["n"]:
            return None
        try:
            descriptor = os.open(self.burnt(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:  # another worker was there first
            return None
        os.write(descriptor, str(os.getpid()).encode())
        os.close(descriptor)
        return str(self.faults[number]["do"])


class SyntheticWorker(Worker):
    """Carries out any order in milliseconds."""

    def __init__(self, settings: WorkerSettings, clock: Any) -> None:
        super().__init__(settings, clock)
        self._folder = Path(settings.cache_dir)
        schedule = json.loads((self._folder / "schedule.json").read_text())
        self._world = schedule["world"]
        self._trouble = schedule["trouble"]
        self._pace = schedule["pace"]
        self._fuses = Fuses(self._folder, schedule["faults"])
        self._leaks = False

    def run(self, order: Order, *hurried: Any) -> Any:
        _note(self._folder / "begun", f"{order.hold} {os.getpid()}")
        measurement = super().run(order, *hurried)
        if measurement.worn:
            _note(self._folder / "worn", f"{order.hold} {os.getpid()}")
        return measurement

    def _worn(self) -> str:
        return "made to leak" if self._leaks else ""

    def _carry_out(self, order: Order, meter: Any, hurried: Any) -> _Found:
        stage, name = order.stage, stage_name(order.stage)
        if order.limit <= order.grace:
            return _Found(Outcome.TRUNCATED)
        with meter.on(Purpose.LOAD):
            store = StageStore(self._settings.store)
            if store.has(name):
                store.drop(name + PARTIAL)
                return _recorded(store.open(name, thorough=True))
            lineage = _lineage(stage, store)
        evaluates = isinstance(stage, EvaluateStage)
        with meter.on(Purpose.EVALUATE if evaluates else Purpose.TRAIN):
            self._sleep(name)
            self._pass("evaluate" if evaluates else "train")
            self._pass(f"anything on {_NODE}")
            self._wait_for_another_node(order)
            self._sleep(name)
        if hurried():
            return _Found(Outcome.TRUNCATED)
        if (end := self._trouble_with(order, name, store, meter)) is not None:
            return end
        scores = self._scores(stage, lineage) if evaluates else ()
        with meter.on(Purpose.SAVE):
            self._save(store, name, stage, lineage, scores)
            store.drop(name + PARTIAL)
        return _Found(Outcome.DONE, scores, n_tokens=0 if evaluates else 100)

    def _save(
        self, store: StageStore, name: str, stage: Stage, lineage: object, scores: tuple[CellScore, ...]
    ) -> None:
        with store.write(name, stage) as folder:
            (folder / "weights").write_bytes(name[:10].encode() * (_WEIGHTS_BYTES // 10))
            self._pass("save")
            (folder / "lineage.json").write_text(json.dumps(lineage))
            record = {"scores": [asdict(score) for score in scores], "facts": {}}
            (folder / "facts.json").write_text(json.dumps(record))
        self._pass("saved")

    def _trouble_with(self, order: Order, name: str, store: StageStore, meter: Any) -> _Found | None:
        """What goes wrong with this stage by its nature: the same in every run of the study."""
        chance = self._chance("trouble", name) if self._trouble else 1.0
        if chance < 0.04 and order.stage.kind == "intermediate":
            return _Found(Outcome.INFEASIBLE, error="made to be too large")
        if chance < 0.10 and order.attempt == 1:
            raise StoreError("made to fail at the first attempt")
        if chance < 0.25 and not store.has(name + PARTIAL):
            with meter.on(Purpose.SAVE), store.write(name + PARTIAL, order.stage) as folder:
                (folder / "weights").write_bytes(b"half of it")
                self._pass("save")
            return _Found(Outcome.TRUNCATED, n_tokens=50)
        return None

    def _sleep(self, name: str) -> None:
        pace = 1 if self._fuses.first() is None else self._pace
        time.sleep(pace * (0.002 + 0.010 * self._chance("time", name)))

    def _wait_for_another_node(self, order: Order) -> None:
        """Leave work to a node that is to die while it works, however slow it is to start a worker."""
        number = self._fuses.first()
        place = "" if number is None else str(self._fuses.faults[number]["at"])
        if place.startswith("anything on") and place != f"anything on {_NODE}":
            until_s = time.monotonic() + order.limit.ms / 1000 / 2
            while self._fuses.first() == number and time.monotonic() < until_s:
                time.sleep(0.05)

    def _scores(self, stage: EvaluateStage, lineage: Mapping[str, Any]) -> tuple[CellScore, ...]:
        tasks, tokens = lineage["tasks"], lineage["tokens"]
        gain = sum(self._chance("gain", task) - 0.3 for task in tasks) * (1 + tokens / 10_000)
        return tuple(
            CellScore(stage.task, code, "accuracy", 40 + 5 * gain + self._chance("cell", code), 200)
            for code in stage.languages
        )

    def _chance(self, *about: object) -> float:
        """A number in [0, 1) that follows from ``about`` and the world alone."""
        text = "/".join(str(part) for part in (self._world, *about))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48

    def _pass(self, place: str) -> None:
        action = self._fuses.due(place)
        if action is None:
            return
        if "unwatch" in action and self._watchdog.pid is not None:
            os.kill(self._watchdog.pid, signal.SIGKILL)
        if "kill" in action:
            os.kill(os.getpid(), signal.SIGKILL)
        if "leak" in action:
            self._leaks = True
        if "hang" in action:
            time.sleep(_FOREVER_S)


def _lineage(stage: Stage, store: StageStore) -> dict[str, Any]:
    """Intermediate tasks and tokens on the way to ``stage``, from what its parents left."""
    found: dict[str, Any] = {"tasks": [], "tokens": 0}
    for parent in (stage.parent, getattr(stage, "continues", None)):
        if parent is not None:
            folder = store.open(parent, thorough=True)
            assert (folder / "weights").read_bytes() == parent[:10].encode() * (_WEIGHTS_BYTES // 10)
            found = json.loads((folder / "lineage.json").read_text())
    if getattr(stage, "kind", "") == "intermediate":
        found = {"tasks": [share.task for share in stage.shares], "tokens": stage.tokens}
    return found


def _note(file: Path, line: str) -> None:
    """Add a line that a killed process leaves whole or not at all."""
    descriptor = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)
