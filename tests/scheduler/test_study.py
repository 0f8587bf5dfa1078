"""Opening a study: begun once, resumed as itself, by one driver, on data that is pinned."""

from __future__ import annotations

import pytest
from fakes import TOY_STUDY, Bench, spec_of

from budgets.amount import ZERO, DeviceTime
from budgets.errors import SecondDriverError
from budgets.ledger import Opened
from budgets.spec import read_yaml
from scheduler.drivers.table import drive_table
from scheduler.errors import CapTooSmallError, SpecChangedError, StudyError
from scheduler.facts import StudyBegun
from scheduler.moves import Start
from scheduler.spec import read
from scheduler.study import open_study
from trainers.errors import MissingDataError

STUDY = TOY_STUDY.parents[2] / "experiments" / "studies" / "task-count-vs-budget.yaml"


def spec_in(folder, **changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return spec_of({"store": str(folder), "search.max_trials": 2, "final.max_seeds": 1, **dotted})


def test_a_study_begins_with_its_spec_its_text_and_its_cap(tmp_path):
    spec = spec_in(tmp_path)
    with open_study(spec, "name: quickstart\n") as study:
        begun, opened = study.account.facts()
    assert isinstance(begun, StudyBegun)
    assert begun.spec_text == "name: quickstart\n"
    assert begun.spec == spec.model_dump(mode="json")
    assert begun.environment
    assert opened == Opened(DeviceTime.from_hours(spec.budget.gpu_hours))
    assert (tmp_path / "quickstart" / "journal.db").is_file()


def test_a_study_opened_again_goes_on_where_it_was(tmp_path):
    spec = spec_in(tmp_path, budget__gpu_hours=0.5)
    with open_study(spec, "") as study:
        bench = Bench(study.tree)
        drive_table(study.engine, bench.run, 1, at_most=7)
        before = study.account.facts()
    with open_study(spec, "") as study:
        assert study.account.facts() == before
        drive_table(study.engine, bench.run, 1)
        assert study.engine.state.ended.startswith("nothing left to try")
        assert study.account.balance.spent <= study.account.balance.cap


def test_leases_that_a_killed_driver_left_open_are_closed_when_the_study_opens(tmp_path):
    spec = spec_in(tmp_path)
    with open_study(spec, "") as study:
        start = study.engine.ask()
        assert isinstance(start, Start)
    with open_study(spec, "") as study:
        assert study.account.balance.holds == {}
        assert ZERO < study.account.balance.spent <= start.order.limit


def test_a_run_begun_with_another_spec_is_refused_with_what_changed(tmp_path):
    with open_study(spec_in(tmp_path), ""):
        pass
    with (
        pytest.raises(SpecChangedError) as refusal,
        open_study(spec_in(tmp_path, target__learning_rate=2e-3, search__eta=4), ""),
    ):
        pass
    said = str(refusal.value)
    assert "target.learning_rate: was 0.001, is 0.002" in said
    assert "search.eta: was 3, is 4" in said
    assert str(tmp_path / "quickstart") in said
    with open_study(spec_in(tmp_path), "") as study:
        assert len(study.account.facts()) == 2


def test_a_raised_cap_is_granted_and_the_study_goes_on(tmp_path):
    low, high = (spec_in(tmp_path, budget__gpu_hours=h, search__max_trials=None) for h in (0.02, 0.05))
    with open_study(low, "") as study:
        bench = Bench(study.tree)
        drive_table(study.engine, bench.run, 1)
        n_trials = len(study.engine.state.searched)
    with open_study(high, "") as study:
        assert study.account.balance.cap == DeviceTime.from_hours(0.05)
        assert study.account.facts()[-1] == Opened(DeviceTime(180_000 - 72_000))
        drive_table(study.engine, bench.run, 1)
        assert len(study.engine.state.searched) > n_trials


def test_a_cap_too_small_is_refused_and_a_larger_one_begins_in_the_same_place(tmp_path):
    with (
        pytest.raises(CapTooSmallError, match=r"budget\.gpu_hours is 0\.001"),
        open_study(spec_in(tmp_path, budget__gpu_hours=0.001), ""),
    ):
        pass
    with open_study(spec_in(tmp_path), "") as study:
        assert study.engine.state.begun


def test_a_second_driver_is_refused_while_the_first_runs(tmp_path):
    with (
        open_study(spec_in(tmp_path), ""),
        pytest.raises(SecondDriverError, match="already driven by process"),
        open_study(spec_in(tmp_path), ""),
    ):
        pass
    with open_study(spec_in(tmp_path), ""):
        pass


@pytest.mark.parametrize("in_the_way", ["store", "run folder"])
def test_a_store_that_cannot_be_written_is_refused_with_what_goes_there(tmp_path, in_the_way):
    store = tmp_path / "store"
    if in_the_way == "store":
        store.write_text("a file")
    else:
        store.mkdir()
        (store / "quickstart").write_text("a file")
    with (
        pytest.raises(StudyError, match=r"cannot write to .*store.*name another place with 'store:'"),
        open_study(spec_in(store), ""),
    ):
        pass


def test_a_study_on_hub_data_without_a_pin_is_refused_with_the_lines_to_add(tmp_path):
    mapping, _ = read_yaml(STUDY)
    mapping["store"] = str(tmp_path)
    mapping["target"] |= {"benchmark": "xtreme-r", "tasks": ["udpos"], "languages": ["yo", "wo"]}
    with (
        pytest.raises(MissingDataError) as refusal,
        open_study(read(mapping, "test"), ""),
    ):
        pass
    said = str(refusal.value)
    assert "task-count-vs-budget cannot begin" in said
    assert "data:\n  revisions:\n    universal-dependencies/universal_dependencies: <40 hex" in said
    assert "local/ccg-pmb is on no hub" in said
    assert list(tmp_path.iterdir()) == []


def test_a_study_on_hub_data_begins_once_every_set_is_pinned(tmp_path):
    mapping, _ = read_yaml(STUDY)
    mapping["store"] = str(tmp_path)
    mapping["intermediate"] |= {"tasks": ["mnli", "qqp"], "count": [0, 2]}
    mapping["data"]["revisions"] = {"google/xtreme": "c" * 40}
    with open_study(read(mapping, "test"), "") as study:
        start = study.engine.ask()
    assert {identity.revision for identity in start.order.stage.data} == {"c" * 40}
