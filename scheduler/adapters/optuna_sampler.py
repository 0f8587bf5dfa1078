"""The sampler port on Optuna: a mix <-> an Optuna trial, both ways.

Only mixes judged at full fidelity are told, as COMPLETE; a mix that stopped early, failed, or scored
NaN is not, because a low-fidelity value told as complete makes every later proposal worse.

Every proposal gets a study in memory of its own, filled with the tells, and a freshly seeded sampler,
so it depends on the seed, the tells and ``n_seen`` alone and is the same after a restart: within one
study NSGA-II keeps its parents between proposals, in another order than it found them. Defaults differ
between Optuna's versions: every argument that matters is written out here, and ``description`` goes
into the record.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from scheduler.coordinates import ARM, coordinates, named
from scheduler.mix import Mix
from scheduler.observation import Observation
from scheduler.space import RandomSampler, Space

SamplerName = Literal["tpe", "nsga2", "gp", "random"]

_N_STARTUP = 6  # tells before a model proposes; Optuna's 10 would be most of a small study
_POPULATION = 10  # NSGA-II's default of 50 is more than most budgets can judge at full fidelity
# Proposals of the model that were tried already, before a random one is taken. One of the GP's takes
# about a second on one core.
_DRAWS = {"tpe": 16, "nsga2": 16, "gp": 2}
_GENERATION = "NSGAIISampler:generation"  # told trials must carry it to count as a population


class OptunaSampler:
    """Proposes mixes with an Optuna sampler.

    Attributes:
        description: the sampler with every argument that matters, and Optuna's version.
    """

    def __init__(
        self, space: Space, directions: Sequence[Literal["max", "min"]], name: SamplerName, seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._name = name
        self._seed = seed
        self._random = RandomSampler(space, seed)
        self._distributions = _distributions(space)
        self._directions = ["maximize" if word == "max" else "minimize" for word in directions]
        self._told: list[FrozenTrial] = []
        self.description = _describe(name)

    def propose(self, n_seen: int, tried: Collection[Mix]) -> Mix | None:
        """A mix that is not among ``tried``, None when none is left."""
        if self._name == "random" or len(self._told) < _N_STARTUP:
            return self._random.propose(n_seen, tried)
        for draw in range(_DRAWS[self._name]):
            mix = self._ask(f"{self._seed}/{n_seen}/{draw}")
            if mix not in tried:
                return mix
        return self._random.propose(n_seen, tried)

    def _ask(self, key: str) -> Mix:
        """What a sampler seeded by ``key`` proposes after all that was told."""
        digest = hashlib.sha256(key.encode()).digest()
        sampler = _build(self._name, int.from_bytes(digest[:4], "big"))
        study = optuna.create_study(directions=self._directions, sampler=sampler)
        study.add_trials(self._told)
        trial = study.ask(self._distributions)
        return self._space.decode(coordinates(self._space, trial.params))

    def tell(self, mix: Mix, values: tuple[float, ...] | None) -> None:
        """Learn the objectives of ``mix`` at full fidelity; None or a NaN teaches nothing.

        Raises:
            ValueError: not one value per objective.
        """
        if values is None or not all(math.isfinite(value) for value in values):
            return
        if len(values) != len(self._directions):
            raise ValueError(f"{len(self._directions)} objectives, told {len(values)}: {values}")
        attributes = {_GENERATION: len(self._told) // _POPULATION} if self._name == "nsga2" else None
        self._told.append(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                values=list(values),
                params=named(self._space, self._space.encode(mix)),
                distributions=self._distributions,
                system_attrs=attributes,
            )
        )

    def observe(self, observation: Observation) -> None:
        """Learn nothing: a low-fidelity value told as complete makes every later proposal worse."""

    @property
    def n_told(self) -> int:
        """Mixes that the next proposal learns from."""
        return len(self._told)


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    """The fixed coordinates of every mix; log-cap is the logarithm, so not ``log=True``."""
    places = tuple(range(len(space.arms)))
    return {
        **{f"task/{task}": CategoricalDistribution((False, True)) for task in space.tasks},
        **{axis.name: FloatDistribution(*axis.ends) for axis in space.axes},
        **({ARM: CategoricalDistribution(places)} if places else {}),
    }


def _build(name: SamplerName, seed: int) -> optuna.samplers.BaseSampler:
    """The named sampler with everything written out."""
    if name == "tpe":
        return optuna.samplers.TPESampler(
            n_startup_trials=_N_STARTUP,
            n_ei_candidates=24,
            multivariate=True,
            group=False,
            constant_liar=False,
            seed=seed,
        )
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(
            population_size=_POPULATION, crossover_prob=0.9, swapping_prob=0.5, seed=seed
        )
    if name == "gp":
        return optuna.samplers.GPSampler(
            n_startup_trials=_N_STARTUP,
            deterministic_objective=False,
            warn_independent_sampling=False,
            seed=seed,
        )
    return optuna.samplers.RandomSampler(seed=seed)


def _describe(name: SamplerName) -> str:
    """The record of what proposed: sampler, arguments, version."""
    arguments = {
        "tpe": f"TPESampler(n_startup_trials={_N_STARTUP}, n_ei_candidates=24, multivariate=True, "
        "group=False, constant_liar=False)",
        "nsga2": f"NSGAIISampler(population_size={_POPULATION}, crossover_prob=0.9, swapping_prob=0.5)",
        "gp": f"GPSampler(n_startup_trials={_N_STARTUP}, deterministic_objective=False)",
    }
    if name == "random":
        return RandomSampler.description
    start = f"first {_N_STARTUP} tells: {RandomSampler.description}"
    return f"optuna {optuna.__version__} {arguments[name]}; {start}"
