"""What a study has tried already, and what would run the same stages."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from scheduler.arms import recipes_of
from scheduler.mix import Mix
from scheduler.tree import StageTree


class Tried(Collection[Mix]):
    """Proposals that are trials already, and those that train the same tasks alike in the same arms.

    Such a mix would run the same stages, at no cost and for no news, and a study could go on like
    that for thousands of trials.
    """

    def __init__(self, tree: StageTree) -> None:
        self._tree = tree
        self._mixes: set[Mix] = set()
        self._trained: set[tuple[object, ...]] = set()

    def add(self, mix: Mix) -> None:
        """Take in a proposal that is tried now."""
        if mix not in self._mixes:
            self._mixes.add(mix)
            self._trained.add(self._what(mix))

    def __contains__(self, mix: object) -> bool:
        return mix in self._mixes or (isinstance(mix, Mix) and self._what(mix) in self._trained)

    def __iter__(self) -> Iterator[Mix]:
        return iter(self._mixes)

    def __len__(self) -> int:
        return len(self._mixes)

    def _what(self, mix: Mix) -> tuple[object, ...]:
        """What is trained of a proposal: which encoders in which ways, on what."""
        return tuple(
            (recipe.model, recipe.tuning, self._tree.shares(recipe.mix, recipe.languages))
            for recipe in recipes_of(mix, self._tree.spec)
        )
