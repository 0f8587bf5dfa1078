import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.journal import SqlJournal
from budgets.ledger import Charged, Opened, Released, Reserved
from experiments.cli import account, main
from scheduler.facts import (
    STUDY_FACTS,
    StageEnded,
    StageStarted,
    StudyBegun,
    StudyEnded,
    TrialMoved,
    TrialProposed,
)
from scheduler.mix import Mix
from scheduler.spec import load
from scheduler.trial import Recipe, Role, TrialState
from trainers.order import Measurement, Outcome
from trainers.stage import IntermediateStage, ModelRef, Optimisation

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "experiments/quickstart.yaml")
HEAVY = {"torch", "ray", "mlflow", "optuna", "transformers", "datasets", "matplotlib"}


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def run_folder(tmp_path):
    """A run with one charged lease."""
    folder = tmp_path / "runs/quickstart"
    folder.mkdir(parents=True)
    spec, text = load(QUICKSTART)
    stage = IntermediateStage(
        ModelRef("toy-tiny", "r"), None, None, (), 0, 1_000, Optimisation(1e-3), 13
    )
    bill = Bill({Purpose.TRAIN: DeviceTime(9_000), Purpose.LOST: DeviceTime(1_000)})
    with SqlJournal(f"sqlite:///{folder}/journal.db", STUDY_FACTS, writer=True) as journal:
        journal.append(
            StudyBegun("quickstart", spec.model_dump(mode="json"), text, {}),
            Opened(DeviceTime(100_000)),
            TrialProposed("t0000", Recipe(Mix(), 13, "toy-tiny"), Role.CONTROL, None, "control"),
            TrialMoved("t0000", TrialState.RUNNING, 0),
            Reserved("h", DeviceTime(20_000)),
            StageStarted("t0000", "h", "x", stage, 1, 9_000),
            StageEnded("t0000", Measurement("h", "x", Outcome.DONE, bill)),
            *(Charged("h", purpose, amount) for purpose, amount in bill.items()),
            Released("h"),
            TrialMoved("t0000", TrialState.DONE, 0, 40.0),
            StudyEnded("cap reached"),
        )
    return folder


