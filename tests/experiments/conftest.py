"""Made-up studies, written once for all tests of the report."""

from __future__ import annotations

import pytest
from synthetic_study import SyntheticStudy

from experiments.report import write_report


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory):
    """A study that ended, with three finalists over four seeds."""
    return SyntheticStudy(tmp_path_factory.mktemp("whole")).write()


@pytest.fixture(scope="session")
def whole_report(whole_study):
    """Its HTML."""
    return write_report(whole_study)


@pytest.fixture(scope="session")
def interim_study(tmp_path_factory):
    """A study on CPU slots that goes on and has no finals yet."""
    return SyntheticStudy(
        tmp_path_factory.mktemp("interim"), kind="cpu", finals=False, ended=False
    ).write()


@pytest.fixture(scope="session")
def vain_study(tmp_path_factory):
    """A study of mixes that do nothing at all."""
    return SyntheticStudy(tmp_path_factory.mktemp("vain"), gain=0.0).write()
