"""Two minutes of the real-data study: real tasks, a real multilingual encoder, from a mirror."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from small_study import command, environment, status

pytestmark = [pytest.mark.ray, pytest.mark.mirror, pytest.mark.timeout(600)]

_SPEC = Path(__file__).parents[2] / "experiments" / "real-mini.yaml"


@pytest.fixture(scope="module")
def run(mirror, tmp_path_factory):
    """The study of ``experiments/real-mini.yaml``, smaller in every size and in nothing else."""
    folder = tmp_path_factory.mktemp("real")
    spec = yaml.safe_load(_SPEC.read_text())
    spec["store"] = str(folder / "runs")
    spec["budget"]["gpu_hours"] = 0.1
    spec["intermediate"].update(tasks=["qqp", "commonsenseqa"], count=[0, 2], rungs=["4K", "8K"])
    spec["target"].update(tokens="4K", languages=["sw", "te"], tasks=["panx", "tatoeba"], skip=[])
    spec["target"]["max_examples"] = 20
    spec["search"] = {"sampler": "tpe", "policy": "halving", "max_trials": 2}
    spec["final"] = {"finalists": 1, "max_seeds": 2, "max_examples": 30}
    path = folder / "real.yaml"
    path.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        command("run", str(path)),
        env={**environment(), "INTERLUDE_MIRROR": os.path.abspath(mirror)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "real-mini"


def test_a_study_on_real_data_ends_inside_its_cap_with_a_scored_control(run):
    shown = status(run)

    assert shown["state"] == "ended"
    assert shown["overdrawn_ms"] == 0
    assert shown["spent_ms"] + shown["held_ms"] <= shown["cap_ms"]
    assert sum(shown["by_purpose"].values()) == shown["spent_ms"]
    assert shown["control"]["score"] is not None


def test_its_report_scores_every_cell_it_was_asked_for(run):
    report = json.loads((run / "report.json").read_text())

    text = json.dumps(report)
    assert all(f'"{code}"' in text for code in ("sw", "te"))
    assert (run / "report.html").stat().st_size > 10_000
