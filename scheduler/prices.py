"""What one more mix costs at each rung, as forecast: by this a policy weighs a rung against the next."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.climb import Climb
from scheduler.mix import Mix
from scheduler.stage_cost import own_part
from scheduler.tree import Node, StageTree
from scheduler.trial import MERGED, Arm, Recipe
from trainers.stage import Half, StageKind


class RungPrices:
    """Device time of a mix at a rung, loading and that of the rungs below left out.

    Counted for a mix of all tasks that shares no stage with anybody, in each of some arms. At
    ``MERGED`` the stages that are merged are left out: all mixes share them.
    """

    def __init__(self, tree: StageTree, climb: Climb, arms: Sequence[Arm]) -> None:
        self._tree = tree
        self._climb = climb
        everything = Mix.of(tree.spec.intermediate.tasks)
        self._stand_ins = [Recipe.of(everything, -1, arm) for arm in arms]

    def __call__(self, rung: int) -> int:
        """Milliseconds expected at ``rung``, at least one."""
        added = (node for one in self._stand_ins for node in self._added(one, rung))
        return max(1, sum(self._own_ms(node) for node in added))

    def _own_ms(self, node: Node) -> int:
        terms = self._climb.terms(node)
        return own_part(node.stage, terms.expected, terms.load).ms

    def _added(self, stand_in: Recipe, rung: int) -> list[Node]:
        nodes = self._tree.nodes(stand_in, rung, Half.SEARCH)
        if rung == MERGED:
            return [node for node in nodes if node.stage.kind is StageKind.MERGE]
        below = self._tree.nodes(stand_in, rung - 1, Half.SEARCH) if rung else ()
        names = {node.name for node in below}
        return [
            node
            for node in nodes
            if node.name not in names and node.stage.kind is not StageKind.PRETRAIN
        ]
