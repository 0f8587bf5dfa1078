"""Which cells a study has, how large they are, and what is missing, on the full list of XTREME."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from fakes import PaperSource, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.spec import read_yaml
from scheduler.cells import Why, cells_in, half_width
from scheduler.needs import check_there, gaps_of, needs_of, without
from scheduler.spec import read
from trainers.errors import MissingDataError
from trainers.tasks import open_source
from trainers.tasks.catalog import benchmark
from trainers.tasks.source import DataIdentity

STUDY = Path(__file__).parents[2] / "experiments/studies/xtreme-nine-by-nine.yaml"


def nine_by_nine(**target):
    mapping, _ = read_yaml(STUDY)
    mapping["target"] |= target
    return read(mapping, "test")


def of_source(spec):
    return open_source(spec.data.source, spec.data.path, spec.data.revisions).identity


class Lacking:
    """A source that has everything but what is asked to be missing."""

    def __init__(self, lacks, n_rows=100):
        self.lacks, self.n_rows = lacks, n_rows

    def identity(self, split, language):
        if self.lacks(split, language):
            raise MissingDataError("no", file=f"{split.place(language)}.parquet")
        return DataIdentity(split.place(language), "r", self.n_rows)


def test_every_cell_of_xtreme_is_listed_without_data_or_network():
    spec = nine_by_nine()
    found = cells_in(spec, of_source(spec))
    listed = {target.task.name: {cell.language for cell in target.scored} for target in found.targets}
    assert listed == {task: set(codes) for task, codes in benchmark("xtreme").cells.items()}
    assert len(listed) == 9
    assert sum(map(len, listed.values())) > 150
    assert [one.task.name for one in found.training[:9]] == list(spec.intermediate.tasks)
    assert {"local/bucc2018": ("bucc",), "local/ccg-pmb": ("ccg",)}.items() <= found.unpinned.items()


def test_each_language_asked_for_is_a_cell_or_has_a_reason():
    spec = nine_by_nine(languages={"low_resource": ["sw", "az", "te", "zh", "ru"]}, skip=["tydiqa/te"])
    found = cells_in(spec, of_source(spec))
    whys = {(t.task.name, c.language): c.why for t in found.targets for c in t.cells}
    assert len(whys) == 9 * 5
    assert whys["tydiqa", "sw"] is None
    assert whys["tydiqa", "te"] is Why.SKIPPED
    assert whys["tatoeba", "az"] is Why.NOT_COUNTED
    assert whys["xnli", "te"] is Why.NO_DATA
    assert all(
        (cell.search is None) is (cell.why is not None) for t in found.targets for cell in t.cells
    )


def test_a_shared_split_is_halved_and_the_larger_half_capped():
    spec = nine_by_nine(languages=["sw", "en", "de"], max_examples=200)
    found = cells_in(spec, Lacking(lambda *_: False, 1_001).identity)
    sizes = {
        t.task.name: (c.search.n, c.search.exact, c.report.n, c.report.exact)
        for t in found.targets
        for c in t.scored
    }
    assert sizes["xnli"] == (200, False, 500, False)
    assert sizes["pawsx"] == (200, True, 1_001, True)
    assert sizes["bucc"] == (
        200,
        False,
        500,
        False,
    )  # foreign sentences; English ones are looked through


def test_a_file_that_is_not_there_takes_one_cell_and_is_named():
    spec = nine_by_nine()
    lacking = Lacking(lambda split, language: "PAN-X.sw" in split.place(language))
    found = cells_in(spec, lacking.identity)
    (cell,) = [c for t in found.targets for c in t.cells if c.why is Why.NO_FILE]
    assert cell.places == ("google/xtreme/PAN-X.sw/validation.parquet",)
    assert found.paste == "target:\n  skip: [panx/sw]"


def test_a_lost_pool_or_training_file_takes_the_whole_task():
    spec = nine_by_nine()
    lacking = Lacking(lambda split, language: "PAN-X.en/train" in split.place(language))
    found = cells_in(spec, lacking.identity)
    (target,) = [target for target in found.targets if not target.scored]
    assert target.task.name == "panx"
    lost = [cell for cell in target.cells if cell.why is Why.NO_TASK_FILE]
    assert {cell.language for cell in lost} == set(benchmark("xtreme").cells["panx"])
    assert {cell.places for cell in lost} == {("google/xtreme/PAN-X.en/train.parquet",)}
    assert "panx" not in yaml.safe_load(found.paste)["target"]["tasks"]


@settings(max_examples=25)  # each reads a spec and asks for hundreds of files
@given(st.sets(st.integers(0, 400), max_size=300))
def test_the_lines_to_paste_leave_a_study_whose_data_is_all_there(numbers):
    spec = nine_by_nine(skip=["xnli/sw"])
    files = list(dict.fromkeys(need.split.place(need.language) for need in needs_of(spec)))
    lost = {files[number % len(files)] for number in numbers}
    identity = Lacking(lambda split, language: split.place(language) in lost).identity
    paste = without(spec, gaps_of(needs_of(spec), identity))
    if not paste:
        return
    mapping, _ = read_yaml(STUDY)
    for key, lines in yaml.safe_load(paste).items():
        mapping[key] |= lines
    if "skip" in mapping["target"]:
        assert set(mapping["target"]["skip"]) >= {"xnli/sw"} or "xnli" not in mapping["target"]["tasks"]
    check_there(read(mapping, "pasted"), identity)


def test_a_refusal_says_the_lines_to_paste_before_the_many_files():
    spec = nine_by_nine()
    lacking = Lacking(lambda split, language: "PAN-X.s" in split.place(language) or "ccg" in str(split))
    with pytest.raises(MissingDataError) as refusal:
        check_there(spec, lacking.identity)
    lines = str(refusal.value).splitlines()
    assert lines[0].startswith("the hub lacks 2 of the files")
    assert lines.index("  skip: [panx/sw]") < next(i for i, x in enumerate(lines) if "PAN-X.sw" in x)
    assert "  count: [0, 8]" in lines


def test_where_nothing_would_be_left_no_line_is_offered():
    spec = nine_by_nine()
    with pytest.raises(MissingDataError, match="nothing is left to train or to score"):
        check_there(spec, Lacking(lambda *_: True).identity)


def test_a_study_s_cells_are_those_that_its_stages_score():
    spec = spec_of()
    found = cells_in(spec, PaperSource().identity)
    assert (
        tuple(
            (target.task.name, tuple(cell.language for cell in target.scored))
            for target in found.targets
        )
        == spec.cells
    )
    assert found.low_resource >= set(found.languages)


@given(st.integers(4, 100_000))
def test_the_half_width_is_that_of_the_widest_proportion(n):
    assert half_width(n) == pytest.approx(1.96 * 100 * math.sqrt(0.25 / n))
    assert half_width(4 * n) <= half_width(n)


def test_of_an_unknown_number_there_is_no_interval():
    assert half_width(None) is None
    spec = nine_by_nine()
    bucc = next(t for t in cells_in(spec, of_source(spec)).targets if t.task.name == "bucc")
    known = {cell.language: cell.report.n for cell in bucc.scored}
    assert (known["zh"], known["ru"]) == (4_312, None)
    assert all(bucc.half_width(cell.report) is None for cell in bucc.scored)  # pairs, not sentences


def test_a_mirror_s_rows_are_counted(mirror):
    mapping, _ = read_yaml(STUDY)
    mapping["data"] = {"source": "mirror", "path": str(mirror)}
    spec = read(mapping, "test")
    found = cells_in(spec, of_source(spec))
    panx = next(target for target in found.targets if target.task.name == "panx")
    sizes = {cell.language: cell.report.n for cell in panx.scored}
    assert (sizes["sw"], sizes["yo"]) == (500, 50)
    ccg = next(one for one in found.training if one.task.name == "ccg")
    assert (ccg.rows.n, ccg.places) == (7_075, ())
