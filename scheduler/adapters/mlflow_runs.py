"""MLflow runs by key: looked up before they are made, and written in batches.

MLflow's own ids are not ours to choose, so every run carries a key as a tag from the moment it
exists. Whoever holds the key finds the run again, in this process or after a restart. A run that
someone deleted in MLflow stays deleted: what would be written to it is dropped.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

STUDY, KEY, GENERATION = "interlude.study", "interlude.key", "interlude.generation"
_PARENT, _NOTE = "mlflow.parentRunId", "mlflow.note.content"
_METRICS_A_BATCH, _OTHERS_A_BATCH, _PAGE = 1000, 100, 1000  # MLflow's limits
_LONGEST = 5000  # MLflow cuts params at 6000 characters and tags at 8000, with a warning
_OPENS_ON_RUNS = {"mlflow.experimentKind": "custom_model_development"}  # and not on chat traces
RUNNING = "RUNNING"


@dataclass(slots=True)
class _Pending:
    """What is still to be written to one run."""

    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """A run that exists."""

    run_id: str
    status: str


class MlflowRuns:
    """The runs of one study in one experiment."""

    def __init__(self, url: str, artifacts: str | None, study: str) -> None:
        """Open the database or server, and find the study's runs.

        Args:
            url: absolute SQLite URL or a server.
            artifacts: where files of runs lie, None for the server's choice.
            study: name of the study and of its experiment.

        Raises:
            MlflowException: it cannot be opened.
        """
        self._study = study
        self._client = _client(url)
        experiment = self._client.get_experiment_by_name(study)
        self._experiment = (
            self._client.create_experiment(study, artifact_location=artifacts, tags=_OPENS_ON_RUNS)
            if experiment is None
            else experiment.experiment_id
        )
        self._pending: dict[str, _Pending] = {}
        self._runs: dict[str, _Known] = {}
        self._tags: dict[str, Mapping[str, str]] = {}
        found = list(self._search())
        self.generation = max((int(tags.get(GENERATION, 0)) for _, _, tags in found), default=0)
        for run_id, status, tags in found:
            if int(tags.get(GENERATION, 0)) == self.generation:
                self._runs[tags[KEY]] = _Known(run_id, status)
                self._tags[tags[KEY]] = tags

    def _search(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                filter_string=f"tags.`{STUDY}` = '{self._study}'",
                max_results=_PAGE,
                page_token=token,
            )
            yield from ((run.info.run_id, run.info.status, run.data.tags) for run in page)
            token = page.token
            if not token:
                return

    def begin_generation(self) -> None:
        """Leave the runs found behind: they show an older journal of the same name."""
        self.end_all("KILLED")
        self.generation += 1
        self._runs.clear()
        self._tags.clear()

    def ensure(self, key: str, name: str, parent: str | None, at_ms: int, note: str = "") -> None:
        """Make the run of ``key`` unless it is there."""
        if key in self._runs:
            return
        tags = {STUDY: self._study, KEY: key, GENERATION: str(self.generation)}
        if parent in self._runs:
            tags[_PARENT] = self._runs[parent].run_id
        if note:
            tags[_NOTE] = note[:_LONGEST]
        run = self._client.create_run(self._experiment, start_time=at_ms, run_name=name, tags=tags)
        self._runs[key] = _Known(run.info.run_id, run.info.status)

    def metric(self, key: str, name: str, value: float, at_ms: int, step: int) -> None:
        """A point of a curve, with the next :meth:`flush`."""
        self._of(key).metrics.append(Metric(name, value, at_ms, step))

    def param(self, key: str, name: str, value: object) -> None:
        """A setting that never changes, with the next :meth:`flush`."""
        self._of(key).params[name] = str(value)[:_LONGEST]

    def tag(self, key: str, name: str, value: object) -> None:
        """A word that may change, with the next :meth:`flush`."""
        self._of(key).tags[name] = str(value)[:_LONGEST]

    def tag_of(self, key: str, name: str) -> str | None:
        """A tag as it was when the runs were found."""
        return self._tags.get(key, {}).get(name)

    def _of(self, key: str) -> _Pending:
        return self._pending.setdefault(key, _Pending())

    def flush(self) -> None:
        """Write everything pending, as few calls as the limits allow."""
        for key in list(self._pending):
            pending = self._pending[key]
            if key not in self._runs:
                del self._pending[key]
                continue
            run_id = self._runs[key].run_id
            params = [Param(*item) for item in pending.params.items()]
            tags = [RunTag(*item) for item in pending.tags.items()]
            while pending.metrics or params or tags:
                self._client.log_batch(
                    run_id,
                    pending.metrics[:_METRICS_A_BATCH],
                    params[:_OTHERS_A_BATCH],
                    tags[:_OTHERS_A_BATCH],
                )
                del pending.metrics[:_METRICS_A_BATCH], params[:_OTHERS_A_BATCH], tags[:_OTHERS_A_BATCH]
            del self._pending[key]

    def status(self, key: str, status: str, at_ms: int | None = None) -> None:
        """Give the run of ``key`` a status, if it has another."""
        run = self._runs.get(key)
        if run is None or run.status == status:
            return
        if status == RUNNING:
            self._client.update_run(run.run_id, status=status)
        else:
            self._client.set_terminated(run.run_id, status=status, end_time=at_ms or _now_ms())
        run.status = status

    def running(self) -> tuple[str, ...]:
        """Keys of the runs that MLflow shows as running."""
        return tuple(key for key, run in self._runs.items() if run.status == RUNNING)

    def end_all(self, status: str) -> None:
        """End every run that is shown as running."""
        for key in self.running():
            self.status(key, status)

    def attach(self, key: str, path: str) -> None:
        """Copy a file into the artifacts of a run."""
        if key in self._runs:
            self._client.log_artifact(self._runs[key].run_id, path)

    def text(self, key: str, file: str, text: str) -> None:
        """Write ``text`` into an artifact of a run."""
        if key in self._runs:
            self._client.log_text(self._runs[key].run_id, text, file)

    def note(self, key: str, text: str) -> None:
        """The note that the page of a run begins with, with the next :meth:`flush`."""
        self.tag(key, _NOTE, text)

    def mark(self, name: str, value: str) -> None:
        """Write a tag of the experiment."""
        self._client.set_experiment_tag(self._experiment, name, value)

    def register(
        self, key: str, folder: str, alias: str, description: str, tags: Mapping[str, str]
    ) -> None:
        """Register an artifact folder of a run as a version of the study's model.

        The newest version gets ``alias``; it is a new one unless it has these tags already.
        """
        if not self._client.search_registered_models(f"name = '{self._study}'"):
            self._client.create_registered_model(self._study)
        versions = self._client.search_model_versions(f"name = '{self._study}'")
        newest = max(versions, key=lambda one: int(one.version), default=None)
        run_id = self._runs[key].run_id
        shown = {name: text[:_LONGEST] for name, text in tags.items()}
        if newest is None or newest.run_id != run_id or dict(newest.tags) != shown:
            source = f"runs:/{run_id}/{folder}"
            newest = self._client.create_model_version(
                self._study, source, run_id, tags=shown, description=description[:_LONGEST]
            )
        self._client.set_registered_model_alias(self._study, alias, newest.version)

    def has(self, key: str) -> bool:
        """Whether the run exists."""
        return key in self._runs


def _now_ms() -> int:
    return round(time.time() * 1000)


def _client(url: str) -> MlflowClient:
    """A client without the start-up chatter of MLflow and its migrations."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # MLflow 3.17's own models use a loader that SQLAlchemy 2.1 deprecates.
    warnings.filterwarnings("ignore", "The ``noload`` loader", DeprecationWarning)
    return MlflowClient(tracking_uri=url)
