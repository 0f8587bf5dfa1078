"""How many schedules of faults are run, and the table of what came of them at the end."""

from __future__ import annotations

import os

import pytest

SCHEDULES = int(os.environ.get("INTERLUDE_FAULT_SCHEDULES", "68"))
RESULTS = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[RESULTS] = []


@pytest.fixture(scope="session")
def results(request):
    """Where tests leave what they found, for the table."""
    return request.config.stash[RESULTS]


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash.get(RESULTS, [])
    if not found:
        return
    from audit import table

    for database in dict.fromkeys(one.database for one in found):
        part = [one for one in found if one.database == database]
        terminalreporter.section(f"faults, {len(part)} schedules on {database}")
        for line in table(part):
            terminalreporter.write_line(line)
