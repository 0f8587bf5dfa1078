"""The worker's side of Ray Tune: the actor that runs stages.

Its process imports this module within its first lease. So nothing of the driver's side comes along:
neither the engine nor what the journal is written with.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import ray
from ray import tune

from scheduler.adapters.ray_desk import NAMESPACE

_LOOK_S = 0.5


class StageRunner(tune.Trainable):
    """A warm worker: one process that runs the stages of whatever trial it is given."""

    def setup(self, config: dict[str, Any]) -> None:
        """Start the worker; its imports are part of the first lease."""
        from budgets.clock import MonotonicClock
        from trainers.worker import Worker

        self._desk = ray.get_actor(config["desk"], namespace=NAMESPACE)
        self._devices: int = config["devices"]
        self._look_s = 0.0
        self._seen_hurried = False
        settings = replace(config["worker"], watchdog=True)
        self._worker = Worker(settings, MonotonicClock())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with another trial; everything warm stays."""
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Run the stage on the desk."""
        from scheduler.drivers.lease import granted

        waited_s, order = ray.get(self._desk.take.remote(self.trial_id))
        order = granted(order, devices=self._devices, waited_s=waited_s)
        measurement = self._worker.run(order, self._hurried)
        return {"measurement": measurement, "pid": os.getpid()}

    def _hurried(self) -> bool:
        """Whether the user wants to stop, asked of the desk twice a second at most."""
        now_s = time.monotonic()
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_S
            self._seen_hurried = bool(ray.get(self._desk.hurried.remote()))
        return self._seen_hurried

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what a stage made is in the stage store."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing, likewise."""
