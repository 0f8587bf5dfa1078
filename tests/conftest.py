"""What all tests share: no network, no cache outside the test's own folders, and the mirror."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.contracts.postgres_server import postgres, postgres_server

__all__ = ["mirror", "postgres", "postgres_server"]

# Set before any library reads them: tests leave nothing in ~/.cache and never reach for the hub.
_CACHE = tempfile.mkdtemp(prefix="interlude-tests-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["HF_HOME"] = _CACHE
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models as small as these more would only wait

# How long an example takes is the machine's affair: it may have much else to do.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

_CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def mirror() -> str:
    """The mirror of real data and models, or a skip that says where it was looked for."""
    named = os.environ.get("INTERLUDE_MIRROR")
    folder = Path(named) if named else _CHECKOUT.parent / "shared"
    if not (folder / "hub").is_dir():
        why = (
            f"INTERLUDE_MIRROR names {folder}"
            if named
            else f"INTERLUDE_MIRROR is not set, tried {folder}"
        )
        pytest.skip(f"no mirror of real data: {why}, which has no hub/")
    return str(folder)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where torch can use none."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU, and torch can use none here")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the tables that tests have left as the property ``table``: a title and lines."""
    tables: dict[str, list[str]] = {}
    reports = [report for some in terminalreporter.stats.values() for report in some]
    for report in reports:
        if getattr(report, "when", "") == "teardown":
            for title, lines in (value for name, value in report.user_properties if name == "table"):
                tables[title] = max(tables.get(title, []), lines, key=len)
    for title, lines in tables.items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
