"""Which trial deserves the next device-hour."""

from __future__ import annotations

from scheduler.policies.base import Policy
from scheduler.policies.fixed import RandomRungs, UniformRungs
from scheduler.policies.halving import Halving
from scheduler.policies.standings import Standing, Standings

__all__ = ["Halving", "Policy", "RandomRungs", "Standing", "Standings", "UniformRungs", "policy"]


def policy(
    name: str,
    *,
    n_rungs: int,
    eta: int,
    seed: int,
    has_merged: bool = False,
    compares_arms: bool = False,
) -> Policy:
    """The policy that a spec's ``search.policy`` names.

    Raises:
        KeyError: the name is unknown (the spec's door has refused it before).
    """
    match name:
        case "halving":
            return Halving(n_rungs, eta, has_merged=has_merged)
        case "uniform" | "grid":
            return UniformRungs(n_rungs)
        case "random":
            return RandomRungs(n_rungs, seed, by_mix=compares_arms)
        case _:
            raise KeyError(f"no policy {name!r}; known: grid, halving, random, uniform")
