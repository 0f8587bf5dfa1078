"""What a user would pick instead: Ray Tune's ``ASHAScheduler`` and ``OptunaSearch``, by its ``Tuner``.

Set up as Ray's documentation shows, on recorded results: a trial's step sleeps for as long as the rung
took, scaled down, and reports the recorded score. Runs share one local Ray, each with a driver and
workers of its own; more runs than cores wait for Ray and not for sleep. ASHA has its default reduction
factor and grace period; a rung has that factor more of its resource than the one below, as rungs that
grow fourfold do.

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

from scheduler.adapters.peer_report import Reported, Rung, Search
from scheduler.coordinates import coordinates
from scheduler.mix import Mix
from scheduler.space import Space

_FACTOR = 4  # ASHAScheduler's default
_DOT = ":"  # OptunaSearch refuses a slash in the name of a parameter
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What one run of Tune was told.

    Attributes:
        reports: until the cap, in order of arrival.
        slept_share: time that trials slept, of the time that their workers had; what is missing is Ray's
            own, and shifts the order in which trials of different length report.
    """

    reports: tuple[Reported, ...]
    slept_share: float


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
    """Ends the run at the cap."""

    def __init__(self, search: Search, s_per_ms: float) -> None:
        self._left_ms = search.cap_ms
        self._workers = search.workers
        self._s_per_ms = s_per_ms
        self._begun_s = 0.0
        self._ended_s = 0.0
        self._slept_s = 0.0
        self.reports: list[Reported] = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        report = result["report"]
        if self._left_ms > 0:
            self._time(report.result.cost_ms * self._s_per_ms)
            self.reports.append(report)
        self._left_ms -= report.result.cost_ms
        return self.stop_all()

    def _time(self, slept_s: float) -> None:
        self._ended_s = time.monotonic()
        if not self.reports:
            self._begun_s = self._ended_s - slept_s
        self._slept_s += slept_s

    def stop_all(self) -> bool:
        return self._left_ms <= 0

    def heard(self) -> Heard:
        """What there was."""
        had_s = (self._ended_s - self._begun_s) * self._workers
        return Heard(tuple(self.reports), self._slept_s / had_s if had_s else 1.0)


def asha_with_optuna(searches: Sequence[Search], *, s_per_ms: float, at_once: int) -> list[Heard]:
    """What the pair is told in each search, until its cap.

    Args:
        searches: one run of Tune each.
        s_per_ms: seconds slept for a recorded millisecond; short against Ray's own overhead, the order
            of reports is no longer that of the recording.
        at_once: runs that share the local Ray.
    """
    os.environ.update(_SETTINGS)
    workers = max(search.workers for search in searches)
    ray.init(
        address="local",
        num_cpus=workers * at_once,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        runtime_env={"env_vars": _SETTINGS},
    )
    try:
        one = ray.remote(num_cpus=0)(_searched)
        refs: list[Any] = []
        waiting: list[Any] = []
        for search in searches:
            if len(waiting) == at_once:
                _, waiting = ray.wait(waiting)
            refs.append(one.remote(search, s_per_ms))
            waiting.append(refs[-1])
        found: list[Heard] = ray.get(refs)
        return found
    finally:
        ray.shutdown()


def _searched(search: Search, s_per_ms: float) -> Heard:
    """One run of Tune, in a driver of its own."""
    cap = _Cap(search, s_per_ms)
    with tempfile.TemporaryDirectory(prefix="asha-") as folder:
        trainable = tune.with_parameters(
            Replayed, space=search.space, recorded=search.recorded, s_per_ms=s_per_ms
        )
        _tuner(trainable, search, cap, folder).fit()
    return cap.heard()


def _tuner(
    trainable: Any,  # noqa: ANN401 - what Ray wraps is untyped
    search: Search,
    cap: _Cap,
    folder: str,
) -> tune.Tuner:
    space = search.space
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            **{f"task{_DOT}{task}": tune.choice([False, True]) for task in space.tasks},
            **{axis.name.replace("/", _DOT): tune.uniform(*axis.ends) for axis in space.axes},
        },
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            search_alg=OptunaSearch(seed=search.seed),
            scheduler=ASHAScheduler(time_attr="resource", max_t=max(_FACTOR ** (search.n_rungs - 1), 2)),
            num_samples=-1,
            max_concurrent_trials=search.workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=folder, stop=cap, verbose=0),
    )
