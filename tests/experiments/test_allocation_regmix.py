"""The loader of published runs: which mixtures are candidates, and what is named and left out."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from budgets.amount import DeviceTime
from experiments.benchmarks import allocation_world
from experiments.benchmarks.allocation_regmix import load, read
from experiments.benchmarks.allocation_replay import Method, replayed
from scheduler.errors import TableError
from scheduler.mix import Mix

DOMAINS = ("arxiv", "github", "pile_cc")
HALVING = Method("random", "random", "halving")


def write(folder, size, rates, losses, split="test"):
    """Two files: rates by index, and losses by index (three domains, or None for no row)."""
    mixtures = folder / f"{split}_mixture_{size}.csv"
    with mixtures.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["index", *(f"train_the_pile_{d}" for d in DOMAINS)])
        lines.writerows([i, *row] for i, row in enumerate(rates))
    with (folder / f"{split}_pile_loss_{size}.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["index", *(f"metric/the_pile_{d}_val_loss" for d in DOMAINS)])
        lines.writerows([i, *row] for i, row in enumerate(losses) if row is not None)


RATES = [(0.5, 0.5, 0), (0.2, 0.2, 0.6), (1, 0, 0), (0.1, 0.8, 0.1)]
SMALL = [(5, 5, 5), (4, 4, 4), (6, 6, 6), (5, 6, 7)]
LARGE = [(3, 3, 3), (3, 3, 2), (4, 4, 4), (2, 2, 2)]


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "1m", RATES, SMALL)
    write(tmp_path, "60m", RATES, LARGE)
    return tmp_path


def test_a_mixture_at_two_sizes_is_a_candidate_with_two_rungs(folder):
    runs = load(folder)
    assert runs.spec.intermediate.rungs == (1_000_000, 60_000_000)
    assert sorted(runs.space.rates.values()) == sorted(tuple(map(float, row)) for row in RATES)
    assert runs.table.left_out == ()


def test_points_fall_by_ten_for_a_nat_and_the_best_is_the_lowest_loss_at_the_top(folder):
    world = allocation_world.opened(folder)
    values = {name: world.value((Mix((name,)), 0)) for name in ("test_1m-0", "test_1m-3")}
    assert values == pytest.approx({"test_1m-0": 70.0, "test_1m-3": 80.0})
    assert world.best == pytest.approx(80.0)
    assert world.score((Mix(("test_1m-3",)), 0), world.seeds[0]) == pytest.approx(40.0)


def test_before_anything_was_judged_anyone_at_random_is_recommended(folder):
    world = allocation_world.opened(folder)
    assert world.control == pytest.approx((70 + 73 + 1 / 3 + 60 + 80) / 4)
    found = replayed(world, HALVING, cap=DeviceTime(1), run=0, devices=1)
    assert found.recommended(world) == [(0, world.control)]


def test_device_time_is_proportional_to_weights_times_tokens(folder):
    world = allocation_world.opened(folder)
    low, high = (world.rung_ms((Mix(("test_1m-0",)), rung), world.seeds[0]) for rung in (0, 1))
    assert (low, high) == (60_000 + 1, 3_600_000 + 1)  # a millisecond to read the losses


def test_a_size_of_other_mixtures_is_no_rung_and_named(folder):
    write(folder, "1B", [(0, 0, 1), (0, 1, 0)], [(2, 2, 2), (1, 1, 1)])
    runs = load(folder)
    assert runs.spec.intermediate.rungs == (1_000_000, 60_000_000)
    told = "\n".join(runs.table.left_out)
    assert "1,000,000,000 weights: 2 mixtures, 0 of them at every smaller rung; it is no rung" in told
    assert "2 mixtures lack one of 1,000,000, 60,000,000; they are no candidates" in told


def test_the_index_of_a_row_says_nothing_across_files(folder):
    write(folder, "60m", RATES[::-1], LARGE[::-1])
    world = allocation_world.opened(folder)
    assert world.value((Mix(("test_1m-3",)), 0)) == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("row", "losses", "problem"),
    [
        ((0.5, 0.5, 0), (5, "nan", 5), "losses that are no numbers: github nan"),
        ((0.5, 0.5, 0), (5, "words", 5), "losses that are no numbers: github nan"),
        ((0.5, 0.9, 0), (5, 5, 5), "its rates sum to 1.4"),
        ((0.5, "", 0), (5, 5, 5), "its rates sum to nan"),
        ((0.5, 0.5, 0), None, "it has no losses"),
    ],
)
def test_a_run_that_cannot_be_used_is_named_and_counts_as_not_run(folder, row, losses, problem):
    write(folder, "1m", [row, *RATES[1:]], [losses, *SMALL[1:]])
    runs = load(folder)
    assert f"test_1m-0: {problem}; it counts as not run" in runs.table.left_out
    assert "1 mixtures lack one of 1,000,000, 60,000,000; they are no candidates" in runs.table.left_out
    assert runs.space.n_mixes == 3


def test_a_mixture_run_twice_with_other_losses_keeps_the_first(folder):
    write(folder, "1m", [*RATES, RATES[0]], [*SMALL, (1, 1, 1)])
    runs = load(folder)
    (told,) = runs.table.left_out
    assert told == ("test_1m-4: the mixture of test_1m-0 again with other losses; the first counts")


def test_losses_of_no_mixture_are_named(folder):
    write(folder, "1m", RATES[:3], SMALL)
    assert "test_1m-3: losses of no mixture; they are not used" in read(folder).left_out


def test_a_folder_without_runs_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(TableError, match=r"expected files test_mixture_1m\.csv"):
        load(tmp_path)


def test_a_search_over_a_list_stays_in_its_cap_and_climbs_to_the_best(folder):
    world = allocation_world.opened(folder)
    cap = DeviceTime(2 * world.whole_ms())
    found = replayed(world, HALVING, cap=cap, run=0, devices=2)
    assert found.charged_ms <= cap.ms
    assert found.repeated_ms == 0
    assert found.recommended(world)[-1][1] == world.best


@pytest.fixture(scope="module")
def published(mirror):
    found = Path(mirror) / "bench/regmix"
    if not found.is_dir():
        pytest.skip(f"no published runs in {found}")
    return allocation_world.opened(found)


@pytest.mark.mirror
def test_the_published_runs_have_256_candidates_at_two_sizes(published):
    assert published.space.n_mixes == 256
    assert published.spec.intermediate.rungs == (1_000_000, 60_000_000)
    assert "1,000,000,000 weights: 64 mixtures, 0 of them" in published.left_out[0]


@pytest.mark.mirror
def test_on_the_published_runs_halving_beats_full_runs_at_a_sixty_fourth_of_everything(published):
    cap = DeviceTime(published.whole_ms() // 64)
    full = Method("full", "random", "uniform")
    mean = {
        method.name: sum(
            replayed(published, method, cap=cap, run=run, devices=2).recommended(published)[-1][1]
            for run in range(6)
        )
        / 6
        for method in (HALVING, full)
    }
    assert mean["random"] > mean["full"]
