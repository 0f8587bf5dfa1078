"""The cells as a person sees them, and as a program reads them."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from experiments.cells import short, show
from experiments.cells_json import to_json
from experiments.cli import main
from scheduler.cells import cells_in
from scheduler.spec import load
from trainers.tasks import open_source

STUDY = Path(__file__).parents[2] / "experiments/studies/xtreme-nine-by-nine.yaml"


@pytest.fixture(scope="module")
def found():
    spec, _ = load(STUDY)
    return cells_in(spec, open_source(spec.data.source).identity)


def shown(found, width):
    screen = io.StringIO()
    show(found, Console(file=screen, width=width))
    return screen.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_nothing_is_cut_off_on_a_screen_of_any_width(found, width):
    text = shown(found, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for target in found.targets:
        assert target.task.name in text
        assert str(target.task.metric) in text


def test_low_resource_languages_come_first_and_every_language_with_a_cell_has_a_row(found):
    lines = shown(found, 80).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("language"))
    codes = [re.match(r"([a-z]+)(\*?)", line).groups() for line in lines[start + 1 : start + 41]]
    assert {code for code, _ in codes} == {c.language for t in found.targets for c in t.scored}
    stars = [bool(star) for _, star in codes]
    assert stars == sorted(stars, reverse=True)


def test_a_screen_too_narrow_for_all_tasks_gets_several_tables(found):
    heads = [line.split()[1:] for line in shown(found, 50).splitlines() if line.startswith("language ")]
    heads = [head for head in heads if head[0] in {target.task.name for target in found.targets}]
    assert len(heads) > 1
    assert [task for head in heads for task in head] == [t.task.name for t in found.targets]


def test_the_list_for_programs_has_every_cell_and_a_reason_for_every_other(found):
    told = json.loads(json.dumps(to_json(found)))
    cells = {(cell["task"], cell["language"]) for cell in told["cells"]}
    missing = {(gap["task"], gap["language"]) for gap in told["missing"]}
    assert not cells & missing
    assert len(cells) + len(missing) == 9 * len(told["languages"])
    assert all(gap["why"] for gap in told["missing"])
    xnli = next(c for c in told["cells"] if (c["task"], c["language"]) == ("xnli", "sw"))
    assert (xnli["metric"], xnli["group"], xnli["low_resource"]) == ("accuracy", "pair", True)
    assert (xnli["report"]["examples"], xnli["report"]["exact"]) == (1_245, False)
    assert xnli["report"]["half_width"] == pytest.approx(2.78, abs=0.01)


def test_the_command_answers_within_five_seconds_of_work():
    start_s = time.process_time()
    done = CliRunner().invoke(main, ["cells", str(STUDY), "--json"])
    assert done.exit_code == 0, done.stderr
    assert time.process_time() - start_s < 5
    assert len(json.loads(done.stdout)["cells"]) > 150


def test_a_mirror_without_some_files_is_listed_all_the_same(tmp_path):
    (tmp_path / "hub").mkdir()
    text = STUDY.read_text().replace("{source: hub}", f"{{source: mirror, path: {tmp_path}}}")
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    done = CliRunner().invoke(main, ["cells", str(spec)])
    assert done.exit_code == 0, done.stderr
    assert "more; --json lists all" in done.stdout
    assert f"{tmp_path}/hub/nyu-mll/glue/mnli/train.parquet: anli_plus, mnli, xnli" in done.stdout
    assert "nothing is left to train or to score" in done.stdout


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (None, "?"),
        (7, "7"),
        (999, "999"),
        (1_000, "1K"),
        (2_490, "2.5K"),
        (9_960, "10K"),
        (12_345, "12K"),
    ],
)
def test_counts_are_short(n, said):
    assert short(n) == said
