"""Every method on every budget of one table, and the figures of that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_figures import Brought, Row, brought, plain, row
from experiments.benchmarks.allocation_peers import RAY, SYNE, ray_tune, syne_tune
from experiments.benchmarks.allocation_pool import spread
from experiments.benchmarks.allocation_replay import Method, Replay, replayed
from experiments.benchmarks.allocation_world import World
from trainers.provenance import environment

OURS = Method("structured, halving", "structured", "halving", merged=False)
WITHOUT_RAY = replace(
    OURS, name="random, halving", sampler="random", lacks="surrogate (random in its place)"
)
BASELINES = (
    WITHOUT_RAY,
    replace(OURS, name="TPE, halving", sampler="tpe", lacks="surrogate (TPE in its place)"),
    Method("random, full", "random", "uniform"),
    Method("TPE, full", "tpe", "uniform"),
    Method("NSGA-II, full", "nsga2", "uniform", counts_cost=True),
)
ABLATED = (
    Method("structured, full", "structured", "uniform", lacks="halving"),
    replace(
        OURS, name="structured per hour, halving", per_hour=True, lacks="plain gain (per hour instead)"
    ),
)
ANEW = replace(OURS, name="structured, halving, rungs anew", continues=False, lacks="continued rungs")
LOOKING = replace(
    OURS, name="structured, halving, merged", merged=True, lacks="no merged rung (merged first)"
)
UNSHARED = replace(LOOKING, name="structured, halving, merged, not shared", shares=False, lacks="")
LARGEST = 0.25  # of all that a search could run

Peers = Literal["none", "ray", "syne", "all"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is run.

    Attributes:
        runs: seeds of each method.
        budgets: how many, each twice the one before.
        largest: the last, as a share of everything that a search could run.
        devices: at once, in a search.
        peers: who runs beside ours; Ray Tune's pair is the baseline where it does.
        processes: searches at once.
    """

    runs: int = 20
    budgets: int = 5
    largest: float = LARGEST
    devices: int = 2
    peers: Peers = "all"
    processes: int = 1


@dataclass(frozen=True)
class Outcome:
    """One table's figures.

    Attributes:
        world: the table.
        replays: by method and budget, a run each.
        rows: figures by method and budget.
        parts: what each part of ours brings, by part and budget.
        baseline: who the shares are measured against.
        search_s: seconds that the searches of each method took, added up.
        wall_s: seconds from first to last.
        slept_share: the least that trials of a run of Ray Tune slept of their workers' time.
    """

    world: World
    replays: Mapping[str, list[list[Replay]]]
    rows: list[Row]
    parts: list[Brought]
    baseline: str
    search_s: Mapping[str, float]
    wall_s: float
    slept_share: float | None

    def to_json(self) -> dict[str, object]:
        """All figures as plain values."""
        return {
            "table": self.world.name,
            "left_out": list(self.world.left_out),
            "seeds_recorded": list(self.world.seeds),
            "best": self.world.best,
            "control": self.world.control,
            "ours": OURS.name,
            "baseline": self.baseline,
            "rows": [plain(one) for one in self.rows],
            "parts": [plain(one) for one in self.parts],
            "search_s": dict(self.search_s),
            "wall_s": self.wall_s,
            "slept_share": self.slept_share,
            "environment": environment(),
        }


def measured(world: World, settings: Settings, say: Callable[[str], None]) -> Outcome:
    """Run every method on every budget; ``say`` is told what is done."""
    begun_s = time.perf_counter()
    caps = caps_of(world, settings.budgets, settings.largest)
    replays, search_s = _replays(world, caps, settings, say)
    slept_share = None
    if settings.peers in ("ray", "all"):
        ray_begun_s = time.perf_counter()
        replays[RAY], slept_share = ray_tune(
            world, caps, runs=settings.runs, devices=settings.devices, processes=settings.processes
        )
        search_s[RAY] = time.perf_counter() - ray_begun_s
        say(f"{RAY}: {search_s[RAY]:.0f} s")
    baseline = RAY if RAY in replays else WITHOUT_RAY.name
    rows = [
        row(world, name, runs_at, replays[baseline][i])
        for name, by_cap in replays.items()
        for i, runs_at in enumerate(by_cap)
    ]
    parts = [
        brought(world, method, ours, theirs)
        for method in methods(world)
        if method.lacks
        for ours, theirs in zip(replays[OURS.name], replays[method.name], strict=True)
    ]
    wall_s = time.perf_counter() - begun_s
    return Outcome(world, replays, rows, parts, baseline, search_s, wall_s, slept_share)


def _replays(
    world: World, caps: Sequence[DeviceTime], settings: Settings, say: Callable[[str], None]
) -> tuple[dict[str, list[list[Replay]]], dict[str, float]]:
    """Every search in virtual time by method, budget and run, and the seconds of each method."""
    tasks = _tasks(world, caps, settings)
    found: dict[tuple[str, int], list[Replay]] = {}
    names = [name for name, _ in tasks]
    search_s = dict.fromkeys(dict.fromkeys(names), 0.0)
    for (name, run), replays, seconds in spread(world, tasks, settings.processes):
        found[name, run] = replays
        search_s[name] += seconds
        names.remove(name)
        if name not in names:
            say(f"{name}: {search_s[name]:.0f} s")
    return {
        name: [[found[name, run][i] for run in range(settings.runs)] for i in range(len(caps))]
        for name in search_s
    }, search_s


def _tasks(
    world: World, caps: Sequence[DeviceTime], settings: Settings
) -> dict[tuple[str, int], Callable[[World], list[Replay]]]:
    """One task per method and run."""
    devices, runs = settings.devices, range(settings.runs)
    tasks: dict[tuple[str, int], Callable[[World], list[Replay]]] = {
        (method.name, run): partial(_under_each, method=method, caps=caps, run=run, devices=devices)
        for method in methods(world)
        for run in runs
    }
    if settings.peers in ("syne", "all"):
        for name, peer in SYNE.items():
            for run in runs:
                tasks[name, run] = partial(syne_tune, peer=peer, caps=caps, run=run, devices=devices)
    return tasks


def _under_each(
    world: World, *, method: Method, caps: Sequence[DeviceTime], run: int, devices: int
) -> list[Replay]:
    return [replayed(world, method, cap=cap, run=run, devices=devices) for cap in caps]


def caps_of(world: World, n: int, largest: float = LARGEST) -> list[DeviceTime]:
    """Budgets, ascending: the last is ``largest`` of everything, each is half of the next."""
    return [DeviceTime(round(world.whole_ms() * largest / 2**i)) for i in reversed(range(n))]


def methods(world: World) -> tuple[Method, ...]:
    """Ours, its baselines, and ours without each part that makes a difference on this table."""
    continued = (ANEW,) if world.continues else ()
    merged = (LOOKING, UNSHARED) if world.has_merged else ()
    return (OURS, *BASELINES, *ABLATED, *continued, *merged)
