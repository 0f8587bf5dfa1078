"""A study under real Ray Tune, Optuna and MLflow: begun, killed, resumed, reported."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from small_study import command, environment, interlude, status, write_spec

from budgets.errors import JournalError
from budgets.journal import SqlJournal
from budgets.ledger import Charged, Entry, Released, Reserved, replay
from scheduler.facts import STUDY_FACTS, StageEnded
from scheduler.state import StudyState
from trainers.order import Outcome

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # MLflow's own queries
]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The small study, its driver killed with SIGKILL in the middle, then run to its end."""
    folder = tmp_path_factory.mktemp("killed")
    spec = write_spec(folder, hours=0.2)  # enough on a slow machine too: trials and seeds end it
    run = folder / "runs" / "small"
    driver = subprocess.Popen(
        command("run", str(spec)),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _wait_for_stages(run, n=6, driver=driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    before = facts_of(run)
    done = interlude("run", str(spec), timeout_s=400)
    assert done.returncode == 0, done.stderr
    return run, before, done


def _wait_for_stages(run: Path, *, n: int, driver: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + 300
    while time.monotonic() < until_s:
        assert driver.poll() is None, "the driver ended before it could be killed"
        if _n_stages(run) >= n:
            return
        time.sleep(0.2)
    raise AssertionError(f"no {n} stages within 300 s")


def _n_stages(run: Path) -> int:
    try:
        return sum(isinstance(fact, StageEnded) for fact in facts_of(run))
    except JournalError:
        return 0  # the driver has not made the journal's tables yet


def facts_of(run: Path) -> list[object]:
    journal = SqlJournal(run / "journal.db", STUDY_FACTS)
    try:
        return [line.fact for line in journal.lines()]
    finally:
        journal.close()


def test_a_killed_driver_resumes_and_loses_no_acknowledged_fact(resumed):
    run, before, _ = resumed
    after = facts_of(run)

    assert after[: len(before)] == before
    assert StudyState.of(after).ended is not None


def test_the_ledger_of_a_killed_study_adds_up(resumed):
    run, _, _ = resumed
    entries = [fact for fact in facts_of(run) if isinstance(fact, Entry)]
    for n in range(1, len(entries) + 1):
        balance = replay(entries[:n])
        assert balance.spent + balance.held <= balance.cap

    held = {e.hold for e in entries if isinstance(e, Reserved)}
    released = {e.hold for e in entries if isinstance(e, Released)}
    charged = Counter()
    for entry in entries:
        if isinstance(entry, Charged):
            charged[entry.purpose] += entry.amount.ms
    assert held == released
    assert sum(charged.values()) == replay(entries).spent.ms
    assert status(run)["by_purpose"] == {str(p): ms for p, ms in charged.items()}


def test_no_stage_is_done_twice_though_its_driver_was_killed(resumed):
    run, _, _ = resumed
    done = Counter(
        fact.measurement.stage
        for fact in facts_of(run)
        if isinstance(fact, StageEnded) and fact.measurement.outcome is Outcome.DONE
    )
    assert set(done.values()) == {1}


def test_the_control_and_finals_are_scored(resumed):
    run, _, _ = resumed
    state = StudyState.of(facts_of(run))

    assert state.control is not None
    assert state.control.scores
    assert {t.recipe.seed for t in state.finals} == {7, 8}
    assert all(t.scores for t in state.finals)


def test_mlflow_shows_each_trial_and_stage_once_and_none_running(resumed):
    run, _, _ = resumed
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{run.parent / 'mlflow.db'}")
    runs = [
        found
        for experiment in client.search_experiments()
        for found in client.search_runs([experiment.experiment_id], max_results=5000)
    ]
    keys = Counter(found.data.tags["interlude.key"] for found in runs)
    state = StudyState.of(facts_of(run))

    assert set(keys.values()) == {1}
    assert {f"small/{name}" for name in state.trials} <= set(keys)
    assert not [found for found in runs if found.info.status == "RUNNING"]


def test_the_run_ends_with_an_answer_and_a_report(resumed):
    run, _, done = resumed

    assert (run / "report.html").stat().st_size > 10_000
    assert str(run / "report.html") in done.stdout


def test_running_an_ended_study_again_charges_nothing(resumed):
    run, _, _ = resumed
    spent_ms = status(run)["spent_ms"]
    again = interlude("run", str(run.parent.parent / "small.yaml"))

    assert again.returncode == 0, again.stderr
    assert status(run)["spent_ms"] == spent_ms
