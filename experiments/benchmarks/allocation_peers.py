"""Peers on the same world: the same mixes, rungs, recorded scores and bills, workers and cap.

Each begins with the encoder that every recipe starts from, charged once, as ours does. A peer shares
no stage between trials: what two of its trials both ran was paid for twice. Its decisions know no cap,
so it runs once, up to the largest, and is cut at each.
"""

from __future__ import annotations

from collections.abc import Sequence

from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_replay import Look, Replay
from experiments.benchmarks.allocation_world import World
from scheduler.adapters.peer_report import Reported, Rung, Search
from scheduler.errors import TableError
from scheduler.mix import Mix

RAY = "Ray Tune ASHA + OptunaSearch"
_SLEEP_S = 60.0  # what all of the largest budget takes on one device, under a peer that sleeps
SYNE = {f"Syne Tune {peer}": peer for peer in ("ASHA", "BOHB", "MO-ASHA", "CQR")}


def search_of(world: World, cap: DeviceTime, *, run: int, devices: int) -> Search:
    """What a peer searches in one run, which takes the recorded seeds in turn."""
    seed = world.seeds[run % len(world.seeds)]
    return Search(
        world.space,
        {mix: _rungs(world, mix, seed) for mix in world.space.all_mixes()},
        workers=devices,
        cap_ms=cap.less(DeviceTime(world.base_ms())).ms,
        seed=run,
    )


def syne_tune(
    world: World, *, peer: str, caps: Sequence[DeviceTime], run: int, devices: int
) -> list[Replay]:
    """One run of one of Syne Tune's, cut at each cap; it needs the extra ``peers``."""
    from scheduler.adapters.peer_syne import searched

    reports = searched(peer, search_of(world, caps[-1], run=run, devices=devices))
    return [under(cap, reports, world.base_ms()) for cap in caps]


def ray_tune(
    world: World, caps: Sequence[DeviceTime], *, runs: int, devices: int, processes: int
) -> tuple[list[list[Replay]], float]:
    """Ray Tune's pair, by cap and run, and the least that trials of a run slept of the time they had."""
    from scheduler.adapters.peer_asha import asha_with_optuna

    heard = asha_with_optuna(
        [search_of(world, caps[-1], run=run, devices=devices) for run in range(runs)],
        s_per_ms=_SLEEP_S / caps[-1].ms,
        at_once=min(runs, processes),
    )
    found = [[under(cap, one.reports, world.base_ms()) for one in heard] for cap in caps]
    return found, min(one.slept_share for one in heard)


def under(cap: DeviceTime, reports: Sequence[Reported], base_ms: int) -> Replay:
    """The part of a run that a cap would have stopped after."""
    charged_ms, repeated_ms = base_ms, 0
    looks: list[Look] = []
    seen: set[tuple[Mix, int]] = set()
    for report in reports:
        if charged_ms >= cap.ms:
            break
        charged_ms += report.result.cost_ms
        choice = (report.mix, report.rung if report.mix.count else 0)
        if choice in seen:
            repeated_ms += report.result.cost_ms
        seen.add(choice)
        looks.append(Look(charged_ms, choice, report.result.score))
    return Replay(cap.ms, charged_ms, repeated_ms, tuple(looks))


def _rungs(world: World, mix: Mix, seed: int) -> list[Rung]:
    """What each rung of a recipe gave and cost; k = 0 has one."""
    found = []
    for rung in range(world.n_rungs if mix.count else 1):
        score = world.score((mix, rung), seed)
        if score is None:
            raise TableError(
                f"the table {world.name} has no score of {mix} at rung {rung}, seed {seed}: a peer "
                "needs every recipe. Record it again, or leave the peers out with --peers none."
            )
        found.append(Rung(world.rung_ms((mix, rung), seed), score))
    return found
