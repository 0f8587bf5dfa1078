"""A driver in a process of its own, that dies where its schedule says: ``python driver.py FOLDER``.

Journal, account, engine and the bridge to Ray Tune are the real ones. In Tune's place stands a small
loop that calls the bridge's hooks in Tune's order and runs each trial on a worker process, so that a
whole study takes a second.

Exit codes: 0 the study ended, 3 refused (another driver), 4 taken over, 5 stopped by the user.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

from audit import CODEC
from fakes import PaperSource, spec_of
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler
from synthetic import Fuses, SyntheticWorker, _note

import scheduler.climb
import scheduler.money
from budgets.account import Account
from budgets.amount import DeviceTime
from budgets.clock import MonotonicClock
from budgets.envelope import Envelope
from budgets.errors import JournalError, SecondDriverError
from budgets.journal import Line, SqlJournal
from budgets.ledger import Opened
from scheduler.adapters.ray_bridge import Bridge
from scheduler.drivers.lease import granted
from scheduler.engine import Engine
from scheduler.facts import STUDY_FACTS, StudyBegun
from scheduler.interrupt import Interrupt
from scheduler.space import RandomSampler
from scheduler.study import engine_of, space_of
from scheduler.tree import StageTree
from trainers.order import Measurement, Order
from trainers.worker import WorkerSettings

ENDED, REFUSED, OVERTAKEN, STOPPED = 0, 3, 4, 5
LAB = DeviceTime.from_hours(1_000)
_LOOK_S = 0.02


@cache
def tree_of(policy: str, slots: int) -> StageTree:
    """The stages of the study: few, and all so short that a first forecast is under a second."""
    spec = spec_of(
        {
            "pretrain.tokens": 3_000,
            "intermediate.rungs": [3_000, 6_000],
            "target.tokens": 3_000,
            "search.policy": policy,
            "search.max_trials": 4,
            "search.eta": 2,
            "objectives": {"score": "max"},  # not the cost: that may differ by what a fault costs
            "final.max_seeds": 2,
            "budget.gpu_hours": 1,
            "budget.devices": {"kind": "cpu", "count": slots, "per_trial": 1},
        }
    )
    return StageTree(spec, PaperSource(), lambda _: "paper")


class DyingJournal:
    """A journal that says what it has acknowledged, with a fuse before and after each append."""

    def __init__(self, journal: SqlJournal, folder: Path, strike: Callable[[str], None]) -> None:
        self._journal = journal
        self._acknowledged = folder / "acknowledged"
        self._strike = strike
        self._last_seq = sum(1 for _ in journal.lines())

    def append(self, *facts: object) -> None:
        self._strike("before append")
        self._journal.append(*facts)
        for seq, fact in enumerate(facts, self._last_seq + 1):
            _note(self._acknowledged, f"{seq} {' '.join(CODEC.write(fact))}")
        self._last_seq += len(facts)
        self._strike("after append")

    def lines(self) -> Iterator[Line]:
        return self._journal.lines()


@dataclass
class PaperTrial:
    """What the bridge needs of a Tune trial."""

    trial_id: str
    status: str = TuneTrial.PENDING
    worker: PaperWorker | None = None

    def get_error(self) -> str | None:
        return None if self.worker is None else f"its process {self.worker.pid} ended"


@dataclass
class PaperWorker:
    """A worker process, and the driver's end of the pipe to it."""

    pid: int
    pipe: Connection
    trial: PaperTrial | None = None


