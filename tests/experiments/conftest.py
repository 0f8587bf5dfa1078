"""Made-up studies and a fetched mirror, written once for all tests."""

from __future__ import annotations

import pytest
from armed_study import BASE, LARGE, SAID, SHRINKS, ArmedStudy
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


@pytest.fixture(scope="session")
def armed(tmp_path_factory):
    """Two sizes by two tunings; the large one gains less, tuning does nothing."""
    return ArmedStudy(
        tmp_path_factory.mktemp("armed"),
        changes={"model.name": [BASE, LARGE], "model.tuning": ["full", "lora"]},
        effect={LARGE: -SHRINKS},
        preregistration=SAID,
    ).write()


@pytest.fixture(scope="session")
def armed_report(armed):
    """Its HTML."""
    return write_report(armed)


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """A stand-in for the hub that has all that ``fetched_study.py`` reads."""
    from tests.experiments.fetched_study import add_model, fill
    from tests.stand_in_hub import StandInHub, serving

    hub = StandInHub()
    fill(hub)
    add_model(hub, tmp_path_factory.mktemp("model"))
    with serving(hub):
        yield hub


@pytest.fixture(scope="session")
def hf_cache(tmp_path_factory):
    """The libraries' cache, which the fetches share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def fetched(hub, hf_cache, tmp_path_factory):
    """A mirror of what the small study reads; not to be changed."""
    from tests.experiments.fetched_study import environment, interlude, write_spec

    folder = tmp_path_factory.mktemp("fetched")
    done = interlude(
        "fetch", write_spec(folder), "--to", folder / "mirror", env=environment(hub, hf_cache)
    )
    assert done.returncode == 0, done.stderr
    assert "10 files fetched, 0 were there and are whole" in done.stdout
    return folder / "mirror"
