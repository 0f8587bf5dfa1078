"""The MLflow view of a study, in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable
from pathlib import Path

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.mlflow_answer import Conclusion
from scheduler.adapters.mlflow_tracker import MlflowTracker

# What a database or server can do to its client; ImportError is a database driver not installed.
_BROKEN = (MlflowException, SQLAlchemyError, OSError, ImportError)


class MlflowView:
    """An ``MlflowTracker`` in a thread of its own, fed by a queue.

    MLflow is only a view, so a tracking server that breaks does not break the study: the view stops
    and ``failure`` says why. The next run of the study shows what is missing.

    Attributes:
        failure: why the view stopped early, None while it is well.
    """

    def __init__(self, url: str, store_folder: str | Path, study_name: str) -> None:
        self.failure: str | None = None
        self._where = (url, store_folder, study_name)
        self._queue: queue.SimpleQueue[tuple[str, tuple[object, ...]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mlflow-view", daemon=True)
        self._thread.start()

    def catch_up(self, facts: Iterable[object]) -> None:
        """Show the facts that follow, soon; the first time, the whole journal so far."""
        self._queue.put(("catch_up", (tuple(facts),)))

    def attach(self, path: str | Path) -> None:
        """Copy a file into the study's artifacts, soon."""
        self._queue.put(("attach", (path,)))

    def conclude(self, found: Conclusion) -> None:
        """Show what the study found, soon."""
        self._queue.put(("conclude", (found,)))

    def close(self) -> None:
        """Show everything that waits, leave no run shown as running, and end the thread."""
        self._queue.put(("close_orphans", ()))
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            tracker = MlflowTracker(*self._where)
            while (call := self._queue.get()) is not None:
                name, arguments = call
                getattr(tracker, name)(*arguments)
        except _BROKEN as error:
            reason = str(error).strip().splitlines()[0]
            self.failure = f"MLflow at {self._where[0]} stopped showing this study: {reason}"
            logging.getLogger(__name__).warning(
                "%s. The study goes on; its next run shows it", self.failure
            )
