"""Syne Tune's ASHA, BOHB, MO-ASHA and CQR, run by its own ``Tuner`` on its own simulator.

A recorded table is a blackbox of Syne Tune's: a configuration is decoded into a mix, whose rungs are
its fidelities, and the simulator's clock runs in recorded seconds. Schedulers are its baselines with
their defaults: reduction factor 3, one bracket, trials that are stopped and not paused; CQR is
``ASHACQR``, the multi-fidelity one. BOHB draws at random until it has seen seven trials for each
coordinate of a mix, so with many coordinates and few trials it is ASHA. A rung has that factor more of
the resource than the one below. MO-ASHA minimises the score's negative and the device time of the way
to it.

The cap is ``StoppingCriterion(max_cost=...)``, as its documentation has it: costs are compared after
they were reported. What still runs then is not counted, in the peer's favour.

Source: Salinas et al. 2022, proceedings.mlr.press/v188/salinas22a; syne-tune.readthedocs.io.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from syne_tune import StoppingCriterion, Tuner, config_space
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.constants import ST_WORKER_COST
from syne_tune.optimizer.baselines import ASHA, ASHACQR, BOHB
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.tuner_logger import TunerLogger

from scheduler.adapters.peer_report import Reported, Search
from scheduler.coordinates import coordinates
from scheduler.mix import Mix
from scheduler.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator

_FACTOR = 3  # the schedulers' default
_LOOKS = 20  # of the tuner at its workers during the shortest rung
_LOSS, _ELAPSED, _RESOURCE = "loss", "elapsed_s", "resource"

Build = Callable[[dict[str, Any], int, int], Any]  # of space, top resource, seed: a scheduler


def _single(kind: Any) -> Build:  # noqa: ANN401 - Syne Tune's classes are untyped
    def build(space: dict[str, Any], top: int, seed: int) -> Any:  # noqa: ANN401
        return kind(space, metric=_LOSS, time_attr=_RESOURCE, max_t=top, random_seed=seed)

    return build


def _moasha(space: dict[str, Any], top: int, seed: int) -> Any:  # noqa: ANN401
    return MOASHA(
        space, metrics=[_LOSS, ST_WORKER_COST], time_attr=_RESOURCE, max_t=top, random_seed=seed
    )


PEERS: Mapping[str, Build] = {
    "ASHA": _single(ASHA),
    "BOHB": _single(BOHB),
    "MO-ASHA": _moasha,
    "CQR": _single(ASHACQR),
}


def searched(peer: str, search: Search) -> tuple[Reported, ...]:
    """What one of ``PEERS`` is told, until the cap."""
    np.random.seed(search.seed)  # MO-ASHA and brackets draw from numpy's own state
    top = _FACTOR ** (search.n_rungs - 1)
    heard = _Heard(search)
    shortest_ms = min(rung.cost_ms for rungs in search.recorded.values() for rung in rungs)
    with _scratch():
        Tuner(
            trial_backend=UserBlackboxBackend(
                _Recorded(search),
                elapsed_time_attr=_ELAPSED,
                tuner_sleep_time=shortest_ms / 1000 / _LOOKS,
            ),
            scheduler=PEERS[peer](_space(search.space), top, search.seed),
            stop_criterion=StoppingCriterion(max_cost=search.cap_ms / 1000),
            n_workers=search.workers,
            sleep_time=0,
            callbacks=[heard],
            save_tuner=False,
            output_logger=_Silent(),
        ).run()
    return tuple(heard.reports)


def _space(space: Space) -> dict[str, Any]:
    """Each coordinate of a mix as a domain of Syne Tune's."""
    return {
        **{f"task/{task}": config_space.choice([0, 1]) for task in space.tasks},
        **{axis.name: config_space.uniform(*axis.ends) for axis in space.axes},
    }


def _decoded(space: Space, config: Mapping[str, Any]) -> Mix:
    return space.decode(coordinates(space, config))


class _Recorded(Blackbox):
    """A table by what Syne Tune asks it: every fidelity of a configuration at once."""

    def __init__(self, search: Search) -> None:
        resources = [_FACTOR**rung for rung in range(search.n_rungs)]
        super().__init__(
            _space(search.space),
            {_RESOURCE: config_space.randint(1, max(resources[-1], 2))},
            [_LOSS, _ELAPSED, ST_WORKER_COST],
        )
        self._search = search
        self._resources = np.array(resources)

    @property
    def fidelity_values(self) -> npt.NDArray[np.int64]:
        """Resource of each rung."""
        return self._resources

    def _objective_function(
        self,
        configuration: Mapping[str, Any],
        fidelity: object = None,
        seed: int | None = None,
    ) -> npt.NDArray[np.float64]:
        """Loss, seconds since the start, seconds billed: shape (rungs, 3).

        The control has one rung: whatever is asked of it beyond gives the same at no cost.
        """
        del fidelity, seed
        rungs = self._search.recorded[_decoded(self._search.space, configuration)]
        losses = [-rung.score for rung in rungs]
        ends_s = np.cumsum([rung.cost_ms for rung in rungs]) / 1000
        missing = self._search.n_rungs - len(rungs)
        table = np.column_stack([losses, ends_s, ends_s])
        return np.vstack([table, *[table[-1:]] * missing])


class _Heard(SimulatorCallback):
    """What the tuner hears from its trials, in order, and nothing written to disk."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search
        self.reports: list[Reported] = []

    def on_trial_result(
        self,
        trial: Any,  # noqa: ANN401 - Syne Tune's trials are untyped
        status: str,
        result: dict[str, Any],
        decision: str,
    ) -> None:
        """Keep one report."""
        del status, decision
        mix = _decoded(self._search.space, trial.config)
        rung = round(np.log(result[_RESOURCE]) / np.log(_FACTOR))
        rungs = self._search.recorded[mix]
        if rung < len(rungs):
            self.reports.append(Reported(mix, rung, rungs[rung]))

    def on_tuning_end(self) -> None:
        """Write nothing."""


class _Silent(TunerLogger):
    """Says nothing."""

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("print_"):
            return lambda *args, **kwargs: None
        return super().__getattribute__(name)


@contextmanager
def _scratch() -> Iterator[None]:
    """A folder of its own for what Syne Tune writes, and its log kept quiet."""
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="syne-") as folder:
        os.environ["SYNETUNE_FOLDER"] = folder
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
