"""A grid recorded for real through the command, and a search replayed on it in virtual time."""

from __future__ import annotations

import pytest
from small_study import asked, interlude, status, write_spec

from scheduler.table import Table


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A spec whose whole space is eight stages wide, and the table of it."""
    folder = tmp_path_factory.mktemp("tables")
    spec = write_spec(folder, hours=0.2, trials=4)
    text = spec.read_text().replace("cap: [1000, 4000], temperature: [1.0, 2.0]", "rule: uniform")
    spec.write_text(text.replace("toy_roles, toy_reading]", "toy_roles]").replace("[0, 3]", "[0, 2]"))
    file = folder / "small.parquet"
    done = interlude("table", "record", str(spec), "--to", str(file), "--driver", "inline")
    assert done.returncode == 0, done.stderr
    return spec, file, done.stdout


def test_a_recording_is_a_run_with_a_ledger_and_a_table(recorded):
    spec, file, output = recorded
    assert "the grid of 22 trials is recorded" in output
    table = Table.load(file)
    assert f"{len(table.rows)} stages recorded" in output
    assert all(measured.bill.total.ms > 0 for measured in table.rows.values())
    run = status(spec.parent / "runs/small-grid")
    assert run["overdrawn_ms"] == 0
    assert run["held_ms"] == 0


def test_a_search_is_replayed_on_the_table_and_charged_what_was_recorded(recorded):
    spec, file, _ = recorded
    done = interlude("run", str(spec), "--driver", "table", "--table", str(file))
    assert done.returncode == 0, done.stderr
    run = status(spec.parent / "runs/small")
    recorded_ms = {measured.bill.total.ms for measured in Table.load(file).rows.values()}
    assert run["spent_ms"] > max(recorded_ms)
    assert run["trials"]["done"] >= 2
    assert "report:" in done.stdout


def test_the_table_driver_and_its_table_go_together(recorded):
    spec, file, _ = recorded
    assert asked("run", str(spec), "--driver", "table").exit_code == 2
    assert asked("run", str(spec), "--table", str(file)).exit_code == 2
