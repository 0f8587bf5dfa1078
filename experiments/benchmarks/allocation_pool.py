"""Searches on one world, spread over processes: each process is handed the world once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from experiments.benchmarks.allocation_world import World

Key = TypeVar("Key")
Found = TypeVar("Found")

_HELD: list[World] = []  # what a process of the pool was handed


def spread(
    world: World, tasks: Mapping[Key, Callable[[World], Found]], processes: int
) -> Iterator[tuple[Key, Found, float]]:
    """Each task's key, answer and seconds, as they are done; in this process where one is enough.

    Processes are spawned, since Ray's and Optuna's threads do not survive a fork.
    """
    if processes == 1 or len(tasks) == 1:
        for key, task in tasks.items():
            yield key, *_timed(world, task)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(processes, len(tasks)), mp_context=context, initializer=_hold, initargs=(world,)
    ) as pool:
        keys = {pool.submit(_here, task): key for key, task in tasks.items()}
        for done in as_completed(keys):
            yield keys[done], *done.result()


def _hold(world: World) -> None:
    _HELD.append(world)


def _here(task: Callable[[World], Found]) -> tuple[Found, float]:
    return _timed(_HELD[0], task)


def _timed(world: World, task: Callable[[World], Found]) -> tuple[Found, float]:
    begun_s = time.perf_counter()
    found = task(world)
    return found, time.perf_counter() - begun_s
