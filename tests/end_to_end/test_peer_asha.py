"""Ray Tune's own ASHA and OptunaSearch on a recorded space, through the real Tuner."""

from __future__ import annotations

import pytest

from budgets.amount import DeviceTime
from experiments.benchmarks.allocation_peers import under
from scheduler.adapters.peer_asha import asha_with_optuna
from scheduler.adapters.peer_report import Rung, Search
from scheduler.listed import ListedSpace
from scheduler.mix import Mix

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

SPACE = ListedSpace(("x", "y"), {f"m{i}": (i / 8, 1 - i / 8) for i in range(9)})
RECORDED = {
    mix: [Rung(100, 10.0 + i), Rung(300, 20.0 + i), Rung(1200, 30.0 + i)]
    for i, mix in enumerate(SPACE.all_mixes())
}
SEARCHES = [Search(SPACE, RECORDED, workers=2, cap_ms=8_000, seed=seed) for seed in (3, 4)]


@pytest.fixture(scope="module")
def heard():
    return asha_with_optuna(SEARCHES, s_per_ms=2e-4, at_once=2)


@pytest.fixture(scope="module")
def reports(heard):
    return heard[0].reports


def test_the_peer_reports_what_was_recorded_rung_by_rung(reports):
    assert all(report.result == RECORDED[report.mix][report.rung] for report in reports)
    assert {report.rung for report in reports} >= {0, 1}
    assert reports[0].rung == 0


def test_the_peer_stops_trials_that_are_behind(reports):
    by_rung = [sum(report.rung == rung for report in reports) for rung in range(3)]
    assert by_rung[0] >= by_rung[1] >= by_rung[2]
    assert by_rung[0] > by_rung[2]


def test_the_peer_ends_with_the_report_that_reaches_the_cap(reports):
    spent = [report.result.cost_ms for report in reports]
    assert sum(spent) >= 8_000 > sum(spent[:-1])
    found = under(DeviceTime(3_000), reports, base_ms=500)
    assert found.charged_ms >= 3_000 > found.charged_ms - found.looks[-1].choice[1] * 1200 - 300
    assert found.looks[0].charged_ms == 600
    assert found.looks[0].choice == (reports[0].mix, 0)
    assert isinstance(found.looks[0].choice[0], Mix)
    again = [(report.mix, report.rung) for report in reports[: len(found.looks)]]
    assert (found.repeated_ms > 0) is (len(set(again)) < len(again))


def test_runs_that_share_a_ray_have_their_own_draws_and_say_how_much_of_the_time_was_slept(heard):
    one, other = heard
    assert one.reports != other.reports
    assert all(0 < found.slept_share <= 1 for found in heard)
