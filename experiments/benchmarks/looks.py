"""What a look at a rung is worth, and how soon one that is worth nothing is dropped: in simulation.

    python -m experiments.benchmarks.looks [--json]

Scores of mixes at a rung and at the next are normal with a correlation that gives a known Kendall's tau.
The first table spends the same device time with and without looks: a look costs the share c of a run at
the next rung, the best one in max(3, 1 / c) go on, as under ``halving``, and what counts is the best
true score among those that were run, in standard deviations. The second lets mixes come one by one
under ``halving`` and asks ``scheduler/policies/trust.py`` after each.
"""

from __future__ import annotations

import json
import math
import random

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from scheduler.policies.trust import LEAST_PAIRS, Foresight, Verdict, worth_of

ETA = 3
PRICES = (0.05, 0.1, 0.2, 0.33, 0.5)  # of a look, as share of a run at the next rung
TAUS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
N_RUNS = 30  # at the next rung, that the device time pays for without looks
AFTER = (24, 60, 120)  # mixes
_N_WORLDS = 4000
_N_STUDIES = 200


def correlation(tau: float) -> float:
    """Of two normal scores with this Kendall's tau: sin(pi tau / 2) (Greiner 1909)."""
    return math.sin(math.pi * tau / 2)


def gain_of_looks(price: float, tau: float, seed: int = 0) -> float:
    """Best score found with looks minus best found without, for the same device time, in sd."""
    draw = np.random.default_rng(seed)
    one_in = max(ETA, 1 / price)
    n_looks = int(N_RUNS / (price + 1 / one_in))
    n_run = max(1, int(N_RUNS - price * n_looks))
    rho = correlation(tau)
    seen = draw.standard_normal((_N_WORLDS, n_looks))
    true = rho * seen + math.sqrt(1 - rho**2) * draw.standard_normal(seen.shape)
    best = np.argsort(-seen, axis=1)[:, :n_run]
    without = draw.standard_normal((_N_WORLDS, N_RUNS))
    return float(np.take_along_axis(true, best, axis=1).max(axis=1).mean() - without.max(axis=1).mean())


def dropped_after(tau: float, price: float, n_first: int, seed: int) -> int | None:
    """Mixes that were seen when their rung was dropped, None where it never was.

    Args:
        tau: of the rung with the next.
        price: share of a run at the next rung.
        n_first: mixes that go on whatever they scored.
        seed: of the scores.
    """
    draw, rho, one_in = random.Random(seed), correlation(tau), max(ETA, 1 / price)
    foresight = Foresight(0)
    seen: list[tuple[float, int]] = []
    waiting: set[tuple[float, int]] = set()
    for i in range(max(AFTER)):
        score = draw.gauss(0, 1), i
        foresight.see(score[0])
        seen.append(score)
        waiting.add(score)
        best = sorted(seen, reverse=True)[: int(len(seen) / one_in)]
        for one in [score] if i < n_first else [one for one in best if one in waiting]:
            waiting.discard(one)
            foresight.pair(one[0], rho * one[0] + math.sqrt(1 - rho**2) * draw.gauss(0, 1))
        trust = foresight.trust
        if trust.verdict is Verdict.DROPPED and trust.high < worth_of(price, 1):
            return i + 1
    return None


def shares_dropped(tau: float, price: float, n_first: int) -> tuple[float, ...]:
    """Share of studies whose rung is dropped by so many mixes (``AFTER``)."""
    found = [dropped_after(tau, price, n_first, seed) for seed in range(_N_STUDIES)]
    return tuple(sum(n is not None and n <= most for n in found) / len(found) for most in AFTER)


@click.command(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print figures as JSON.")
def main(as_json: bool) -> None:
    """Simulate, and print both tables."""
    gains = {price: {tau: gain_of_looks(price, tau) for tau in TAUS} for price in PRICES}
    dropped = {
        (kind, price): {tau: shares_dropped(tau, price, n_first) for tau in TAUS}
        for kind, n_first in (("merged", LEAST_PAIRS), ("trained", 0))
        for price in (0.1, 0.33)
    }
    if as_json:
        rows = [{"rung": k, "price": p, "shares": row} for (k, p), row in dropped.items()]
        print(json.dumps({"gains_sd": gains, "after_mixes": AFTER, "dropped": rows}, indent=1))
        return
    first = Table("price", *(f"tau {tau}" for tau in TAUS), title="gain of looks, sd")
    for price, row in gains.items():
        first.add_row(f"{price}", *(f"{gain:+.2f}" for gain in row.values()))
    after = ", ".join(str(n) for n in AFTER)
    second = Table("rung", *(f"tau {tau}" for tau in TAUS), title=f"% dropped after {after} mixes")
    for (kind, price), shares in dropped.items():
        cells = ("/".join(f"{100 * share:.0f}" for share in of_tau) for of_tau in shares.values())
        second.add_row(f"{kind}, price {price}", *cells)
    Console(width=120).print(first, second)


if __name__ == "__main__":
    main()
