"""Tune's hooks: each passes Tune's question on to the bridge and keeps nothing itself.

An error inside a hook would be taken by Tune for the trial's: the bridge remembers the first, ends
the experiment, and the driver raises it.
"""

from __future__ import annotations

from typing import Any

from ray.tune import Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from scheduler.adapters.ray_bridge import Bridge

_STATELESS = "the journal is the state"


class EngineSearcher(Searcher):
    """Tune's searcher: asks the engine for a recipe, and gives nothing while none is affordable."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A configuration for a new Tune trial, None for not now, FINISHED at the end."""
        if self._bridge.guarded(self._bridge.suggest, trial_id):
            return {}
        return Searcher.FINISHED if self._bridge.over else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler has told the engine."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {"state": _STATELESS}


class EngineScheduler(TrialScheduler):
    """Tune's scheduler: asks the engine who goes on."""

    _supports_buffered_results = False

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def on_trial_add(self, tune_controller: object, trial: TuneTrial) -> None:
        """Remember the trial that was suggested."""
        self._bridge.added(trial)

    def on_trial_error(self, tune_controller: object, trial: TuneTrial) -> None:
        """Charge the lease that was lost."""
        self._bridge.guarded(self._bridge.died, trial)

    def on_trial_result(self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]) -> str:
        """CONTINUE, PAUSE or STOP, as the engine decides."""
        return self._bridge.guarded(self._bridge.came_back, trial, result) or self.STOP

    def on_trial_complete(
        self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]
    ) -> None:
        """Nothing: the last result was told."""

    def on_trial_remove(self, tune_controller: object, trial: TuneTrial) -> None:
        """Nothing: a paused trial keeps its stages."""

    def choose_trial_to_run(self, tune_controller: object) -> TuneTrial | None:
        """The trial that the engine gave an order."""
        return None if self._bridge.over else self._bridge.guarded(self._bridge.chosen)

    def debug_string(self) -> str:
        """One line for Tune's own screen."""
        return "Interlude decides."

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def __getstate__(self) -> dict[str, Any]:
        return {"state": _STATELESS}


class StopWhenOver(Stopper):
    """Ends the experiment once the engine has said stop: paused trials would keep it open."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether the study is over."""
        return self._bridge.over

    def __getstate__(self) -> dict[str, Any]:
        return {"state": _STATELESS}
