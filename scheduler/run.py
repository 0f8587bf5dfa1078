"""Run a study: begin or resume it, drive it to its end, show it as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from budgets.clock import MonotonicClock
from budgets.ledger import Balance
from scheduler.allocation import Allocation, allocated
from scheduler.drivers.inline import drive_inline
from scheduler.interrupt import Interrupt
from scheduler.places import run_folder, store_url, tracking_url
from scheduler.spec import StudySpec
from scheduler.state import StudyState
from scheduler.study import Study, open_study
from scheduler.table import Table
from trainers.tasks.catalog import TASKS
from trainers.worker import Worker, WorkerSettings

Watch = Callable[[StudyState, Balance], None]


class Tracker(Protocol):
    """A view of the journal that others look at while the study runs."""

    def catch_up(self, facts: Sequence[object]) -> None:
        """Take new facts into account; may return before they are shown."""

    def close(self) -> None:
        """Wait until all is shown."""


def run_study(
    spec: StudySpec,
    text: str,
    driver: str,
    watch: Watch,
    interrupt: Interrupt,
    *,
    table: Table | None = None,
) -> StudyState:
    """Begin or resume the study of ``spec`` and drive it until it ends.

    Args:
        spec: what to run.
        text: the spec as the user wrote it.
        driver: ``ray`` for Ray Tune on this machine or the cluster that RAY_ADDRESS names,
            ``inline`` for one process, ``table`` for a recorded table in virtual time.
        watch: called after every move.
        interrupt: the user's Ctrl-C: once to finish what runs and stop, twice to stop now.
        table: the recorded table, for that driver.

    Returns:
        The study as it stands at the end.

    Raises:
        BudgetError, StudyError, TrainerError: see ``open_study``.
        KeyboardInterrupt: the user asked twice; the books are true.
    """
    with open_study(spec, text, shares_stages=table is None) as study:
        tracker = _tracker(spec)

        def show() -> None:
            watch(study.engine.state, study.account.balance)
            if tracker is not None:
                tracker.catch_up(study.engine.news())

        try:
            show()
            if table is not None:
                _replay(study, table)
            else:
                with allocated(study.account, spec.budget) as allocation:
                    _drive(study, driver, show, interrupt, allocation)
        finally:
            show()
            if tracker is not None:
                tracker.close()
        return study.engine.state


def _replay(study: Study, table: Table) -> None:
    """The study on a recorded table; its devices exist in virtual time alone."""
    from scheduler.drivers.table import drive_table

    devices = study.spec.budget.devices
    recorded = table.bound(study.tree)
    drive_table(study.engine, recorded.run, devices.count // devices.per_trial)


def _drive(
    study: Study,
    driver: str,
    show: Callable[[], None],
    interrupt: Interrupt,
    allocation: Allocation | None,
) -> None:
    settings = worker_settings(study.spec)
    if driver == "inline":
        clock = MonotonicClock()
        devices = study.spec.budget.devices.per_trial
        worker = Worker(settings, clock)
        with interrupt.listening():
            drive_inline(
                study.engine,
                worker,
                clock,
                show,
                interrupt=interrupt,
                devices=devices,
                allocation=allocation,
            )
        return
    from scheduler.adapters.ray_tune import drive_ray

    drive_ray(study.engine, study.spec, settings, show, interrupt, allocation=allocation)


def worker_settings(spec: StudySpec) -> WorkerSettings:
    """Where a worker finds stages, data and its device."""
    gpu = spec.budget.devices.kind == "gpu"
    return WorkerSettings(
        store=store_url(spec),
        source_kind=spec.data.source,
        source_path=spec.data.path,
        device="cuda" if gpu else "cpu",
        threads=spec.budget.devices.per_trial,
        cache_dir=str(run_folder(spec).parent / "cache"),
        revisions=dict(spec.data.revisions),
        tasks=tuple(task for name, task in spec.catalogue.items() if TASKS.get(name) != task),
    )


def _tracker(spec: StudySpec) -> Tracker | None:
    url = tracking_url(spec)
    if url is None:
        return None
    from scheduler.adapters.mlflow_view import MlflowView

    return MlflowView(url, run_folder(spec).parent, spec.name)
