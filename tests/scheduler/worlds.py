"""Worlds with a known truth: main effects, pairs, growth with training, and noise of a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from fakes import Bench

from scheduler.mix import Mix
from trainers.order import CellScore
from trainers.stage import EvaluateStage, Half, Stage


@dataclass(frozen=True)
class Truth:
    """Scores without noise.

    Attributes:
        tasks: of the space.
        main: points that each task brings at the top.
        pairs: points that two tasks bring together, upper triangle.
        growth: how much more of a main effect there is at the top than at the first rung.
    """

    tasks: tuple[str, ...]
    main: np.ndarray
    pairs: np.ndarray
    growth: np.ndarray

    @classmethod
    def of(cls, tasks: tuple[str, ...], seed: int, pair: float = 0.3) -> Truth:
        """A truth drawn at random: some tasks help, some hurt, and several together crowd."""
        draws = np.random.default_rng(seed)
        n = len(tasks)
        pairs = np.triu(draws.normal(-0.1, pair, (n, n)), 1)
        return cls(tasks, draws.normal(0.3, 1.0, n), pairs, draws.uniform(0.1, 0.5, n))

    def score(self, mix: Mix, z: float = 0.0) -> float:
        """Points of ``mix``; z is 0 at the top rung and -1 at the first."""
        bits = np.array([task in mix.tasks for task in self.tasks], dtype=float)
        return float(40 + bits @ (self.main * (1 + self.growth * z)) + bits @ self.pairs @ bits)


@dataclass
class World(Bench):
    """A bench whose cells follow a truth, with a standard deviation of ``noise`` points per score."""

    truth: Truth | None = None
    rungs: tuple[int, ...] = ()
    noise: float = 0.4
    _mixes: dict[str, tuple[Mix, float]] = field(default_factory=dict)

    def _scores(self, stage: Stage) -> tuple[CellScore, ...]:
        if not isinstance(stage, EvaluateStage):
            return ()
        tasks, tokens = self._tasks.get(stage.parent or "", ((), 0))
        span = math.log(self.rungs[-1] / self.rungs[0]) or 1.0
        z = math.log(tokens / self.rungs[-1]) / span if tokens else 0.0
        true = self.truth.score(Mix(tasks), z)
        seed = int(2**32 * self._chance("noise", tasks, tokens, stage.half is Half.SEARCH))
        noise = np.random.default_rng(seed).normal(0, self.noise)
        return tuple(
            CellScore(stage.task, code, "accuracy", true + noise, 2_000) for code in stage.languages
        )
