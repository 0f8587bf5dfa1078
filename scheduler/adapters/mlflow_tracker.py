"""A study as MLflow runs: one parent, one child per trial, one grandchild per stage.

MLflow is a view of the journal and never the record: facts go in, in order, and runs come out. How
many facts have been shown is a tag of the parent, so a second look at the same journal shows only
what is new, and a killed driver leaves neither duplicates nor runs that seem to go on for ever.

    interlude.key    <study>    <study>/<trial>    <study>/<trial>/<hold>
    metrics          score/<task>/<language>, bill/<purpose>_s, score, best_score, and gpu_hours,
                     which is called cpu_slot_hours where devices are CPU slots
    step             device-seconds the study had spent

``scheduler/adapters/mlflow_view.py`` does this in a thread of its own: a driver never waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from budgets.amount import DeviceTime
from budgets.journal import Line
from budgets.ledger import Opened
from scheduler.adapters.mlflow_answer import Conclusion, conclude
from scheduler.adapters.mlflow_runs import RUNNING, MlflowRuns
from scheduler.adapters.mlflow_saved_view import VIEW_TAG, saved_view
from scheduler.adapters.mlflow_words import (
    STAGE_STATUS,
    TRIAL_STATUS,
    artifacts_in,
    last_status,
    numbers_of,
)
from scheduler.facts import (
    StageEnded,
    StageShared,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.places import unchanging
from scheduler.progress import kind_of, stage_words
from scheduler.state import StudyState
from scheduler.trial import MERGED, rung_word
from trainers.stage import MergeStage

_SHOWN = "interlude.facts"
_FACTS_A_FLUSH = 500


class MlflowTracker:
    """Shows one study in MLflow."""

    def __init__(self, url: str, store_folder: str | Path, study_name: str) -> None:
        """Open MLflow and find what was shown before.

        Args:
            url: absolute SQLite URL or a server.
            store_folder: the study's store, a folder or a URL; artifacts lie in its ``mlflow``.
            study_name: name of the study.

        Raises:
            MlflowException: the database or server cannot be opened.
        """
        self._study = study_name
        self._runs = MlflowRuns(url, artifacts_in(url, store_folder), study_name)
        self._n_shown = int(self._runs.tag_of(study_name, _SHOWN) or 0)
        self._n_facts: int | None = None
        self._state = StudyState()
        self._spent = DeviceTime(0)
        self._spent_by_trial: dict[str, DeviceTime] = {}

    def catch_up(self, facts: Iterable[object]) -> None:
        """Show the facts that follow; those that were shown already are passed over.

        Args:
            facts: the first time the whole journal so far, later what is new. The journal's lines
                do as well, and tell when; facts alone are shown as of now.
        """
        facts = tuple(facts)
        if self._n_facts is not None:
            self._take(facts)
            return
        if len(facts) < self._n_shown:  # a new journal under an old name
            self._runs.begin_generation()
            self._n_shown = 0
        self._take(facts)
        for key in self._runs.running():
            if not self._goes_on(key):
                self._runs.status(key, "KILLED")

    def _take(self, facts: tuple[object, ...]) -> None:
        for n, item in enumerate(facts, start=(self._n_facts or 0) + 1):
            fact, at_ms = (item.fact, _ms(item)) if isinstance(item, Line) else (item, _now_ms())
            self._state.apply(fact)
            if isinstance(fact, StageEnded):
                self._add(fact.trial, fact.measurement.cost.total)
            self._n_facts = n
            if n > self._n_shown:
                self._show(fact, at_ms)
                if n % _FACTS_A_FLUSH == 0:
                    self._write(n)
        self._n_facts = self._n_facts or 0
        self._write(self._n_facts)

    def _add(self, trial: str, cost: DeviceTime) -> None:
        self._spent += cost
        self._spent_by_trial[trial] = self._spent_by_trial.get(trial, DeviceTime(0)) + cost

    def _write(self, n_facts: int) -> None:
        """Write what is pending, then how far the journal has been shown."""
        self._runs.flush()
        if n_facts > self._n_shown and self._runs.has(self._study):
            self._n_shown = n_facts
            self._runs.tag(self._study, _SHOWN, n_facts)
            self._runs.flush()

    def attach(self, path: str | Path) -> None:
        """Copy a file, such as the report, into the artifacts of the study's run."""
        self._runs.attach(self._study, str(path))

    def conclude(self, found: Conclusion) -> None:
        """Show what the study found."""
        conclude(self._runs, self._study, found)

    def close_orphans(self) -> None:
        """End what is shown as running although its driver has ended."""
        self._runs.end_all("KILLED")

    def _goes_on(self, key: str) -> bool:
        """Whether the journal says that what ``key`` names is still under way."""
        if self._state.ended is not None or self._state.begun is None:
            return False
        under_way = {
            self._study,
            *(self._trial(t.name) for t in self._state.trials.values() if not t.over),
        }
        holds = (f"{self._trial(lease.trial)}/{hold}" for hold, lease in self._state.leases.items())
        return key in under_way or key in holds

    def _trial(self, name: str) -> str:
        return f"{self._study}/{name}"

    def _hours(self, prefix: str = "") -> str:
        """The name of a metric in device-hours."""
        return prefix + ("gpu_hours" if kind_of(self._state.begun) == "gpu" else "cpu_slot_hours")

    @property
    def _step(self) -> int:
        return self._spent.ms // 1000

    def _show(self, fact: object, at_ms: int) -> None:
        match fact:
            case StudyBegun():
                self._begin(fact, at_ms)
            case Opened(amount):
                self._opened(amount, at_ms)
            case TrialProposed():
                self._propose(fact, at_ms)
            case TrialMoved():
                self._move(fact, at_ms)
            case StageStarted():
                self._start(fact, at_ms)
            case StageEnded():
                self._end(fact, at_ms)
            case StageShared(trial):
                self._runs.metric(
                    self._study, self._hours("saved_"), self._state.saved.hours, at_ms, self._step
                )
                self._runs.tag(self._trial(trial), "shares stages", "yes")
            case StudyEnded(reason):
                self._finish(reason, at_ms)
            case _:
                pass  # the rest of the ledger: bills say the same

    def _begin(self, fact: StudyBegun, at_ms: int) -> None:
        question = str(fact.spec.get("question", ""))
        self._runs.ensure(self._study, self._study, None, at_ms, question)
        for path, value in unchanging(fact.spec).items():
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            self._runs.param(self._study, path, shown)
        self._runs.tag(self._study, "state", "running")
        self._runs.mark(VIEW_TAG, saved_view(self._hours(), at_ms))

    def _opened(self, amount: DeviceTime, at_ms: int) -> None:
        if self._runs.has(self._study):
            self._runs.metric(self._study, self._hours("granted_"), amount.hours, at_ms, self._step)

    def _propose(self, fact: TrialProposed, at_ms: int) -> None:
        key, recipe = self._trial(fact.trial), fact.recipe
        self._runs.ensure(key, f"{fact.trial} {recipe.mix}"[:250], self._study, at_ms)
        self._runs.param(key, "tasks", str(recipe.mix))
        self._runs.param(key, "k", recipe.mix.count)
        self._runs.param(key, "cap", recipe.mix.cap)
        self._runs.param(key, "temperature", recipe.mix.temperature)
        self._runs.param(key, "text share", recipe.mix.text)
        self._runs.param(key, "seed", recipe.seed)
        self._runs.param(key, "model", recipe.model)
        self._runs.param(key, "tuning", recipe.tuning)
        if recipe.languages:
            self._runs.param(key, "languages", recipe.languages)
        self._runs.tag(key, "role", fact.role)
        self._runs.tag(key, "origin", fact.origin)
        if fact.finalist:
            self._runs.tag(key, "finalist", fact.finalist)

    def _move(self, fact: TrialMoved, at_ms: int) -> None:
        key = self._trial(fact.trial)
        self._runs.tag(key, "state", fact.state)
        self._runs.tag(key, "rung", rung_word(fact.rung))
        self._runs.tag(key, "reason", fact.reason)
        self._runs.status(key, TRIAL_STATUS[fact.state], at_ms)
        if fact.score is None:
            return
        if fact.rung == MERGED:
            self._runs.metric(key, "score/merged", fact.score, at_ms, self._step)
            return
        self._runs.metric(key, "score", fact.score, at_ms, self._step)
        self._runs.metric(key, f"score/rung{fact.rung}", fact.score, at_ms, self._step)
        best = self._state.best()
        if best is not None:
            score = best.best_score
            self._runs.metric(self._study, "best_score", score, at_ms, self._step)
            self._runs.tag(self._study, "best", f"{best.name}: {best.recipe.mix}")

    def _start(self, fact: StageStarted, at_ms: int) -> None:
        trial = self._trial(fact.trial)
        key = f"{trial}/{fact.hold}"
        self._runs.ensure(key, stage_words(fact.config), trial, at_ms)
        self._runs.param(key, "stage", fact.stage)
        self._runs.param(key, "attempt", fact.attempt)
        for name in ("task", "tokens", "half", "seed"):
            if hasattr(fact.config, name):
                self._runs.param(key, name, getattr(fact.config, name))
        self._runs.metric(key, "expected_s", fact.expected_ms / 1000, at_ms, self._step)
        for share in getattr(fact.config, "shares", ()):
            self._runs.metric(key, f"planned_rate/{share.task}", share.rate, at_ms, self._step)
        self._runs.status(self._study, RUNNING)
        self._runs.tag(self._study, "state", "running")

    def _end(self, fact: StageEnded, at_ms: int) -> None:
        trial, found = self._trial(fact.trial), fact.measurement
        key = f"{trial}/{found.hold}"
        for name, value in numbers_of(found.cost, found.facts, found.rates):
            self._runs.metric(key, name, value, at_ms, self._step)
        for name, text in found.texts.items():
            self._runs.text(key, f"loadgen/{name}.txt", text)
        forecast = isinstance(self._state.stages[found.stage].config, MergeStage)
        for cell in found.scores:
            for run in (key,) if forecast else (key, trial):
                self._runs.metric(
                    run, f"score/{cell.task}/{cell.language}", cell.value, at_ms, self._step
                )
        hours = self._spent_by_trial[fact.trial].hours
        self._runs.metric(key, self._hours(), found.cost.total.hours, at_ms, self._step)
        self._runs.metric(trial, self._hours(), hours, at_ms, self._step)
        self._runs.metric(self._study, self._hours(), self._spent.hours, at_ms, self._step)
        self._runs.tag(key, "outcome", found.outcome)
        if found.precision:
            self._runs.tag(key, "precision", found.precision)
        if found.error:
            self._runs.tag(key, "error", found.error)
        self._runs.status(key, STAGE_STATUS[found.outcome], at_ms)

    def _finish(self, reason: str, at_ms: int) -> None:
        self._runs.tag(self._study, "state", "ended")
        self._runs.tag(self._study, "reason", reason)
        for trial in self._state.trials.values():
            self._runs.status(self._trial(trial.name), last_status(trial), at_ms)
        self._runs.status(self._study, "FINISHED", at_ms)


def _ms(line: Line) -> int:
    return round(line.at.timestamp() * 1000)


def _now_ms() -> int:
    return round(time.time() * 1000)
