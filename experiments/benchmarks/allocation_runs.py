"""Every method on every budget of one table, and the figures of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import get_args

from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_figures import Estimate, Row, ratio, row
from experiments.benchmarks.allocation_replay import Method, PolicyName, Proposer, Replay, replayed
from experiments.benchmarks.allocation_world import World
from trainers.provenance import environment

OURS = Method("structured, halving", "structured", "halving")
WITHOUT_PEERS = Method("random, halving", "random", "halving")  # the baseline where Ray does not run
BASELINES = (
    Method("TPE, halving", "tpe", "halving"),
    WITHOUT_PEERS,
    Method("random, full", "random", "uniform"),
    Method("TPE, full", "tpe", "uniform"),
    Method("NSGA-II, full", "nsga2", "uniform", counts_cost=True),
)
LARGEST = 0.25  # of all that a search could run
_SLEEP_S = 20.0  # what all of the largest budget takes on one device, under a peer that sleeps


@dataclass(frozen=True)
class Outcome:
    """One table's figures.

    Attributes:
        world: the table.
        replays: by method and budget, a run each.
        rows: figures by method and budget.
        ratios: of ours to the baseline, by budget.
        baseline: who that is.
    """

    world: World
    replays: dict[str, list[list[Replay]]]
    rows: list[Row]
    ratios: dict[int, Estimate]
    baseline: str

    def to_json(self) -> dict[str, object]:
        """All figures as plain values."""
        rows = [
            {
                **asdict(r),
                "regret": r.regret.to_json(),
                "hypervolume": r.hypervolume.to_json() if r.hypervolume else None,
            }
            for r in self.rows
        ]
        return {
            "table": self.world.name,
            "left_out": list(self.world.left_out),
            "seeds_recorded": list(self.world.seeds),
            "best": self.world.best,
            "control": self.world.control,
            "ours": OURS.name,
            "baseline": self.baseline,
            "ratio": {str(ms): one.to_json() for ms, one in self.ratios.items()},
            "rows": rows,
            "environment": environment(),
        }


def measured(
    world: World,
    *,
    runs: int,
    budgets: int,
    largest: float,
    devices: int,
    ablate: bool,
    peers: bool,
    say: Callable[[str], None],
) -> Outcome:
    """Run every method on every budget.

    Args:
        world: the table.
        runs: seeds of each method.
        budgets: how many, each twice the one before.
        largest: the last, as a share of everything that a search could run.
        devices: at once.
        ablate: add every sampler under every policy.
        peers: run Ray Tune too, as the baseline.
        say: is told what runs.
    """
    caps = caps_of(world, budgets, largest)
    replays: dict[str, list[list[Replay]]] = {}
    for method in methods(ablate=ablate):
        say(method.name)
        replays[method.name] = [
            [replayed(world, method, cap=cap, run=run, devices=devices) for run in range(runs)]
            for cap in caps
        ]
    baseline = WITHOUT_PEERS.name
    if peers:
        from experiments.benchmarks.allocation_peers import ASHA, asha

        say(ASHA)
        baseline, s_per_hour = ASHA, _SLEEP_S / caps[-1].hours
        by_run = [
            asha(world, caps, run=run, devices=devices, s_per_hour=s_per_hour) for run in range(runs)
        ]
        replays[ASHA] = [list(one) for one in zip(*by_run, strict=True)]
    rows = [row(world, name, runs_at) for name, by_cap in replays.items() for runs_at in by_cap]
    ratios = {
        cap.ms: ratio(
            [run.recommended(world) for run in ours],
            [run.recommended(world) for run in theirs],
            cap.ms,
        )
        for cap, ours, theirs in zip(caps, replays[OURS.name], replays[baseline], strict=True)
    }
    return Outcome(world, replays, rows, ratios, baseline)


def caps_of(world: World, n: int, largest: float = LARGEST) -> list[DeviceTime]:
    """Budgets, ascending: the last is ``largest`` of everything, each is half of the next."""
    return [DeviceTime(round(world.whole_ms() * largest / 2**i)) for i in reversed(range(n))]


def methods(*, ablate: bool) -> tuple[Method, ...]:
    """Ours and its baselines; with ``ablate`` every other sampler and policy too."""
    chosen = (OURS, *BASELINES)
    if not ablate:
        return chosen
    known = {(m.sampler, m.policy) for m in chosen}
    return (
        *chosen,
        *(
            Method(f"{sampler}, {policy}", sampler, policy)
            for sampler in get_args(Proposer)
            for policy in get_args(PolicyName)
            if (sampler, policy) not in known
        ),
    )
