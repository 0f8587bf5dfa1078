"""What bills teach the forecast: those of this study, and those of earlier runs on such a device.

The journals of a store are the one record of what stages took, so they are read again whenever a study
is planned or opened (docs/decisions/, "bills of earlier runs"). Nothing here is about money: a file that
cannot be read is skipped, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.errors import JournalError
from budgets.forecast import Forecast
from budgets.skim import schemas_in, skim
from scheduler.facts import StageEnded, StageStarted, StudyBegun
from scheduler.places import POSTGRESQL, run_folder
from scheduler.spec import StudySpec
from scheduler.tree import StageTree
from trainers.errors import TrainerError
from trainers.order import Measurement, Outcome
from trainers.provenance import cpu_name, gpu_models
from trainers.stage import Stage

_WORK = (Purpose.TRAIN, Purpose.EVALUATE)
_ENOUGH = 1_000  # bills; older runs are not opened
_MOST_RUNS = 50
_READ = (StudyBegun, StageStarted, StageEnded)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A finished stage and what it took.

    Attributes:
        stage: its config.
        total: device time.
        load: the part of it that was loading.
        device: what it ran on, see :func:`device_of`.
    """

    stage: Stage
    total: DeviceTime
    load: DeviceTime
    device: str


@dataclass(frozen=True, slots=True)
class Lessons:
    """What earlier runs teach a study.

    Attributes:
        lessons: the oldest first, all of one device.
        notes: where they are from, and what was skipped, in sentences.
    """

    lessons: tuple[Lesson, ...] = ()
    notes: tuple[str, ...] = ()

    def forecast(self, tree: StageTree) -> Forecast:
        """A forecast that has learned them; work that ``tree`` cannot size is passed over."""
        forecast = Forecast()
        for lesson in self.lessons:
            try:
                work = tree.work(lesson.stage)
            except (KeyError, OSError, TrainerError):
                continue  # a task, model or file that this study does not have
            forecast.learn(work, lesson.total, lesson.load)
        return forecast


def worked(measurement: Measurement) -> bool:
    """Whether the lease trained or evaluated, and did not find the stage done in the store."""
    return any(measurement.bill.amounts.get(purpose) for purpose in _WORK)


def lesson_of(stage: Stage, measurements: Sequence[Measurement]) -> Lesson | None:
    """What a stage's attempts, in order, teach; None when it was not done, or found done.

    Attempts that ended at their deadline were part of the work: without them the bound would never
    hear of what exceeded it. After any other trouble a bill says little about the stage.
    """
    if not measurements:
        return None
    *before, last = measurements
    whole = last.outcome is Outcome.DONE and all(m.outcome is Outcome.TRUNCATED for m in before)
    if not whole or not worked(last):
        return None
    load = last.bill.amounts.get(Purpose.LOAD, DeviceTime(0))
    extra = (m.bill.total.less(m.bill.amounts.get(Purpose.LOAD, DeviceTime(0))) for m in before)
    return Lesson(stage, DeviceTime.total((last.bill.total, *extra)), load, device_of(last))


def device_of(measurement: Measurement) -> str:
    """The kind of device that a stage ran on; empty where nobody wrote it down."""
    return measurement.cpu if measurement.device == "cpu" else measurement.device


def lessons_of(facts: Sequence[object]) -> Iterator[Lesson]:
    """The lessons of a run, by its ``StageStarted`` and ``StageEnded`` facts, in order of their ends."""
    stages: dict[str, Stage] = {}
    started: dict[str, int] = {}
    ended: dict[str, list[Measurement]] = {}
    for fact in facts:
        match fact:
            case StageStarted():
                stages[fact.stage] = fact.config
                started[fact.stage] = started.get(fact.stage, 0) + 1
            case StageEnded(_, measurement):
                ended.setdefault(measurement.stage, []).append(measurement)
    for name, measurements in ended.items():
        if len(measurements) == started[name] and (found := lesson_of(stages[name], measurements)):
            yield found


def lessons_for(spec: StudySpec) -> Lessons:
    """What the other runs of the study's store teach it. Never fails, and never waits long.

    Runs whose trials hold another number of devices, and stages of another device, are left out.
    """
    notes: list[str] = []
    runs: list[list[Lesson]] = []
    n_found = 0
    for name, place, schema in _journals(spec, notes):
        try:
            facts = skim(place, _READ, schema=schema)
            found = list(lessons_of(facts)) if _comparable(facts, spec) else []
        except (JournalError, KeyError, OSError) as error:
            notes.append(f"no bills were read from {name}: {error}")
            continue
        if found:
            runs.append(found)
            n_found += len(found)
        if n_found >= _ENOUGH or len(runs) >= _MOST_RUNS:
            break
    device = _device(spec, runs)
    kept = tuple(one for run in reversed(runs) for one in run if one.device == device)
    if kept:
        n_runs = sum(any(one.device == device for one in run) for run in runs)
        word = "run" if n_runs == 1 else "runs"
        notes.insert(0, f"the forecast learned from {len(kept)} bills of {n_runs} {word} on {device}")
    return Lessons(kept, tuple(notes))


def _journals(spec: StudySpec, notes: list[str]) -> Iterator[tuple[str, str | Path, str]]:
    """Name, place and schema of other studies' journals, those of files from the newest on."""
    if spec.journal is not None and spec.journal.startswith(POSTGRESQL):
        try:
            yield from ((name, spec.journal, name) for name in schemas_in(spec.journal))
        except JournalError as error:
            notes.append(f"no bills were read: {error}")
        return
    files = run_folder(spec).parent.glob("*/journal.db")
    dated = [(path.stat().st_mtime, path) for path in files if path.parent != run_folder(spec)]
    yield from ((str(path), path, "") for _, path in sorted(dated, reverse=True))


def _comparable(facts: Sequence[object], spec: StudySpec) -> bool:
    """Whether trials of that run held as many devices as this study's; another study's run."""
    begun = next((fact for fact in facts if isinstance(fact, StudyBegun)), None)
    if begun is None or begun.name == spec.name:
        return False
    budget = begun.spec.get("budget")
    devices = budget.get("devices") if isinstance(budget, Mapping) else None
    held = devices.get("per_trial", 1) if isinstance(devices, Mapping) else 1
    return bool(held == spec.budget.devices.per_trial)


def _device(spec: StudySpec, runs: Sequence[Sequence[Lesson]]) -> str:
    """The device that the study will run on; without one here, the last that a run had."""
    if spec.budget.devices.kind == "cpu":
        return cpu_name()
    here = gpu_models()
    seen = (one.device for run in runs for one in reversed(run) if one.device)
    return here[0] if here else next(seen, "")
