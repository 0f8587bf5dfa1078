"""What the trials that climb still need, kept up to date fact by fact.

Asking every climbing trial for its missing stages at each decision costs as many looks as there are
devices. Only two things change the answer, a trial that moves and a stage that starts or ends, and each
concerns the few trials whose way it lies on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from budgets.forecast import Work
from scheduler.facts import StageEnded, StageStarted, TrialMoved
from scheduler.state import StudyState
from scheduler.tree import Node
from scheduler.trial import Trial, TrialState


class Needed(NamedTuple):
    """What the cost of a stage that nobody has run or runs depends on.

    Attributes:
        work: it means.
        n_truncated: attempts that ended at their deadline; each doubled the next hold.
    """

    work: Work
    n_truncated: int


Way = tuple[Needed, ...]


class Demand:
    """The stages that climbing trials miss, grouped by what they cost.

    Attributes:
        ways: how many climbing trials miss just that, in the order of their stages.
    """

    def __init__(self, state: StudyState, path: Callable[[Trial], tuple[Node, ...]]) -> None:
        """The demand of a study that has just begun.

        Args:
            state: of the study, which takes every fact first.
            path: all stages on the way to the rung that a trial is on.
        """
        self._state = state
        self._path = path
        self._paths: dict[str, tuple[Node, ...]] = {}  # of climbing trials
        self._ways: dict[str, Way] = {}  # of the same
        self._on_way: dict[str, set[str]] = {}  # stage -> climbing trials that it lies before
        self.ways: Counter[Way] = Counter()

    def follow(self, fact: object) -> None:
        """Take a fact into account that the state has taken."""
        match fact:
            case TrialMoved(trial):
                self._leave(trial)
                if self._state.trials[trial].state is TrialState.RUNNING:
                    self._enter(trial)
            case StageStarted(stage=stage):
                self._look_again(stage)
            case StageEnded(_, measurement):
                self._look_again(measurement.stage)

    def _enter(self, trial: str) -> None:
        self._paths[trial] = path = self._path(self._state.trials[trial])
        for node in path:
            self._on_way.setdefault(node.name, set()).add(trial)
        self._ways[trial] = way = needed(self._state, path)
        self.ways[way] += 1

    def _leave(self, trial: str) -> None:
        for node in self._paths.pop(trial, ()):
            trials = self._on_way[node.name]
            trials.discard(trial)
            if not trials:
                del self._on_way[node.name]
        if trial in self._ways:
            self._drop(trial)

    def _drop(self, trial: str) -> None:
        way = self._ways.pop(trial)
        self.ways[way] -= 1
        if not self.ways[way]:
            del self.ways[way]

    def _look_again(self, stage: str) -> None:
        for trial in self._on_way.get(stage, ()):
            self._drop(trial)
            self._ways[trial] = way = needed(self._state, self._paths[trial])
            self.ways[way] += 1


class Bundle:
    """Stages that are asked about again and again, most of which nobody has begun.

    Args:
        nodes: each once.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._all = Counter(Needed(node.work, 0) for node in self._nodes.values())

    def needed(self, state: StudyState) -> Mapping[Needed, int]:
        """How many of each are neither done nor in flight."""
        begun = [self._nodes[name] for name in self._nodes.keys() & state.stages.keys()]
        if not begun:
            return self._all
        found = Counter(self._all)
        found.subtract(Needed(node.work, 0) for node in begun)
        found.update(needed(state, begun))
        return +found


def needed(state: StudyState, nodes: Iterable[Node]) -> Way:
    """Those of ``nodes`` that are neither done nor in flight."""
    found: list[Needed] = []
    for node in nodes:
        record = state.stages.get(node.name)
        if record is None:
            found.append(Needed(node.work, 0))
        elif not record.done and not record.in_flight:
            found.append(Needed(node.work, record.truncations))
    return tuple(found)
