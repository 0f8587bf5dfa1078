"""How a trial climbs: its next missing stage, what the way still costs, what it has cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from budgets.amount import ZERO, DeviceTime
from budgets.forecast import Estimate, Forecast, Work
from scheduler.arms import observed_as
from scheduler.demand import Bundle, Demand, Needed, needed
from scheduler.facts import StageShared, TrialMoved
from scheduler.inference import figures
from scheduler.lessons import lesson_of
from scheduler.observation import Observation
from scheduler.score import group_means, sampling_error, score
from scheduler.stage_cost import StageCost, stage_cost
from scheduler.state import StudyState
from scheduler.tree import Node, StageTree, union
from scheduler.trial import MERGED, Recipe, Role, Trial, TrialState
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import Half, parents_of

MAX_FAILURES = 3  # attempts at one stage that may fail or be lost before its trial is given up
MAX_TRUNCATED = 6  # attempts that may end at their deadline; each hold is twice the last
GRACE = DeviceTime(1_500)  # to stop within one step and save; longest seen in docs/measurements.md
_GRACE_SHARE = 0.05
START_UP = DeviceTime(20_000)  # a process, its imports and a model; docs/measurements.md, "start-up"


@dataclass(frozen=True, slots=True)
class Step:
    """What a climbing trial needs.

    Attributes:
        node: the stage to run next, or one that another trial runs when there is nothing else; None
            when the rung is finished or the trial has ended.
        facts: to book first.
    """

    node: Node | None
    facts: tuple[StageShared | TrialMoved, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a lease for a stage is given.

    Attributes:
        attempt: 1 for the first try.
        expected: device time the stage will take.
        load: the part of it that is loading.
        limit: of the hold.
        grace: the part of it that is for stopping and saving.
    """

    attempt: int
    expected: DeviceTime
    load: DeviceTime
    limit: DeviceTime
    grace: DeviceTime


