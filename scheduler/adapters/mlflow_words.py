"""How a study's states and measurements are called in MLflow, and where files of runs lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from budgets.bill import Bill
from scheduler.adapters.mlflow_runs import RUNNING
from scheduler.trial import Trial, TrialState
from trainers.order import Outcome

TRIAL_STATUS = {
    TrialState.PLANNED: RUNNING,
    TrialState.RUNNING: RUNNING,
    TrialState.PAUSED: "SCHEDULED",
    TrialState.DONE: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.UNAFFORDABLE: "KILLED",
}
STAGE_STATUS = {
    Outcome.DONE: "FINISHED",
    Outcome.TRUNCATED: "FINISHED",
    Outcome.FAILED: "FAILED",
    Outcome.INFEASIBLE: "FAILED",
    Outcome.STOPPED: "KILLED",
    Outcome.LOST: "KILLED",
    Outcome.ORPHANED: "KILLED",
}


def artifacts_in(url: str, store: str | Path) -> str | None:
    """Where files of runs lie: inside the store, or where a server says."""
    if url.startswith(("http:", "https:")):
        return None
    place = str(store)
    return f"{place}/mlflow" if "://" in place else (Path(place).absolute() / "mlflow").as_uri()


def last_status(trial: Trial) -> str:
    """The status of a trial's run once its study has ended: a paused one is over too."""
    status = TRIAL_STATUS[trial.state]
    if trial.state is TrialState.PAUSED:
        return "FINISHED"
    return "KILLED" if status == RUNNING else status


def numbers_of(
    bill: Bill, facts: Mapping[str, float], rates: Mapping[str, float]
) -> Iterable[tuple[str, float]]:
    """Names and values of what a stage's bill and facts say, and the rates that it drew."""
    yield from ((f"bill/{purpose}_s", amount.ms / 1000) for purpose, amount in bill.items())
    yield from ((f"fact/{name}", value) for name, value in facts.items())
    yield from ((f"rate/{task}", value) for task, value in rates.items())
