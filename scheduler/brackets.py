"""Which trials a policy compares with one another: all of a study, or those of an arm.

Where arms are compared (``design: factorial``) a trial is promoted over others of its own arm, so that
every arm keeps trials to the top, however its scores lie beside those of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from scheduler.arms import bracket_of
from scheduler.climb import Climb
from scheduler.policies import Policy, Standing, Standings
from scheduler.policies.trust import Verdict, worth_of
from scheduler.prices import RungPrices
from scheduler.tree import StageTree
from scheduler.trial import Arm, rung_word


@dataclass(frozen=True)
class Bracket:
    """Trials that climb against one another.

    Attributes:
        prices: of a rung, for one more mix in every arm of the bracket.
        standings: of the trials.
    """

    prices: RungPrices
    standings: Standings = field(default_factory=Standings)


class Brackets:
    """The brackets of a study; one arm is in one of them."""

    def __init__(self, tree: StageTree, climb: Climb, policy: Policy) -> None:
        spec = tree.spec
        self._policy = policy
        self._rungs = range(1, tree.n_rungs)
        self._keys = {arm: bracket_of(arm, spec) for arm in spec.arms}
        self._brackets = {
            key: Bracket(RungPrices(tree, climb, [arm for arm in spec.arms if self._keys[arm] == key]))
            for key in dict.fromkeys(self._keys.values())
        }

    def of(self, arm: Arm) -> Bracket:
        """The bracket of an arm."""
        return self._brackets[self._keys[arm]]

    def put(self, standing: Standing) -> None:
        """Take a trial in, or what has become of it."""
        self.of(standing.trial.recipe.arm).standings.put(standing)

    def start(self, arm: Arm) -> int:
        """The rung that a new trial of an arm begins at."""
        bracket = self.of(arm)
        return self._policy.start(bracket.standings, bracket.prices)

    def why_above(self, rung: int, arm: Arm) -> str:
        """What speaks against the rung below ``rung``."""
        bracket = self.of(arm)
        trust = replace(
            bracket.standings.trust(rung - 1),
            worth=worth_of(bracket.prices(rung - 1), bracket.prices(rung)),
        )
        if trust.verdict is Verdict.DROPPED:
            return str(trust)
        ratio = bracket.prices(rung) / bracket.prices(rung - 1)
        return f"it costs {ratio:.1f} times rung {rung_word(rung - 1)}, which would save too little"

    def earned(self) -> Iterator[str]:
        """Trials that have earned their next rung, that of the bracket with the fewest of them first."""
        for bracket in self._by_promotions():
            name = self._policy.promote(bracket.standings, bracket.prices)
            yield from (name,) if name is not None else ()

    def late(self) -> Iterator[str]:
        """Trials to promote when no new one can start."""
        for bracket in self._by_promotions():
            name = self._policy.promote_late(bracket.standings)
            yield from (name,) if name is not None else ()

    def _by_promotions(self) -> list[Bracket]:
        return sorted(self._brackets.values(), key=self._n_promoted)

    def _n_promoted(self, bracket: Bracket) -> int:
        return sum(len(bracket.standings.ranked(rung)) for rung in self._rungs)
