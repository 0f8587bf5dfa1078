"""A driver on real Ray that dies where its schedule says: ``python ray_driver.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import driver

from scheduler.adapters import ray_tune
from scheduler.adapters.ray_worker import StageRunner
from scheduler.interrupt import Interrupt

_START_UP_MS = 30_000  # without torch and a model


class SyntheticRunner(StageRunner):
    """The actor that runs stages, with a worker whose stages are short."""

    def setup(self, config: dict[str, Any]) -> None:
        import synthetic

        import trainers.worker

        trainers.worker.Worker = synthetic.SyntheticWorker
        super().setup(config)


def drive(folder: Path) -> int:
    schedule = driver.read_schedule(folder)
    driver.set_start_up(_START_UP_MS)
    ray_tune.StageRunner = SyntheticRunner
    with driver.opened(folder, schedule) as (engine, tree):
        spec = tree.spec.model_copy(update={"store": str(folder), "name": schedule["name"]})
        settings = driver.worker_settings(folder)
        ray_tune.drive_ray(engine, spec, settings, lambda: None, Interrupt())
        return driver.STOPPED if engine.state.stopped else driver.ENDED


if __name__ == "__main__":
    driver.main(sys.argv[1], drive)
