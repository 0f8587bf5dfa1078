"""Peers on the same world: the same mixes, rungs, recorded scores and bills, workers and cap.

Each begins with the encoder that every recipe starts from, charged once, as ours does. A peer shares no
stage between trials: what two of its trials both ran was paid for twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_replay import Look, Replay
from experiments.benchmarks.allocation_world import World
from scheduler.adapters.peer_asha import Reported, Rung, asha_with_optuna
from scheduler.errors import TableError
from scheduler.mix import Mix

ASHA = "Ray Tune ASHA + OptunaSearch"


def asha(
    world: World, caps: Sequence[DeviceTime], *, run: int, devices: int, s_per_hour: float
) -> list[Replay]:
    """Ray Tune's pair under each cap; its decisions do not depend on one, so it runs once.

    Args:
        world: where.
        caps: device time, ascending.
        run: seeds Optuna, and takes the recorded seeds in turn.
        devices: at once.
        s_per_hour: seconds slept for a recorded device-hour.
    """
    seed = world.seeds[run % len(world.seeds)]
    reports = asha_with_optuna(
        world.space,
        {mix: _rungs(world, mix, seed) for mix in world.space.all_mixes()},
        workers=devices,
        cap_ms=caps[-1].less(DeviceTime(world.base_ms())).ms,
        seed=run,
        s_per_ms=s_per_hour / 3_600_000,
    )
    return [under(cap, reports, world.base_ms()) for cap in caps]


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
                "needs every recipe. Record it again, or leave the peers out with --no-peers."
            )
        found.append(Rung(world.rung_ms((mix, rung), seed), score))
    return found
