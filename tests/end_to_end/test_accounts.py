"""Studies that share an account, and a study whose journal is in PostgreSQL, as users run them."""

from __future__ import annotations

import json
import subprocess

import pytest
from small_study import SPEC, asked, command, environment, interlude, status

from budgets.amount import DeviceTime
from budgets.envelope import Envelope

pytestmark = pytest.mark.timeout(300)
GRANTED = DeviceTime.from_hours(0.04)


def write(folder, name, budget="", journal=""):
    """The small study under another name, without MLflow, with lines added."""
    text = SPEC.format(store=folder / "runs", hours=0.03, trials=1).replace(
        "name: small", f"name: {name}"
    )
    text = text.replace("budget:\n", f"budget:\n{budget}").replace("sqlite:///mlflow.db", "null", 1)
    text = text.replace('"null"', "null") + journal
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_two_studies_at_once_never_overdraw_the_account_they_share(tmp_path):
    store = str(tmp_path / "runs")
    opened = asked("account", "open", "lab", "--gpu-hours", "0.04", "--store", store)
    assert opened.exit_code == 0, opened.stderr
    assert "0.0400 device-hours free" in opened.stdout
    drivers = [
        subprocess.Popen(
            command("run", str(write(tmp_path, name, "  account: lab\n")), "--driver", "inline"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    for driver in drivers:
        _, error = driver.communicate(timeout=240)
        assert driver.returncode == 0, error

    with Envelope(f"sqlite:///{store}/accounts.db", "lab", writer=False) as lab:
        lines = list(lab.lines())
    assert all(not line.standing.overdrawn for line in lines)
    shown = json.loads(asked("account", "show", "lab", "--json", "--store", store).stdout)
    assert set(shown["studies"]) == {"first", "second"}
    assert shown["cap_ms"] == GRANTED.ms == shown["spent_ms"] + shown["free_ms"]
    for name, drawn in shown["studies"].items():
        books = status(tmp_path / "runs" / name)
        assert drawn["by_purpose"] == books["by_purpose"]
        assert drawn["spent_ms"] == books["spent_ms"] > 0
        assert drawn["holds"] == {}
    words = asked("account", "show", "lab", "--store", store).stdout
    assert words.startswith("account lab: 0.0400 device-hours granted")
    assert "\nfirst: " in words
    assert "\nsecond: " in words


def test_a_study_on_an_account_that_nobody_opened_is_refused_with_the_command(tmp_path):
    done = interlude("run", str(write(tmp_path, "lost", "  account: lab\n")), "--driver", "inline")
    assert done.returncode == 2
    assert "no account 'lab'" in done.stderr
    assert "interlude account open lab --gpu-hours N" in done.stderr


def test_a_study_whose_journal_is_in_postgresql_runs_and_is_read_by_its_spec(tmp_path, postgres):
    opened = asked("account", "open", "lab", "--gpu-hours", "1", "--store", postgres)
    assert opened.exit_code == 0, opened.stderr
    spec = write(tmp_path, "served", "  account: lab\n", f"journal: {postgres}\n")
    done = interlude("run", str(spec), "--driver", "inline")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "runs" / "served" / "journal.db").exists()
    assert (tmp_path / "runs" / "served" / "report.html").is_file()

    books = status(spec)
    assert books["state"] == "ended"
    assert books["spent_ms"] > 0
    rows = json.loads(asked("ledger", str(spec), "--json").stdout)
    charged = sum(row["ms"] for row in rows if row["entry"] == "Charged")
    assert charged == books["spent_ms"]
    assert json.loads(asked("report", str(spec), "--format", "json").stdout)["errors"] == []
    drawn = json.loads(asked("account", "show", "lab", "--json", "--store", postgres).stdout)
    assert drawn["studies"]["served"]["spent_ms"] == charged

    again = interlude("run", str(spec), "--driver", "inline")
    assert again.returncode == 0, again.stderr
    assert status(spec)["spent_ms"] == charged
