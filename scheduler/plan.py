"""What a study would do and cost, before the first second is paid.

The study is run in virtual time against its own forecast, twice: once with every stage taking what
is expected now, once with every stage taking the upper bound it has now. The same engine, policy
and books decide, so what the plan says is what the run does where the forecast holds. Scores are not
guessed: every trial ties, so promotions fall in order of proposal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.forecast import Forecast
from scheduler.arms import arm_names
from scheduler.drivers.table import drive_table
from scheduler.lessons import Lessons
from scheduler.needs import unpinned_repos
from scheduler.spec import StudySpec
from scheduler.spec_inference import inference_notes
from scheduler.state import StudyState
from scheduler.study import Study, least_cap, simulated, space_of, tree_of
from scheduler.trial import MERGED, Role
from trainers.order import CellScore, Measurement, Order, Outcome
from trainers.stage import ScoringStage
from trainers.tasks.hub import on_no_hub

_NO_LESSONS = Lessons()
_MAX_ORDERS = 20_000  # a plan looks no further: some seconds of simulation


@dataclass(frozen=True, slots=True)
class StageCount:
    """Stages of one kind in the plan: how many, and their device time."""

    kind: str
    n: int
    time: DeviceTime


@dataclass(frozen=True, slots=True)
class Plan:
    """The forecast of a study.

    Attributes:
        cap: of the study.
        kind: of its devices, ``gpu`` or ``cpu``.
        devices: held at most at once.
        least: what the control alone takes.
        spent: forecast of all stages.
        spent_at_most: with every stage at its upper bound, never above the cap.
        saved: what shared stages would have cost a second time.
        wall_s: from first to last stage on all devices.
        stages: by kind.
        n_trials: sampled mixes, expected.
        n_trials_at_least: with every stage at its upper bound.
        by_rung: sampled mixes that finish each rung that trains, from the lowest.
        n_finals: repetitions of finalists and control on report cells.
        reason: why the study would end.
        beyond: what the cap cannot reach, in words.
        notes: what the forecast learned from, what inference is measured with, and which precision is
            computed in, in words.
        n_merged: sampled mixes that are looked at merged; None without that rung.
        arms: what tells each arm from the others; none for a study with one.
        design: what is done about them.
    """

    name: str
    cap: DeviceTime
    kind: str
    devices: int
    least: DeviceTime
    spent: DeviceTime
    spent_at_most: DeviceTime
    saved: DeviceTime
    wall_s: float
    stages: tuple[StageCount, ...]
    n_trials: int
    n_trials_at_least: int
    by_rung: tuple[int, ...]
    n_finals: int
    reason: str
    beyond: tuple[str, ...]
    notes: tuple[str, ...] = ()
    n_merged: int | None = None
    arms: tuple[str, ...] = ()
    design: str = "search"

    @property
    def without_sharing(self) -> DeviceTime:
        """Forecast of the same trials, had each run all of its stages itself."""
        return self.spent + self.saved

    def to_json(self) -> dict[str, object]:
        """The plan as plain JSON; device time in whole milliseconds."""
        return {
            "name": self.name,
            "device_kind": self.kind,
            "devices": self.devices,
            "cap_ms": self.cap.ms,
            "least_ms": self.least.ms,
            "spent_ms": self.spent.ms,
            "spent_at_most_ms": self.spent_at_most.ms,
            "saved_by_sharing_ms": self.saved.ms,
            "without_sharing_ms": self.without_sharing.ms,
            "wall_s": round(self.wall_s, 1),
            "stages": [{"kind": s.kind, "n": s.n, "ms": s.time.ms} for s in self.stages],
            "trials": self.n_trials,
            "trials_at_least": self.n_trials_at_least,
            "trials_merged": self.n_merged,
            "trials_by_rung": list(self.by_rung),
            "finals": self.n_finals,
            "reason": self.reason,
            "beyond_the_cap": list(self.beyond),
            "notes": list(self.notes),
            "arms": list(self.arms),
            "design": self.design,
        }


def plan_study(spec: StudySpec, lessons: Lessons = _NO_LESSONS) -> Plan:
    """What ``spec`` would do and cost, by what earlier runs taught. Runs nothing.

    Raises:
        CapTooSmallError: the cap cannot pay for the control.
        TaskError, ModelError: data or model are not there.
    """
    tree = tree_of(spec)
    expected, wall_ms = _played(simulated(spec, tree, lessons), lessons.forecast(tree), at_upper=False)
    most, _ = _played(simulated(spec, tree, lessons), lessons.forecast(tree), at_upper=True)
    state = expected.engine.state
    sampled = [t for t in state.trials.values() if t.role is Role.SEARCH]
    rungs = range(tree.n_rungs)
    by_rung = tuple(sum(rung in t.scores for t in sampled) for rung in rungs)
    n_merged = sum(MERGED in t.scores for t in sampled) if tree.has_merged else None
    return Plan(
        name=spec.name,
        cap=expected.account.balance.cap,
        kind=spec.budget.devices.kind,
        devices=spec.budget.devices.count,
        least=least_cap(spec, tree, lessons),
        spent=expected.account.balance.spent,
        spent_at_most=most.account.balance.spent,
        saved=state.saved,
        wall_s=wall_ms / 1000,
        stages=_counted(state),
        n_trials=len(sampled),
        n_trials_at_least=sum(t.role is Role.SEARCH for t in most.engine.state.trials.values()),
        by_rung=by_rung,
        n_finals=len(state.finals),
        reason=state.ended or "the plan looks no further than this",
        beyond=_beyond(spec, by_rung, len(sampled), len(state.finals)),
        notes=(*lessons.notes, *inference_notes(spec), *_precision_notes(spec)),
        n_merged=n_merged,
        arms=tuple(arm_names(spec.arms).values()) if len(spec.arms) > 1 else (),
        design=spec.search.design,
    )


def _played(study: Study, before: Forecast, *, at_upper: bool) -> tuple[Study, int]:
    """The simulated study, driven to its end, and its virtual wall time in milliseconds."""
    devices = study.spec.budget.devices

    def run(order: Order) -> Measurement:
        work = study.tree.work(order.stage)
        estimate = before.estimate(work)
        if estimate.once:
            before.have(work)
        cost = estimate.upper if at_upper else estimate.expected
        scores: tuple[CellScore, ...] = ()
        if isinstance(order.stage, ScoringStage):
            scores = tuple(
                CellScore(order.stage.task, code, "", 0.0, 0) for code in order.stage.languages
            )
        bill = Bill({Purpose.LOAD: estimate.once, Purpose.TRAIN: cost.less(estimate.once)})
        name = study.engine.state.leases[order.hold].stage
        return Measurement(order.hold, name, Outcome.DONE, bill, scores)

    replayed = drive_table(study.engine, run, devices.count // devices.per_trial, at_most=_MAX_ORDERS)
    return study, replayed.wall_ms // devices.per_trial


def _counted(state: StudyState) -> tuple[StageCount, ...]:
    n: Counter[str] = Counter()
    ms: Counter[str] = Counter()
    for started, measurement in state.measurements():
        n[started.config.kind] += 1
        ms[started.config.kind] += measurement.cost.total.ms
    return tuple(StageCount(kind, n[kind], DeviceTime(ms[kind])) for kind in n)


def _precision_notes(spec: StudySpec) -> tuple[str, ...]:
    """Where a precision is asked for that not every device has, which one is computed in."""
    if spec.model.precision == "fp32":
        return ()
    if spec.budget.devices.kind == "cpu":
        return ("bf16 is asked for, and CPUs compute in fp32: records say so",)
    return ("a GPU without bf16 computes in fp32: `interlude doctor` and the records say which",)


def _beyond(spec: StudySpec, by_rung: tuple[int, ...], n_trials: int, n_finals: int) -> tuple[str, ...]:
    """What the cap leaves out, one sentence each."""
    lines = []
    space = space_of(spec)
    n_arms = len(spec.arms)
    if n_trials < n_arms * space.n_subsets:
        each = f", each in {n_arms} arms," if n_arms > 1 else ""
        lines.append(
            f"{n_trials} of {n_arms * space.n_subsets} subsets of the intermediate tasks{each} are tried"
        )
    for rung, n in enumerate(by_rung[1:], start=1):
        if n < n_trials:
            tokens = spec.intermediate.rungs[rung]
            lines.append(f"{n} of {n_trials} mixes reach rung {rung} ({tokens:,} tokens)")
    n_fields = n_arms if spec.search.design == "factorial" else 1
    wanted = n_fields * (spec.final.finalists + 1) * spec.final.max_seeds
    if n_finals < wanted:
        lines.append(f"{n_finals} of {wanted} repetitions over seeds are affordable")
    for repo in unpinned_repos(spec):
        remedy = "a mirror: it is on no hub" if on_no_hub(repo) else "a commit under data.revisions"
        lines.append(f"before a run, {repo} needs {remedy}")
    return tuple(lines)
