"""The cap holds, whatever breaks: studies driven through faults, and judged from their journals alone.

``INTERLUDE_FAULT_SCHEDULES`` says how many; ``make soak`` runs a thousand. A schedule follows from its
seed, which a failure names.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import Drivers, Place, suffer
from schedules import KINDS, schedule

SCHEDULES = int(os.environ.get("INTERLUDE_FAULT_SCHEDULES", "68"))
_AT_ONCE = 2 * (os.cpu_count() or 1) + 2  # most of a schedule is waiting
_FIRST_SEED = int(os.environ.get("INTERLUDE_FAULT_SEED", "0"))

pytestmark = pytest.mark.timeout(120 + 10 * SCHEDULES)


@pytest.fixture(scope="module")
def drivers():
    return Drivers()


def test_every_kind_of_fault_is_among_the_schedules():
    kinds = {kind for seed in range(len(KINDS)) for kind in schedule(seed).kinds}

    assert kinds == set(KINDS)


def test_the_cap_holds_and_nothing_is_lost_in_sqlite_files(drivers, results):
    seeds = range(_FIRST_SEED, _FIRST_SEED + SCHEDULES // 2)
    _expect_no_problem(seeds, drivers, Place("SQLite"), results)


def test_the_cap_holds_and_nothing_is_lost_in_postgresql(drivers, results, postgres_server):
    def terminate(pid):
        with postgres_server.connect() as connection:
            name = f"interlude {pid}"
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                (name,),
            )

    seeds = range(_FIRST_SEED + SCHEDULES // 2, _FIRST_SEED + SCHEDULES)
    place = Place("PostgreSQL", postgres_server.url, terminate)
    try:
        _expect_no_problem(seeds, drivers, place, results)
    finally:
        postgres_server.clear()


def _expect_no_problem(seeds, drivers, place, results):
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda seed: suffer(schedule(seed), drivers, place), seeds))
    results.extend(found)
    assert [one for one in found if one.n_burnt], "no fault happened at all"
    problems = [
        f"seed {one.schedule.seed} on {one.database}, {one.schedule}:\n  " + "\n  ".join(one.problems)
        for one in found
        if one.problems
    ]
    assert not problems, "\n".join(problems)
