"""Studies that are run for real, once for all tests that look at what came of them."""

from __future__ import annotations

import pytest
from small_study import tuned_spec

from scheduler.interrupt import Interrupt
from scheduler.run import run_study
from scheduler.spec import read


@pytest.fixture(scope="session")
def tuned_run(tmp_path_factory):
    """The run of a study of four tunings, driven to its end in this process; not to be changed."""
    folder = tmp_path_factory.mktemp("tuned")
    spec = read(tuned_spec(folder), "test")
    run_study(spec, "", "inline", lambda state, balance: None, Interrupt())
    return folder / "runs" / "small"