@dataclass
class PaperTune:
    """Tune's loop: as many workers as slots, started when wanted and kept."""

    settings: WorkerSettings
    slots: int
    hurry_file: Path
    desk: dict[str, tuple[float, Order]] = field(default_factory=dict)
    trials: list[PaperTrial] = field(default_factory=list)
    workers: list[PaperWorker] = field(default_factory=list)

    def leave(self, tune_id: str, order: Order) -> None:
        self.desk[tune_id] = (time.monotonic(), order)

    def kill(self, trial: Any) -> None:
        if trial.worker is not None:
            os.kill(trial.worker.pid, signal.SIGKILL)

    def run(self, bridge: Bridge) -> None:
        while not bridge.over:
            self._add_trials(bridge)
            while (worker := self._free()) is not None:
                trial = bridge.guarded(bridge.chosen)
                if trial is None:
                    break
                trial.status, trial.worker, worker.trial = TuneTrial.RUNNING, worker, trial
                self._hand_over(trial)
            else:
                bridge.guarded(bridge.chosen)  # Tune asks at every turn: the overdue are ended there
            for pipe in wait([worker.pipe for worker in self.workers], _LOOK_S):
                worker = next(worker for worker in self.workers if worker.pipe is pipe)
                self._heard(worker, bridge)

    def end(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
            os.waitpid(worker.pid, 0)

    def _add_trials(self, bridge: Bridge) -> None:
        while bridge.guarded(bridge.suggest, f"tune{len(self.trials)}"):
            self.trials.append(PaperTrial(f"tune{len(self.trials)}"))
            bridge.added(self.trials[-1])

    def _free(self) -> PaperWorker | None:
        idle = next((worker for worker in self.workers if worker.trial is None), None)
        if idle is None and len(self.workers) < self.slots:
            idle = self._started()
        return idle

    def _hand_over(self, trial: PaperTrial) -> None:
        left_s, order = self.desk.pop(trial.trial_id)
        assert trial.worker is not None
        with suppress(BrokenPipeError):  # it has died: its end of the pipe says so
            trial.worker.pipe.send((order, time.monotonic() - left_s))

    def _heard(self, worker: PaperWorker, bridge: Bridge) -> None:
        trial = worker.trial
        try:
            measurement: Measurement = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            os.waitpid(worker.pid, 0)
            self.workers.remove(worker)
            if trial is not None:
                trial.status = TuneTrial.ERROR
                bridge.guarded(bridge.died, trial)
            return
        assert trial is not None
        result = {"measurement": measurement, "pid": worker.pid}
        decision = bridge.guarded(bridge.came_back, trial, result)
        if decision == TrialScheduler.CONTINUE:
            self._hand_over(trial)
            return
        paused = decision == TrialScheduler.PAUSE
        trial.status = TuneTrial.PAUSED if paused else TuneTrial.TERMINATED
        trial.worker = worker.trial = None

    def _started(self) -> PaperWorker:
        ours, theirs = multiprocessing.Pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for pipe in (ours, *(worker.pipe for worker in self.workers)):
                    pipe.close()
                _work(theirs, self.settings, self.hurry_file)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        theirs.close()
        self.workers.append(PaperWorker(pid, ours))
        return self.workers[-1]


def _work(pipe: Connection, settings: WorkerSettings, hurry_file: Path) -> NoReturn:
    """The worker's process: orders in, measurements out, until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = SyntheticWorker(settings, MonotonicClock())
    try:
        while True:
            order, waited_s = pipe.recv()
            measurement = worker.run(granted(order, devices=1, waited_s=waited_s), hurry_file.exists)
            pipe.send(measurement)
    except (EOFError, ConnectionError):
        os._exit(0)


def drive(folder: Path) -> int:
    """Open the study of ``folder``, recover what is open, drive it until it ends."""
    schedule = read_schedule(folder)
    set_start_up(schedule["start_up_ms"])
    with opened(folder, schedule) as (engine, _):
        return _carry_out(engine, schedule, folder)


def set_start_up(ms: int) -> None:
    """What a synthetic worker takes to start; a real one needs longer, and a hang on it as long."""
    scheduler.climb.START_UP = scheduler.money.START_UP = DeviceTime(ms)


def read_schedule(folder: Path) -> dict[str, Any]:
    """The study of a folder, and its faults."""
    return json.loads((folder / "schedule.json").read_text())


def worker_settings(folder: Path) -> WorkerSettings:
    """Where a synthetic worker finds its stages and its schedule."""
    return WorkerSettings(str(folder), "toy", None, "cpu", 1, str(folder), watchdog=True)


@contextmanager
def opened(folder: Path, schedule: dict[str, Any]) -> Iterator[tuple[Engine, StageTree]]:
    """The study as its only writer, begun or resumed, on a journal with fuses."""
    fuses = Fuses(folder, schedule["faults"])
    with SqlJournal(schedule["journal"], STUDY_FACTS, name=schedule["name"], writer=True) as journal:
        dying = DyingJournal(journal, folder, lambda place: _strike(fuses.due(place)))
        account = Account(dying, envelope=_share(schedule, journal))
        if not account.facts():
            begun = StudyBegun(schedule["name"], {}, "", {})
            account.book(begun, Opened(DeviceTime(schedule["cap_ms"])))
        tree = tree_of(schedule["policy"], schedule["slots"])
        sampler = RandomSampler(space_of(tree.spec), tree.spec.seed)
        engine = engine_of(tree.spec, tree, account, sampler)
        engine.recover()
        yield engine, tree


def _carry_out(engine: Engine, schedule: dict[str, Any], folder: Path) -> int:
    hurry_file = folder / f"hurry-{os.getpid()}"
    tune, interrupt = PaperTune(worker_settings(folder), schedule["slots"], hurry_file), Interrupt()
    bridge = Bridge(
        engine,
        slots=schedule["slots"],
        devices=1,
        leave=tune.leave,
        kill=tune.kill,
        hurry=hurry_file.touch,
        show=lambda: None,
        interrupt=interrupt,
    )
    try:
        with interrupt.listening():
            tune.run(bridge)
        bridge.raise_if_broken()
    except KeyboardInterrupt:
        bridge.abandon()
    finally:
        tune.end()
    return STOPPED if engine.state.stopped else ENDED


def _share(schedule: dict[str, Any], journal: SqlJournal) -> Any:
    if schedule["account"] is None:
        return None
    return Envelope(schedule["account"], schedule["name"]).share(schedule["name"], journal.identity)


def _strike(action: str | None) -> None:
    """What befalls the driver; after ``halt`` the harness does the rest."""
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "halt" | "second" | "overtake":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        case "interrupt twice":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        case _:
            pass  # none now, or ``kill soon``: the harness does that


def main(folder: str, drive: Callable[[Path], int] = drive) -> None:
    """One start of the driver; its exit code says how it ended."""
    log = os.open(Path(folder) / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        code = drive(Path(folder))
    except SecondDriverError as refusal:
        print(f"refused: {refusal}")
        code = REFUSED
    except JournalError as refusal:
        print(f"taken over: {refusal}")
        code = OVERTAKEN
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
