"""The scale benchmark, on a study small enough for a test."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from experiments.benchmarks.scale import main, measured


@pytest.fixture(scope="module")
def figures():
    return measured(recipes=40, devices=8, sampler="random", stage_s=60.0)


def test_the_recipes_are_tried_and_every_decision_is_timed(figures):
    assert 30 <= figures.recipes <= 41  # the control, and what the cap pays for of 40
    assert figures.ask.n == figures.tell.n == figures.stages > 4 * figures.recipes
    assert 0 < figures.ask.median <= figures.ask.p99 <= figures.ask.most
    assert figures.write.n > 2 * figures.stages  # a start and an end each, and moves


def test_devices_wait_for_the_driver_less_than_it_works(figures):
    device_s = figures.wall_h * 3600 * figures.devices
    assert 0 < figures.waiting * device_s < figures.driver_s * figures.devices


def test_the_command_prints_json_and_does_not_overwrite_a_journal(tmp_path):
    arguments = ["--quick", "--recipes", "5", "--devices", "2", "--json"]
    journal = tmp_path / "journal.db"
    printed = CliRunner().invoke(main, [*arguments, "--journal", str(journal)])
    assert json.loads(printed.output)["journal_mb"] > 0
    again = CliRunner().invoke(main, [*arguments, "--journal", str(journal)])
    assert again.exit_code == 1
    assert "is there already" in again.output