class Climb:
    """The stage tree of a study, against what has been done of it."""

    def __init__(self, tree: StageTree, state: StudyState, forecast: Forecast) -> None:
        self._tree = tree
        self._state = state
        self._forecast = forecast
        self._rate = tree.spec.budget.devices.highest_rate
        self._bases = frozenset(tree.bases)
        self._demand = Demand(state, self._path)
        self._path_costs: dict[tuple[str, int], int] = {}

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

    def waits_for_base(self, model: str) -> bool:
        """Whether a climbing trial has yet to train what every stage of ``model`` stands on."""
        base = self._tree.base(model)
        climbing = (t for t in self._state.trials.values() if t.state is TrialState.RUNNING)
        return (
            base is not None
            and not self.done(base)
            and any(trial.recipe.model == model for trial in climbing)
        )

    def startable(self, trial: Trial) -> list[Node]:
        """The stages on ``trial``'s way that can be granted now, in the order of the way."""
        missing = {node.name: node for node in self._path(trial) if not self.done(node)}
        return [
            node
            for node in missing.values()
            if not missing.keys() & parents_of(node.stage)
            and not self.in_flight(node)
            and not self._given_up(node)
        ]

    def step(self, trial: Trial, goal: int, *, pauses: bool) -> Step:
        """The next stage on ``trial``'s way, or the move that ends its rung.

        While another trial runs the first one missing, a later one that does not stand on it.
        """
        shared: list[StageShared] = []
        missing: dict[str, Node] = {}
        for node in self._path(trial):
            if self.done(node):
                shared += self._shared(trial, node)
            elif missing.keys() & parents_of(node.stage):
                missing[node.name] = node
            elif why := self._given_up(node):
                return Step(None, (*shared, _without(trial, why, pauses=pauses)))
            elif self.in_flight(node):
                missing[node.name] = node
            else:
                return Step(node, tuple(shared))
        if missing:
            return Step(next(iter(missing.values())), tuple(shared))
        return Step(None, (*shared, *self._finished(trial, goal, pauses=pauses)))

    def _given_up(self, node: Node) -> str:
        """Why a stage is not tried again; empty where it is."""
        record = self._state.stages.get(node.name)
        if record is None:
            return ""
        for m in record.measurements:
            if m.outcome is Outcome.INFEASIBLE:
                return f"infeasible: {node.stage.kind} {node.name}: {m.error}"
        if record.failures < MAX_FAILURES and record.truncations < MAX_TRUNCATED:
            return ""
        last = record.measurements[-1]
        why = f"{node.stage.kind} {node.name} ended {last.outcome} after {len(record.leases)} attempts"
        return f"{why}: {last.error}"

    def _shared(self, trial: Trial, node: Node) -> Iterable[StageShared]:
        record = self._state.stages[node.name]
        mine = any(lease.started.trial == trial.name for lease in record.leases)
        noted = node.name in self._state.shared.get(trial.name, ())
        if not (mine or noted or node.name in self._bases):
            yield StageShared(trial.name, node.name, self._cost(node).whole.ms)

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
        nodes = self._path(trial)
        return [cell for node in nodes for cell in self._state.stages[node.name].scores]

    def observation(self, trial: Trial, spent: DeviceTime) -> Observation:
        """What the rung that ``trial`` has just finished says, once ``spent`` was measured in all."""
        cells, rung, mix = self._cells(trial), trial.rung, trial.recipe.mix
        groups = {cell.task: self._tree.spec.catalogue[cell.task].group for cell in cells}
        return Observation(
            observed_as(trial.recipe, self._tree.spec),
            rung,
            self._tree.spec.intermediate.rungs[rung] if mix.count else 0,
            trial.scores[rung],
            sampling_error(cells),
            group_means(cells, groups),
            self._path_ms(trial, rung),
            spent.ms,
        )

    def terms(self, node: Node, *, fresh: bool = False) -> Terms:
        """What the stage's next lease is given.

        A lease that ended at its deadline gets twice the time; a worker that has yet to be started
        gets the time that takes.
        """
        record = self._state.stages.get(node.name)
        estimate = self._forecast.estimate(node.work)
        limit = _limit(estimate, record.truncations if record else 0) + (START_UP if fresh else ZERO)
        attempt = len(record.leases) + 1 if record else 1
        return Terms(attempt, estimate.expected, estimate.load, limit, _grace(estimate))

    def follow(self, fact: object) -> None:
        """Note what a fact changed of what climbing trials need; the state has taken it."""
        self._demand.follow(fact)

    def learn(self, measurement: Measurement) -> None:
        """Let a finished stage's bill teach the forecast; one that was found done teaches nothing."""
        record = self._state.stages[measurement.stage]
        if (lesson := lesson_of(record.config, record.measurements)) is not None:
            self._forecast.learn(self._tree.work(record.config), lesson.total, lesson.load)

    def missing_cost(self, recipes: Iterable[tuple[Recipe, int]], half: Half) -> DeviceTime:
        """Forecast of all stages that these (recipe, rung) still need, shared ones once.

        Stages in flight are paid for by their holds. On top of what is expected comes what the
        longest stage's hold needs beyond it, or the last reservation would be refused.
        """
        paths = [self._nodes(recipe, rung, half) for recipe, rung in recipes]
        return self.cost_of(union(paths).values())

    def bundle(self, recipes: Iterable[tuple[Recipe, int]], half: Half) -> Bundle:
        """All stages of these (recipe, rung), to be asked for their cost many times."""
        return Bundle(union([self._nodes(recipe, rung, half) for recipe, rung in recipes]).values())

    def bundle_cost(self, bundle: Bundle) -> DeviceTime:
        """What :meth:`missing_cost` is for the recipes of ``bundle``."""
        return self._still(bundle.needed(self._state))

    def cost_of(self, nodes: Iterable[Node]) -> DeviceTime:
        """Forecast of those of ``nodes`` that are neither done nor in flight, at the dearest rate."""
        return self._still(Counter(needed(self._state, nodes)))

    def committed(self) -> DeviceTime:
        """The same for what each climbing trial still needs, in all; shared stages count for each."""
        ways = self._demand.ways.items()
        return DeviceTime(sum(n * self._still(Counter(way)).ms for way, n in ways))

    def _still(self, way: Mapping[Needed, int]) -> DeviceTime:
        expected_ms = slack_ms = 0
        first: list[Work] = []  # of several, one does what is done once
        for one, n in way.items():
            estimate = self._forecast.estimate(one.work)
            limit = _limit(estimate, one.n_truncated)
            expected_ms += n * (estimate.expected.ms - estimate.once.ms)
            slack_ms = max(slack_ms, limit.ms - estimate.expected.ms)
            if estimate.once:
                first.append(one.work)
        expected = DeviceTime(expected_ms + slack_ms) + self._forecast.once(first)
        return expected.scaled(self._rate)

    def path_cost_ms(self, trial: Trial) -> dict[int, int]:
        """Device time of the whole way to each finished rung that trains, shared stages included.

        Loading is left out (scheduler/stage_cost.py). A look at merged encoders has no part in the cost
        of a recipe.
        """
        return {rung: self._path_ms(trial, rung) for rung in trial.trained_scores}

    def figures(self, trial: Trial, rung: int) -> tuple[float, ...]:
        """What inference measured at a finished rung, in the order of the spec's objectives."""
        nodes = self._nodes(trial.recipe, rung, self.half(trial))
        stages = {node.name: node.stage for node in nodes}
        measured = self._tree.spec.objectives.measured
        return figures(measured, stages, lambda name: self._state.stages[name].facts)

    def _path_ms(self, trial: Trial, rung: int) -> int:
        """As above for one rung; counted once, since a stage that is done costs no more."""
        if (trial.name, rung) not in self._path_costs:
            nodes = self._nodes(trial.recipe, rung, self.half(trial))
            self._path_costs[trial.name, rung] = sum(self._cost(node).own.ms for node in nodes)
        return self._path_costs[trial.name, rung]

    def _cost(self, node: Node) -> StageCost:
        """Of a stage that is done; the pretrained encoder is given, not chosen."""
        record = self._state.stages.get(node.name)
        if node.name in self._bases or record is None:
            return StageCost(ZERO, ZERO)
        return stage_cost(record, self._rate)

    def _path(self, trial: Trial) -> tuple[Node, ...]:
        return self._nodes(trial.recipe, trial.rung, self.half(trial))

    def _nodes(self, recipe: Recipe, rung: int, half: Half) -> tuple[Node, ...]:
        return self._tree.nodes(recipe, rung, half)


def _grace(estimate: Estimate) -> DeviceTime:
    return GRACE + estimate.expected.scaled(_GRACE_SHARE)


def _limit(estimate: Estimate, n_truncated: int) -> DeviceTime:
    """Of a hold on a warm worker."""
    return estimate.upper.scaled(2**n_truncated) + _grace(estimate)


def _without(trial: Trial, why: str, *, pauses: bool) -> TrialMoved:
    """The move of a trial whose next stage cannot be had: it fails, but for want of a mere look."""
    if trial.rung != MERGED:
        return TrialMoved(trial.name, TrialState.FAILED, trial.rung, None, why)
    state, rung = (TrialState.PAUSED, MERGED) if pauses else (TrialState.RUNNING, 0)
    return TrialMoved(trial.name, state, rung, None, f"goes on without its first look: {why}")
