import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from experiments import doctor
from experiments.cli import main
from scheduler.adapters.ray_auth import token_state
from trainers import devices
from trainers.devices import DeviceFacts

GPU = DeviceFacts(
    name="A GPU",
    kind="gpu",
    memory_bytes=80 * 10**9,
    threads=0,
    matrix_ops_per_s={"fp32": 6.0e13, "bf16": 7.5e14},
    copy_bytes_per_s={"memory": 3.0e12, "to device": 5.5e10},
    precision="bf16: autocast over fp32 weights",
    attention="sdpa: flash attention",
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(devices, "_MATRIX_ROWS", {"cpu": 64, "cuda": 64})
    monkeypatch.setattr(devices, "_COPY_BYTES", {"cpu": 1 << 16, "cuda": 1 << 16})


def test_the_doctor_measures_the_device_and_names_what_is_around_it(tmp_path, monkeypatch):
    (tmp_path / "hub/org/set/default").mkdir(parents=True)
    (tmp_path / "hub/org/set/default/train.parquet").touch()
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/config.json").touch()
    monkeypatch.setenv("INTERLUDE_MIRROR", str(tmp_path))
    answer = CliRunner().invoke(main, ["doctor", "--json", "--store", str(tmp_path / "runs/later")])
    found = json.loads(answer.output)
    assert all(rate > 0 for device in found["devices"] for rate in device["matrix_ops_per_s"].values())
    assert all(rate > 0 for device in found["devices"] for rate in device["copy_bytes_per_s"].values())
    assert found["environment"]["packages"]["torch"]
    assert found["disk"] == str(tmp_path)
    assert found["free_bytes"] > 0
    assert found["mirror"] == {"path": str(tmp_path), "state": "found", "n_files": 1, "models": ["tiny"]}


@pytest.mark.parametrize(("named", "state"), [(None, "none named"), ("here", "it has no hub/ folder")])
def test_a_mirror_that_cannot_be_used_is_told_apart_from_none(tmp_path, monkeypatch, named, state):
    monkeypatch.delenv("INTERLUDE_MIRROR", raising=False)
    if named:
        monkeypatch.setenv("INTERLUDE_MIRROR", str(tmp_path / named))
    assert state in doctor.examine(tmp_path).mirror.state


def test_the_screen_shows_rates_with_their_units(tmp_path):
    found = doctor.examine(tmp_path)
    shown = Console(width=100, record=True, file=io.StringIO())
    doctor.show(
        doctor.Findings((GPU,), found.environment, found.ray_token, found.disk, 10**9, found.mirror),
        shown,
    )
    text = shown.export_text()
    assert "gpu 0: A GPU" in text
    assert "750 TFLOP/s" in text
    assert "55.0 GB/s" in text
    assert "1.0 GB are free" in text


@pytest.mark.parametrize(
    ("environ", "has_file", "told"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, True, "off (RAY_AUTH_MODE=disabled)"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "x"}, False, "found in RAY_AUTH_TOKEN"),
        ({"RAY_AUTH_MODE": "token"}, True, "auth_token (RAY_AUTH_MODE=token)"),
        ({}, True, "set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token"}, False, "no token (RAY_AUTH_MODE=token)"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, True, "no token (RAY_AUTH_MODE is not set)"),
    ],
)
def test_the_state_of_rays_token_is_told_with_what_to_do(tmp_path, environ, has_file, told):
    if has_file:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray/auth_token").write_text("secret")
    state = token_state(environ, Path(tmp_path))
    assert told in state
    assert "secret" not in state


@pytest.mark.gpu
def test_a_gpu_is_measured_in_both_precisions():
    (found, *_) = devices.devices()
    assert found.kind == "gpu"
    assert found.matrix_ops_per_s["bf16"] > found.matrix_ops_per_s["fp32"]
    assert found.copy_bytes_per_s["to device"] > 0
