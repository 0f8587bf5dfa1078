"""A space that is a list: each mix is one candidate whose rates are given, not computed by a rule.

For pools that somebody else trained: what is between two candidates cannot be run. A candidate is
``Mix((name,))``. Its coordinates follow from its rates, so that a sampler's model sees what it is made
of: for every domain the share of candidates with a lower rate, ties counted half, from 0 to 1. (Rates
would not do: most are near 0, and almost every point would be nearest to the same few candidates.) The
mix at any point is the candidate nearest to it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

import numpy as np
import numpy.typing as npt

from budgets.forecast import Work
from scheduler.mix import Mix
from scheduler.space import Point
from scheduler.spec import StudySpec
from scheduler.spec_parts import steps_of
from scheduler.tree import Node, StageTree
from scheduler.trial import Arm, Recipe
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    Stage,
    TaskShare,
)
from trainers.tasks.source import Source


@dataclass(frozen=True, slots=True)
class Rank:
    """The rank of one domain's rate among the candidates, 0 to 1."""

    name: str
    ends: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class ListedSpace:
    """Candidates by name.

    Attributes:
        domains: what rates are given for.
        rates: by candidate, one per domain, summing to 1.
        tasks: none, since no coordinate is a bit.
    """

    domains: tuple[str, ...]
    rates: Mapping[str, tuple[float, ...]]
    tasks: tuple[str, ...] = field(default=(), init=False)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """None: a candidate is a recipe for one model."""
        return ()

    @cached_property
    def axes(self) -> tuple[Rank, ...]:
        """A coordinate per domain."""
        return tuple(Rank(f"rank/{domain}") for domain in self.domains)

    @property
    def n_mixes(self) -> int:
        """Candidates."""
        return len(self.rates)

    def mean_rates(self, mix: Mix) -> tuple[float, ...]:
        """The rates of a candidate; of several, their means.

        Raises:
            KeyError: one is not in the list.
        """
        rows = [self.rates[name] for name in mix.tasks]
        return tuple(fmean(column) for column in zip(*rows, strict=True))

    def encode(self, mix: Mix) -> Point:
        """The coordinates of a candidate."""
        (name,) = mix.tasks
        return Point((), tuple(float(x) for x in self._ranks[list(self.rates).index(name)]))

    def decode(self, point: Point) -> Mix:
        """The candidate nearest to ``point``, the first of equals."""
        distances = np.square(self._ranks - np.array(point.numbers)).sum(axis=1)
        return Mix((list(self.rates)[int(distances.argmin())],))

    @cached_property
    def _ranks(self) -> npt.NDArray[np.float64]:
        """Coordinates of all candidates, shape (candidates, domains)."""
        rates = np.array(list(self.rates.values()))
        lower = (rates[None, :, :] < rates[:, None, :]).sum(axis=1)
        equal = (rates[None, :, :] == rates[:, None, :]).sum(axis=1)
        ranks: npt.NDArray[np.float64] = (lower + equal / 2) / len(rates)
        return ranks

    def draw(self, rng: random.Random) -> Mix:
        """A candidate, each as likely as the others."""
        return Mix((rng.choice(list(self.rates)),))

    def all_mixes(self) -> tuple[Mix, ...]:
        """Every candidate."""
        return tuple(Mix((name,)) for name in self.rates)


class ListedTree(StageTree):
    """The stages of candidates that were trained anew at every rung.

        intermediate(rung) -> evaluate

    A rung is the size of the model here; none continues another. The control has no recipe to train
    and nothing recorded; it is one evaluation.
    """

    def __init__(
        self, spec: StudySpec, space: ListedSpace, source: Source, costs_ms: Mapping[int, int]
    ) -> None:
        """The tree.

        Args:
            spec: whose rungs are the models' sizes in weights.
            space: the candidates.
            source: never asked for rows.
            costs_ms: device time of one run, by size.
        """
        super().__init__(spec, source, lambda _: "listed")
        self._space = space
        self._costs_ms = costs_ms

    def base(self, model: str) -> Node | None:
        """None: nothing is trained before a candidate."""
        del model
        return None

    def _drawn(self, mix: Mix, languages: str) -> tuple[tuple[str, float], ...]:
        del languages
        if not mix.count:
            return ()
        rates = zip(self._space.domains, self._space.mean_rates(mix), strict=True)
        return tuple((domain, rate) for domain, rate in rates if rate)

    def _shared_out(self, mix: Mix, languages: str) -> tuple[TaskShare, ...]:
        return tuple(TaskShare(domain, rate, ()) for domain, rate in self.rates(mix, languages))

    def _build(self, recipe: Recipe, rung: int, half: Half) -> tuple[Node, ...]:
        settings = self.spec.intermediate
        parent: Node | None = None
        if recipe.mix.count:
            shares = self.shares(recipe.mix)
            steps = steps_of(settings, recipe.tuning)
            parent = self._node(
                IntermediateStage(
                    self.ref(recipe.arm), None, None, shares, 0, settings.rungs[rung], steps, recipe.seed
                )
            )
        (task,) = self.spec.target.tasks
        judged = EvaluateStage(
            self.ref(recipe.arm), parent.name if parent else None, task, self._space.domains, half, ()
        )
        return (*([parent] if parent else []), self._node(judged))

    def work(self, stage: Stage) -> Work:
        """A run's cost is known beforehand, that of reading its losses is the least there is."""
        if isinstance(stage, IntermediateStage):
            return Work("intermediate", stage.tokens, self._costs_ms[stage.tokens])
        return Work("evaluate", 1, 1)
