"""Arms in a search: what is proposed, what is tried of it, and the space of mixes in arms.

    design: search        a mix in one arm is proposed and tried; the arm is one more coordinate
    design: factorial     a mix is proposed, and tried in every arm of the study

With one arm the two are the same, and a proposal is a mix.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from scheduler.axis import Axis
from scheduler.mix import Mix
from scheduler.space import MixSpace, Point, Space
from scheduler.trial import Arm, Recipe

if TYPE_CHECKING:
    from scheduler.spec import StudySpec


_NO_ARM = Arm("")


@dataclass(frozen=True, slots=True, order=True)
class ArmedMix(Mix):
    """A mix in an arm; ``ArmedMix()`` in one is its control."""

    arm: Arm = _NO_ARM

    @classmethod
    def put(cls, mix: Mix, arm: Arm) -> ArmedMix:
        """``mix`` in ``arm``."""
        return cls(mix.tasks, mix.cap, mix.temperature, mix.text, arm)

    @property
    def bare(self) -> Mix:
        """The mix alone."""
        return Mix(self.tasks, self.cap, self.temperature, self.text)

    def __str__(self) -> str:
        return f"{self.bare} ({self.arm})"


@dataclass(frozen=True, slots=True)
class ArmSpace:
    """Which mixes can be tried in which arms.

    Attributes:
        mixes: the space of mixes, the same in every arm.
        arms: of the study.
    """

    mixes: MixSpace
    arms: tuple[Arm, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the intermediate tasks."""
        return self.mixes.tasks

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The numbers that are searched."""
        return self.mixes.axes

    @property
    def n_mixes(self) -> int:
        """Mixes, each once in every arm."""
        return len(self.arms) * self.mixes.n_mixes

    def encode(self, mix: Mix) -> Point:
        """The coordinates of ``mix``, its arm among them.

        Raises:
            TypeError: it is in no arm.
        """
        if not isinstance(mix, ArmedMix):
            raise TypeError(f"{mix} is in no arm; the arms are {'; '.join(map(str, self.arms))}")
        return replace(self.mixes.encode(mix), arm=self.arms.index(mix.arm))

    def decode(self, point: Point) -> Mix:
        """The mix at ``point``, in its arm."""
        return ArmedMix.put(self.mixes.decode(point), self.arms[point.arm])

    def draw(self, rng: random.Random) -> Mix:
        """A random mix in a random arm, each arm as likely as the others."""
        return ArmedMix.put(self.mixes.draw(rng), rng.choice(self.arms))

    def all_mixes(self) -> tuple[Mix, ...]:
        """Every mix in every arm; meant for small spaces."""
        return tuple(ArmedMix.put(mix, arm) for mix in self.mixes.all_mixes() for arm in self.arms)


def proposals(spec: StudySpec, mixes: MixSpace) -> Space:
    """What a sampler of the study proposes from."""
    return ArmSpace(mixes, spec.arms) if _proposes_arms(spec) else mixes


def proposal_of(recipe: Recipe, spec: StudySpec) -> Mix:
    """What a sampler of the study calls what ``recipe`` tries."""
    return ArmedMix.put(recipe.mix, recipe.arm) if _proposes_arms(spec) else recipe.mix


def recipes_of(proposal: Mix, spec: StudySpec) -> tuple[Recipe, ...]:
    """What is tried of a proposal, with the study's seed."""
    if isinstance(proposal, ArmedMix):
        return (Recipe.of(proposal.bare, spec.seed, proposal.arm),)
    return tuple(Recipe.of(proposal, spec.seed, arm) for arm in spec.arms)


def observed_as(recipe: Recipe, spec: StudySpec) -> Mix:
    """What was tried, in its arm where the study has several."""
    return ArmedMix.put(recipe.mix, recipe.arm) if len(spec.arms) > 1 else recipe.mix


def bare(mix: Mix) -> Mix:
    """The mix without its arm."""
    return mix.bare if isinstance(mix, ArmedMix) else mix


def bracket_of(arm: Arm, spec: StudySpec) -> Arm | None:
    """What an arm's trials are compared within: the arm under ``factorial``, else all arms together."""
    return arm if spec.search.design == "factorial" else None


def control_order(spec: StudySpec) -> tuple[Arm, ...]:
    """The arms in the order of their controls: one of each model first, since models share no stage."""
    n_before = {arm: spec.arms[:i] for i, arm in enumerate(spec.arms)}
    rank = {arm: sum(one.model == arm.model for one in n_before[arm]) for arm in spec.arms}
    return tuple(sorted(spec.arms, key=rank.__getitem__))


def arm_names(arms: Sequence[Arm]) -> Mapping[Arm, str]:
    """Each arm by what tells it from the others; nothing where there is but one."""
    factors = [factor for factor in zip(*map(astuple, arms), strict=True)]
    told = [len(set(values)) > 1 for values in factors]
    return {
        arm: ", ".join(word for word, is_told in zip(astuple(arm), told, strict=True) if is_told)
        for arm in arms
    }


def _proposes_arms(spec: StudySpec) -> bool:
    return spec.search.design == "search" and len(spec.arms) > 1