@pytest.mark.parametrize("command", ["--help", "schema", "plan", "cells", "status", "ledger"])
def test_it_starts_without_loading_anything_heavy(command, run_folder):
    of = {"plan": QUICKSTART, "cells": QUICKSTART, "status": str(run_folder), "ledger": str(run_folder)}
    arguments = [command, of[command]] if command in of else [command]
    script = (
        "import sys\nfrom experiments.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True)


def test_python_m_experiments_is_the_command():
    out = subprocess.run(
        [sys.executable, "-m", "experiments", "--help"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout
    assert out.startswith("Usage: interlude [OPTIONS] COMMAND")


def test_the_verbs_and_their_options_are_these():
    surface = {
        name: sorted(option for param in command.params for option in param.opts)
        for name, command in main.commands.items()
    }
    assert surface == {
        "plan": ["--json", "spec"],
        "fetch": ["--to", "spec"],
        "cells": ["--json", "spec"],
        "run": ["--driver", "--store", "--table", "spec"],
        "status": ["--json", "run"],
        "ledger": ["--json", "run"],
        "report": ["--format", "run"],
        "compare": ["--json", "runs"],
        "export": ["--best", "run"],
        "ui": ["--port", "run"],
        "schema": [],
        "doctor": ["--json", "--store"],
        "table": [],
        "account": [],
    }


def test_an_account_is_opened_raised_and_shown(tmp_path):
    words = {
        name: sorted(option for param in command.params for option in param.opts)
        for name, command in account.commands.items()
    }
    assert words == {"open": ["--gpu-hours", "--store", "name"], "show": ["--json", "--store", "name"]}
    for total in ("1.0000", "1.5000"):
        done = call("account", "open", "lab", "--gpu-hours", float(total) % 1 or 1, "--store", tmp_path)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith(f"account lab: {total} device-hours granted")
    shown = json.loads(call("account", "show", "lab", "--json", "--store", tmp_path).stdout)
    assert (shown["cap_ms"], shown["studies"]) == (5_400_000, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "Lab 1", "--gpu-hours", "1"), "'Lab 1' is no account name"),
        (("open", "lab", "--gpu-hours", "nan"), "nan is no number of hours above 0"),
        (("open", "lab", "--gpu-hours", "-1"), "-1 is no number of hours above 0"),
        (("show", "lab"), "Open one with `interlude account open lab --gpu-hours N"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    done = call("account", *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_plan_is_a_forecast_within_the_cap():
    found = call("plan", QUICKSTART, "--json")
    assert found.exit_code == 0, found.stderr
    plan = json.loads(found.stdout)
    assert plan["name"] == "quickstart"
    assert 0 < plan["spent_ms"] <= plan["cap_ms"]
    shown = call("plan", QUICKSTART).stdout
    assert "CPU slot-hours" in shown
    assert "GPU" not in shown


def test_a_status_says_where_the_money_is(run_folder):
    found = call("status", run_folder, "--json")
    status = json.loads(found.stdout)
    money = {key: status[key] for key in ("cap_ms", "spent_ms", "held_ms", "free_ms", "overdrawn_ms")}
    assert money == {
        "cap_ms": 100_000,
        "spent_ms": 10_000,
        "held_ms": 0,
        "free_ms": 90_000,
        "overdrawn_ms": 0,
    }
    assert status["by_purpose"] == {"train": 9_000, "lost": 1_000}
    assert (status["state"], status["reason"], status["trials"]) == ("ended", "cap reached", {"done": 1})
    assert status["best"]["score"] == 40.0
    assert "ended: cap reached" in call("status", run_folder).stdout


def test_a_ledger_lists_every_entry(run_folder):
    rows = json.loads(call("ledger", run_folder, "--json").stdout)
    assert [row["entry"] for row in rows] == ["Opened", "Reserved", "Charged", "Charged", "Released"]
    assert rows[-1]["free_ms"] == 90_000
    assert len(call("ledger", run_folder).stdout.splitlines()) == 1 + len(rows)


def test_a_run_is_named_by_its_folder_or_by_its_spec(run_folder, tmp_path, monkeypatch):
    by_folder = call("status", run_folder, "--json").stdout
    monkeypatch.chdir(tmp_path)
    assert call("status", QUICKSTART, "--json").stdout == by_folder
    assert call("status", "runs/quickstart", "--json").stdout == by_folder


def test_a_schema_is_json():
    assert "intermediate" in json.loads(call("schema").stdout)["properties"]


def refusal(*arguments):
    found = call(*arguments)
    assert found.exit_code == 2
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    assert len(found.stderr.splitlines()) <= 26
    return found.stderr


def spec_with(tmp_path, old, new):
    path = tmp_path / "changed.yaml"
    text = Path(QUICKSTART).read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize("command", ["status", "ledger", "report"])
def test_a_run_that_is_not_there_is_refused_with_what_to_do(command, run_folder, tmp_path):
    assert "is no run: it is not there" in refusal(command, tmp_path / "nowhere")
    said = refusal(command, tmp_path / "runs")
    assert "holds no journal.db" in said
    assert str(run_folder) in said


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_broken_spec_is_refused_on_one_screen(command, tmp_path):
    path = spec_with(tmp_path, "- toy_roles", "- toy_rolls")
    assert "intermediate.tasks.6: unknown task 'toy_rolls'. Did you mean toy_roles" in refusal(
        command, path
    )
    assert "cannot be read" in refusal(command, tmp_path / "none.yaml")


def test_a_hundred_problems_still_fit_on_one_screen(tmp_path):
    wrong = "\n".join(f"wrong_{i}: 1" for i in range(100))
    path = spec_with(tmp_path, "seed: 13", f"seed: 13\n{wrong}")
    assert "lines more; --debug shows all" in refusal("plan", path)


def test_a_cap_below_the_control_is_refused_with_the_numbers(tmp_path):
    path = spec_with(tmp_path, "gpu_hours: 0.135", "gpu_hours: 0.0001")
    assert "budget.gpu_hours is 0.0001" in refusal("plan", path)


def test_a_changed_spec_is_refused_and_the_run_stays_as_it_is(run_folder, tmp_path):
    path = spec_with(tmp_path, "seed: 13", "seed: 14")
    said = refusal("run", path, "--store", run_folder.parent, "--driver", "inline")
    assert "seed: was 13, is 14" in said
    status = json.loads(call("status", run_folder, "--json").stdout)
    assert (status["spent_ms"], status["state"]) == (10_000, "ended")


def test_a_second_driver_is_refused(run_folder):
    with SqlJournal(f"sqlite:///{run_folder}/journal.db", STUDY_FACTS, writer=True):
        said = refusal("run", QUICKSTART, "--store", run_folder.parent, "--driver", "inline")
    assert "already driven by" in said


def test_a_store_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    said = refusal("run", QUICKSTART, "--store", tmp_path / "file", "--driver", "inline")
    assert f"cannot write to {tmp_path}/file/quickstart" in said


def test_debug_shows_where_a_refusal_came_from(tmp_path):
    found = call("--debug", "status", tmp_path / "nowhere")
    assert type(found.exception).__name__ == "NoRunError"


def test_an_interrupt_says_how_to_go_on(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.commands.plan", interrupted)
    found = call("plan", QUICKSTART)
    assert found.exit_code == 130
    assert "the same command goes on" in found.stderr
