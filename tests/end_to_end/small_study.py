"""A whole study on the toy world that takes seconds: every part is real, only the sizes are small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from budgets.spec import read_yaml
from experiments.cli import main

RATES = {"full": 1e-3, "lora": 1e-2, "ia3": 5e-2, "bottleneck": 2e-2}  # by tuning
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


def tuned_spec(folder: Path) -> dict[str, object]:
    """The small study with an arm for each kind of tuning: of each the control and one mix."""
    mapping, _ = read_yaml(write_spec(folder, hours=1, trials=1))
    mapping["model"] = {"name": "toy-tiny", "tuning": list(RATES)}
    mapping["intermediate"] |= {
        "tasks": ["toy_entailment"],
        "count": [1, 1],
        "rungs": ["2K"],
        "mixing": {"rule": "uniform"},
        "learning_rate": RATES,
    }
    mapping["target"] |= {"learning_rate": RATES, "languages": ["qda", "qes"]}
    mapping["search"] = {"sampler": "random", "max_trials": 1, "design": "factorial"}
    mapping["final"] |= {"max_seeds": 1}
    mapping["tracking"] = {"mlflow": None}
    return mapping


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


def asked(*words: str) -> Result:
    """The command in this process, where a process of its own would only take a second more."""
    return CliRunner().invoke(main, words)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "experiments", *words]


def environment() -> dict[str, str]:
    """This process's environment, away from any cluster or mirror that it knows of."""
    strangers = ("RAY_ADDRESS", "INTERLUDE_MIRROR")
    return {name: value for name, value in os.environ.items() if name not in strangers}


def status(run: Path) -> dict[str, object]:
    """What ``interlude status --json`` says."""
    done = asked("status", str(run), "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)
