"""A study with a merged rung through the command: planned, run for real, resumed, reported."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from small_study import asked, interlude, status, write_spec

from budgets.account import Account
from budgets.journal import SqlJournal
from scheduler.facts import STUDY_FACTS
from scheduler.state import StudyState
from scheduler.trial import MERGED, Role
from trainers.stage import MergeStage, StageKind

N_MIXES = 4


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merged")
    spec = write_spec(folder, trials=N_MIXES)
    spec.write_text(
        spec.read_text().replace("rungs: [4K, 8K]", "rungs: [4K, 8K]\n  merged: {scale: 0.9}")
    )
    done = interlude("run", str(spec), "--driver", "inline")
    assert done.returncode == 0, done.stderr
    return spec, spec.parent / "runs/small", done.stdout


@pytest.fixture(scope="module")
def state(ran):
    _, run, _ = ran
    with SqlJournal(f"sqlite:///{run / 'journal.db'}", STUDY_FACTS, name="small") as journal:
        return StudyState.of(Account(journal).facts())


def test_the_plan_says_how_many_mixes_are_looked_at_merged(ran):
    spec, _, _ = ran
    plan = json.loads(asked("plan", str(spec), "--json").stdout)
    assert plan["trials_merged"] == N_MIXES
    assert "merge" in {stage["kind"] for stage in plan["stages"]}
    assert f"{N_MIXES} are looked at merged" in asked("plan", str(spec)).stdout


def test_every_mix_is_looked_at_and_the_looks_share_their_trunks(state):
    mixes = [t for t in state.trials.values() if t.role is Role.SEARCH]
    assert len(mixes) == N_MIXES
    assert all(MERGED in trial.scores for trial in mixes)
    merges = [r.config for r in state.stages.values() if isinstance(r.config, MergeStage)]
    assert len(merges) == 2 * N_MIXES
    parts = {part.stage for stage in merges for part in stage.parts}
    trunks = {n for n, r in state.stages.items() if r.config.kind is StageKind.INTERMEDIATE}
    assert parts <= trunks
    assert len(parts) <= 3
    best = state.best()
    assert best is not None
    assert best.best_rung >= 0


def test_the_books_hold_and_a_second_run_has_nothing_to_add(ran):
    spec, run, _ = ran
    before = status(run)
    assert before["overdrawn_ms"] == before["held_ms"] == 0
    again = interlude("run", str(spec), "--driver", "inline")
    assert again.returncode == 0, again.stderr
    assert status(run) == before


def test_mlflow_keeps_a_merged_score_apart(ran):
    _, run, _ = ran
    with closing(sqlite3.connect(run.parent / "mlflow.db")) as database:
        keys = {key for (key,) in database.execute("SELECT DISTINCT key FROM latest_metrics")}
    assert {"score", "score/merged", "score/rung0"} <= keys
    assert "score/rung-1" not in keys
