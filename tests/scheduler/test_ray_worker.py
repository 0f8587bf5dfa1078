"""What a worker's process pays for before its first stage."""

from __future__ import annotations

import subprocess
import sys

import pytest

_NOT_A_WORKERS = (
    "sqlalchemy", "optuna", "torch", "transformers", "datasets",
    "scheduler.engine", "scheduler.adapters.ray_bridge", "budgets.account", "budgets.journal",
)  # fmt: skip


@pytest.mark.parametrize("module", ["scheduler.adapters.ray_worker", "scheduler.adapters.ray_desk"])
def test_an_actors_process_imports_nothing_of_the_drivers_and_torch_only_with_its_first_order(module):
    code = (
        f"import sys, {module}, trainers.worker, scheduler.drivers.lease\n"
        f"loaded = {set(_NOT_A_WORKERS)!r} & set(sys.modules)\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
