"""Syne Tune's schedulers on a recorded space, through its own tuner and simulator."""

from __future__ import annotations

import pytest

from scheduler.adapters.peer_report import Rung, Search
from scheduler.listed import ListedSpace
from scheduler.mix import Mix
from scheduler.space import MixSpace

peer_syne = pytest.importorskip(
    "scheduler.adapters.peer_syne", reason="Syne Tune is not installed: pip install '.[peers]'"
)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:statsmodels")

LISTED = ListedSpace(("x", "y"), {f"m{i}": (i / 8, 1 - i / 8) for i in range(9)})
SUBSETS = MixSpace(("a", "b", "c"), (0, 3), None, None, None, ())
CAP_MS = 250_000


def recorded(space):
    """Scores that rise with the number of the mix; the control has one rung."""
    rungs = (2_000, 6_000, 18_000)
    return {
        mix: [Rung(ms, 10.0 * rung + i) for rung, ms in enumerate(rungs if mix.count else rungs[:1])]
        for i, mix in enumerate(space.all_mixes())
    }


def searched(peer, space, seed=3, workers=2):
    return peer_syne.searched(peer, Search(space, recorded(space), workers, CAP_MS, seed))


@pytest.mark.parametrize("peer", sorted(peer_syne.PEERS))
@pytest.mark.parametrize("space", [LISTED, SUBSETS], ids=["listed", "subsets"])
def test_the_peer_climbs_rung_by_rung_and_ends_soon_after_the_cap(peer, space):
    reports = searched(peer, space)
    table = recorded(space)
    assert all(report.result == table[report.mix][report.rung] for report in reports)
    by_rung = [sum(report.rung == rung for report in reports) for rung in range(3)]
    assert by_rung[0] >= by_rung[1] >= by_rung[2] > 0
    assert by_rung[0] > by_rung[2]
    spent_ms = sum(report.result.cost_ms for report in reports)
    assert CAP_MS <= spent_ms <= CAP_MS + 2 * 18_000


@pytest.mark.parametrize("peer", ["ASHA", "MO-ASHA"])
def test_a_seed_gives_a_search_and_another_gives_another(peer):
    assert searched(peer, LISTED) == searched(peer, LISTED)
    assert searched(peer, LISTED, seed=4) != searched(peer, LISTED)


def test_a_trial_that_continues_is_billed_for_its_next_rung_alone():
    reports = searched("ASHA", LISTED, workers=1)
    climbed = [report for report in reports if report.rung == 1]
    assert {report.result.cost_ms for report in climbed} == {6_000}


def test_the_control_is_told_once_and_never_billed_beyond_its_rung():
    reports = searched("ASHA", SUBSETS, seed=1)
    assert {report.rung for report in reports if report.mix == Mix()} <= {0}
