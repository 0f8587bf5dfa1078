"""Where a result was made: commit, versions, machine and command, recorded with every stage."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "interlude-scheduler",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "safetensors",
    "numpy",
    "pyarrow",
    "ray",
    "peft",
    "optuna",
    "mlflow",
    "mlcommons-loadgen",
)


@cache
def environment() -> dict[str, object]:
    """Commit, package versions, Python, machine, devices and command line of this process.

    Cheap and free of torch: GPU names come from torch only where a process has it loaded anyway.
    """
    return {
        "git_commit": git_commit(Path(__file__).parent),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count() or 0,
        "gpus": _gpu_names(),
        "argv": list(sys.argv),
    }


@cache
def cpu_name() -> str:
    """The processor's name from /proc, else what Python calls the machine."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def gpu_models() -> list[str]:
    """The names of this machine's NVIDIA GPUs as their driver lists them, without loading torch."""
    listings = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = [line for listing in listings for line in listing.read_text(encoding="utf-8").splitlines()]
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]


def git_commit(folder: Path) -> str:
    """The commit checked out around ``folder``, with ``+changes`` if edited; empty without git."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _gpu_names() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
