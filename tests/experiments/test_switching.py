"""The benchmark of what a trial costs to store and to switch to."""

import json

import pytest
from click.testing import CliRunner

from experiments.benchmarks.shapes import SHAPES
from experiments.benchmarks.switching import main, measured
from trainers.adapter_places import TUNINGS


@pytest.fixture(scope="module")
def figures():
    return {one.tuning: one for one in measured(SHAPES["mini"], 1)}


def test_every_tuning_is_measured_and_no_adapter_has_a_hundredth_of_the_weights(figures):
    assert tuple(figures) == TUNINGS
    assert figures["full"].trained_share == 1.0
    for tuning in TUNINGS[1:]:
        assert 0 < figures[tuning].n_trained < 0.01 * figures["full"].n_trained
        assert figures[tuning].trained_share == figures[tuning].n_trained / figures["full"].n_trained


def test_a_trial_with_an_adapter_stores_a_fiftieth(figures):
    full = figures["full"]
    for tuning in TUNINGS[1:]:
        one = figures[tuning]
        assert one.target_bytes < 0.02 * full.target_bytes
        assert one.intermediate_bytes < 0.02 * full.intermediate_bytes
        assert min(one.kept_ms, one.read_ms, one.save_ms, one.tokens_per_s) > 0


def test_the_command_prints_json(figures, monkeypatch):
    monkeypatch.setattr("experiments.benchmarks.switching.measured", lambda *_: [figures["lora"]])
    (said,) = json.loads(CliRunner().invoke(main, ["--json"], catch_exceptions=False).stdout)
    assert said["tuning"] == "lora"
    assert "lora" in CliRunner().invoke(main, catch_exceptions=False).stdout
