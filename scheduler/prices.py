"""What one more mix costs at each rung, as forecast: by this a policy weighs a rung against the next."""

from __future__ import annotations

from scheduler.climb import Climb
from scheduler.mix import Mix
from scheduler.tree import Node, StageTree
from scheduler.trial import MERGED, Recipe
from trainers.stage import Half, StageKind


class RungPrices:
    """Device time of a mix at a rung, that of the rungs below left out.

    Counted for a mix of all tasks that shares no stage with anybody. At ``MERGED`` the stages that are
    merged are left out: all mixes share them.
    """

    def __init__(self, tree: StageTree, climb: Climb) -> None:
        self._tree = tree
        self._climb = climb
        spec = tree.spec
        everything = Mix.of(spec.intermediate.tasks)
        self._stand_in = Recipe.of(everything, -1, spec.arms[0])

    def __call__(self, rung: int) -> int:
        """Milliseconds expected at ``rung``, at least one."""
        return max(1, sum(self._climb.terms(node).expected.ms for node in self._added(rung)))

    def _added(self, rung: int) -> list[Node]:
        nodes = self._tree.nodes(self._stand_in, rung, Half.SEARCH)
        if rung == MERGED:
            return [node for node in nodes if node.stage.kind is StageKind.MERGE]
        below = self._tree.nodes(self._stand_in, rung - 1, Half.SEARCH) if rung else ()
        names = {node.name for node in below}
        return [
            node
            for node in nodes
            if node.name not in names and node.stage.kind is not StageKind.PRETRAIN
        ]
