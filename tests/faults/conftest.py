"""The table of what came of the schedules of faults, shown at the end."""

from __future__ import annotations

import pytest
from audit import table


@pytest.fixture(scope="module")
def all_found():
    """What the module's tests have found so far."""
    return []


@pytest.fixture
def results(all_found, record_property):
    """Where a test leaves what it found, for the table."""
    yield all_found
    for database in dict.fromkeys(one.database for one in all_found):
        part = [one for one in all_found if one.database == database]
        record_property("table", (f"faults on {database}", table(part)))
