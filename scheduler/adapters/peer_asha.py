"""What a user would pick instead: Ray Tune's ``ASHAScheduler`` and ``OptunaSearch``, by its ``Tuner``.

Set up as Ray's documentation shows, on recorded results: a trial's step sleeps for as long as the rung
took, scaled down, and reports the recorded score. ASHA has its default reduction factor and grace
period; a rung has that factor more of its resource than the one below, as rungs that grow fourfold do.

Tune has no cap on device time. The stopper here ends the run once the recorded time of what was reported
reaches the cap; what still runs then is not counted, in the peer's favour.

Source: Li et al. 2020, arXiv:1810.05934; docs.ray.io, "Tune search algorithms", "Tune schedulers".
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from scheduler.mix import Mix
from scheduler.space import Space, coordinates

_FACTOR = 4  # ASHAScheduler's default
_DOT = ":"  # OptunaSearch refuses a slash in the name of a parameter
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """What one rung of a recipe gave.

    Attributes:
        cost_ms: device time on top of the rung below.
        score: on search cells, in points.
    """

    cost_ms: int
    score: float


@dataclass(frozen=True, slots=True)
class Reported:
    """One report of a Tune trial, in order of arrival."""

    mix: Mix
    rung: int
    result: Rung


class Replayed(tune.Trainable):
    """A trial that sleeps through its recorded rungs."""

    def setup(
        self,
        config: dict[str, Any],
        space: Space,
        recorded: Mapping[Mix, Sequence[Rung]],
        s_per_ms: float,
    ) -> None:
        """Look the recipe up."""
        self._space = space
        self._recorded = recorded
        self._s_per_ms = s_per_ms
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another recipe in the same process."""
        values = {name.replace(_DOT, "/"): value for name, value in new_config.items()}
        self._mix = self._space.decode(coordinates(self._space, values))
        self._rung = 0
        return True

    def step(self) -> dict[str, Any]:
        """One rung."""
        rungs, rung = self._recorded[self._mix], self._rung
        self._rung += 1
        time.sleep(rungs[rung].cost_ms * self._s_per_ms)
        return {
            "score": rungs[rung].score,
            "resource": _FACTOR**rung,
            "report": Reported(self._mix, rung, rungs[rung]),
            "done": rung == len(rungs) - 1,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: ASHA stops trials and never pauses one."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing was saved."""


class _Cap(tune.Stopper):
    """Keeps what is reported, and ends the run at the cap."""

    def __init__(self, cap_ms: int) -> None:
        self._left_ms = cap_ms
        self.reports: list[Reported] = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        report = result["report"]
        if self._left_ms > 0:
            self.reports.append(report)
        self._left_ms -= report.result.cost_ms
        return self.stop_all()

    def stop_all(self) -> bool:
        return self._left_ms <= 0


def asha_with_optuna(
    space: Space,
    recorded: Mapping[Mix, Sequence[Rung]],
    *,
    workers: int,
    cap_ms: int,
    seed: int,
    s_per_ms: float,
) -> tuple[Reported, ...]:
    """What the pair is told, until the cap.

    Args:
        space: mixes; each of its coordinates is a parameter of Tune's.
        recorded: rungs of every mix, from the lowest.
        workers: trials at once.
        cap_ms: device time.
        seed: of Optuna's sampler.
        s_per_ms: seconds slept for a recorded millisecond; short against Ray's own overhead, the order
            of reports is no longer that of the recording.
    """
    os.environ.update(_SETTINGS)
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
    cap = _Cap(cap_ms)
    try:
        with tempfile.TemporaryDirectory(prefix="asha-") as folder:
            trainable = tune.with_parameters(Replayed, space=space, recorded=recorded, s_per_ms=s_per_ms)
            _tuner(trainable, space, recorded, cap, workers=workers, seed=seed, folder=folder).fit()
    finally:
        if started_here:
            ray.shutdown()
    return tuple(cap.reports)


def _tuner(
    trainable: Any,  # noqa: ANN401 - what Ray wraps is untyped
    space: Space,
    recorded: Mapping[Mix, Sequence[Rung]],
    cap: _Cap,
    *,
    workers: int,
    seed: int,
    folder: str,
) -> tune.Tuner:
    top = max(len(rungs) for rungs in recorded.values()) - 1
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            **{f"task{_DOT}{task}": tune.choice([False, True]) for task in space.tasks},
            **{axis.name.replace("/", _DOT): tune.uniform(*axis.ends) for axis in space.axes},
        },
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            search_alg=OptunaSearch(seed=seed),
            scheduler=ASHAScheduler(time_attr="resource", max_t=max(_FACTOR**top, 2)),
            num_samples=-1,
            max_concurrent_trials=workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=folder, stop=cap, verbose=0),
    )
