"""How a trial climbs: its next missing stage, what the way still costs, what it has cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from budgets.amount import DeviceTime
from budgets.forecast import Estimate, Forecast
from scheduler.facts import StageShared, TrialMoved
from scheduler.mix import Mix
from scheduler.score import score
from scheduler.state import StudyState
from scheduler.tree import Node, StageTree, merged
from scheduler.trial import Recipe, Role, Trial, TrialState
from trainers.stage import CellScore, Half, Measurement, Outcome

MAX_FAILURES = 3  # attempts at one stage that may fail or be lost before its trial is given up
MAX_TRUNCATED = 6  # attempts that may end at their deadline; each hold is twice the last
_COUNTED = (Outcome.DONE, Outcome.TRUNCATED)


@dataclass(frozen=True, slots=True)
class Step:
    """What a climbing trial needs.

    Attributes:
        node: the stage to run next; None when the rung is finished or the trial has ended.
        facts: to book first.
    """

    node: Node | None
    facts: tuple[StageShared | TrialMoved, ...] = ()


class Climb:
    """The stage tree of a study, against what has been done of it."""

    def __init__(self, tree: StageTree, state: StudyState, forecast: Forecast) -> None:
        self._tree = tree
        self._state = state
        self._forecast = forecast
        base = tree.base()
        self._base = base.name if base else None

    def half(self, trial: Trial) -> Half:
        """Finals are judged on report cells, everything before on search cells."""
        return Half.REPORT if trial.role is Role.FINAL else Half.SEARCH

    def done(self, node: Node) -> bool:
        """Whether the stage's result exists."""
        record = self._state.stages.get(node.name)
        return record is not None and record.done

    def in_flight(self, node: Node) -> bool:
        """Whether somebody runs the stage now."""
        record = self._state.stages.get(node.name)
        return record is not None and record.in_flight

    def step(self, trial: Trial, goal: int, *, pauses: bool) -> Step:
        """The next stage on ``trial``'s way, or the move that ends its rung."""
        shared: list[StageShared] = []
        for node in self._nodes(trial.recipe, trial.rung, self.half(trial)):
            if not self.done(node):
                if (end := self._given_up(trial, node)) is not None:
                    return Step(None, (*shared, end))
                return Step(node, tuple(shared))
            shared += self._shared(trial, node)
        return Step(None, (*shared, *self._finished(trial, goal, pauses=pauses)))

    def _given_up(self, trial: Trial, node: Node) -> TrialMoved | None:
        record = self._state.stages.get(node.name)
        if record is None:
            return None
        truncated = sum(m.outcome is Outcome.TRUNCATED for m in record.measurements)
        if record.failures < MAX_FAILURES and truncated < MAX_TRUNCATED:
            return None
        last = record.measurements[-1]
        why = f"{node.stage.kind} {node.name} ended {last.outcome} after {len(record.leases)} attempts"
        return TrialMoved(trial.name, TrialState.FAILED, trial.rung, None, f"{why}: {last.error}")

    def _shared(self, trial: Trial, node: Node) -> Iterable[StageShared]:
        record = self._state.stages[node.name]
        mine = any(lease.started.trial == trial.name for lease in record.leases)
        noted = node.name in self._state.shared.get(trial.name, ())
        if not (mine or noted or node.name == self._base):
            yield StageShared(trial.name, node.name, self._cost_ms(node))

    def _finished(self, trial: Trial, goal: int, *, pauses: bool) -> tuple[TrialMoved, ...]:
        value = score(self._cells(trial))
        top = self._tree.n_rungs - 1
        if trial.role is Role.SEARCH and trial.rung < goal:
            return (
                TrialMoved(trial.name, TrialState.RUNNING, trial.rung, value, "rung finished"),
                TrialMoved(trial.name, TrialState.RUNNING, trial.rung + 1, None, "goes straight on"),
            )
        if trial.role is Role.SEARCH and pauses and trial.rung < top:
            return (TrialMoved(trial.name, TrialState.PAUSED, trial.rung, value, "rung finished"),)
        return (TrialMoved(trial.name, TrialState.DONE, trial.rung, value, "all stages done"),)

    def _cells(self, trial: Trial) -> list[CellScore]:
        nodes = self._nodes(trial.recipe, trial.rung, self.half(trial))
        return [cell for node in nodes for cell in self._state.stages[node.name].scores]

    def estimate(self, node: Node) -> Estimate:
        """Device time the stage will take, with an upper bound."""
        return self._forecast.estimate(node.work)

    def learn(self, measurement: Measurement) -> None:
        """Let a finished stage's bill teach the forecast."""
        record = self._state.stages[measurement.stage]
        whole = measurement.outcome is Outcome.DONE and len(record.leases) == 1
        if whole:
            self._forecast.learn(self._tree.work(record.config), measurement.bill.total)

    def missing_cost(self, recipes: Iterable[tuple[Recipe, int]], half: Half) -> DeviceTime:
        """Forecast of all stages that these (recipe, rung) still need, shared ones once.

        Stages in flight are paid for by their holds. On top of what is expected comes what the
        longest stage's hold needs beyond it, or the last reservation would be refused.
        """
        nodes = merged([self._nodes(recipe, rung, half) for recipe, rung in recipes])
        missing = [n for n in nodes.values() if not self.done(n) and not self.in_flight(n)]
        estimates = [self._forecast.estimate(n.work) for n in missing]
        slack = max((e.upper.ms - e.expected.ms for e in estimates), default=0)
        return DeviceTime(sum(e.expected.ms for e in estimates) + slack)

    def new_trial(self, rung: int) -> list[tuple[Recipe, int]]:
        """A stand-in for a recipe nobody has tried: what any new trial costs up to ``rung``."""
        tasks = self._tree.spec.intermediate.tasks
        return [(Recipe(Mix.of(tasks), -1, self._tree.spec.model.name), rung)]

    def path_cost_ms(self, trial: Trial) -> dict[int, int]:
        """Device time of the whole way to each finished rung, shared stages included."""
        return {
            rung: sum(self._cost_ms(n) for n in self._nodes(trial.recipe, rung, self.half(trial)))
            for rung in trial.scores
        }

    def _cost_ms(self, node: Node) -> int:
        """What the stage cost when it worked; the pretrained encoder is given, not chosen."""
        if node.name == self._base or node.name not in self._state.stages:
            return 0
        measurements = self._state.stages[node.name].measurements
        return sum(m.bill.total.ms for m in measurements if m.outcome in _COUNTED)

    def _nodes(self, recipe: Recipe, rung: int, half: Half) -> tuple[Node, ...]:
        return self._tree.nodes(recipe, rung, half)
