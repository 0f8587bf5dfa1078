"""A whole study on the toy world that takes seconds: every part is real, only the sizes are small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SPEC = """
name: small
question: Does the machinery work?
seed: 7
store: {store}
budget:
  gpu_hours: {hours}
  devices: {{kind: cpu, count: 2, per_trial: 1}}
  final_share: 0.3
model: {{name: toy-tiny}}
data: {{source: toy}}
pretrain: {{tokens: 20K, learning_rate: 2e-3, batch_tokens: 2048}}
intermediate:
  tasks: [toy_entailment, toy_roles, toy_reading]
  count: [0, 3]
  mixing: {{cap: [1000, 4000], temperature: [1.0, 2.0]}}
  rungs: [4K, 8K]
  learning_rate: 1e-3
  batch_tokens: 1024
target:
  benchmark: toy
  tasks: [toy_pos, toy_tatoeba]
  languages: {{low_resource: default}}
  tokens: 4K
  learning_rate: 1e-3
  batch_tokens: 1024
  max_examples: 20
search: {{sampler: tpe, policy: halving, max_trials: {trials}}}
final: {{finalists: 1, max_seeds: 2, max_examples: 20}}
tracking: {{mlflow: "sqlite:///mlflow.db"}}
"""


def write_spec(folder: Path, *, hours: float = 0.05, trials: int = 3, store: str | None = None) -> Path:
    """The small study's spec in ``folder``, its store beside it."""
    path = folder / "small.yaml"
    path.write_text(SPEC.format(store=store or folder / "runs", hours=hours, trials=trials))
    return path


def interlude(*words: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """The command, in its own process, as a user runs it."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(),
        check=False,
    )


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "experiments", *words]


def environment() -> dict[str, str]:
    """This process's environment, away from any cluster or mirror that it knows of."""
    strangers = ("RAY_ADDRESS", "INTERLUDE_MIRROR")
    return {name: value for name, value in os.environ.items() if name not in strangers}


def status(run: Path) -> dict[str, object]:
    """What ``interlude status --json`` says."""
    done = interlude("status", str(run), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
