from collections import Counter
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from trainers.candidates import Candidates
from trainers.cells import Cells
from trainers.encoder import load_encoder
from trainers.errors import EmptySplitError, MalformedDataError
from trainers.evaluate import evaluate
from trainers.models import MODELS
from trainers.stage import EvaluateStage, Half, ModelRef
from trainers.tasks.canonical import cell_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.halves import half_of
from trainers.tasks.mirror import MirrorSource
from trainers.tasks.source import DataIdentity

BUCC = TASKS["bucc"]
LANGUAGES = ("tr", "vi")
LAREQA = replace(
    TASKS["lareqa"], pool=tuple(replace(s, languages=LANGUAGES) for s in TASKS["lareqa"].pool)
)


class Files:
    """A source with the columns of each place."""

    def __init__(self, files):
        self.files = files

    def identity(self, split, language):
        place = split.place(language)
        return DataIdentity(place, f"{len(self.files[place]['id']):040d}", len(self.files[place]["id"]))

    def rows(self, split, language):
        return Dataset.from_dict(self.files[split.place(language)])


def bucc(n_pairs, n_foreign, n_english, splits=("validation",), seed="s"):
    files = {}
    for name in splits:
        foreign = [f"zh-{seed}{name}{number}" for number in range(n_pairs + n_foreign)]
        english = [f"en-{seed}{name}{number}" for number in range(n_pairs + n_english)]
        for side, own, other in (("source", foreign, english), ("target", english, foreign)):
            files[f"local/bucc2018/zh-en/{name}_{side}"] = {
                "id": own,
                "sentence": [f"text of {row}" for row in own],
                "pair_id": [*other[:n_pairs], *[""] * (len(own) - n_pairs)],
            }
    return Files(files)


def xquad_r(n_questions, seed="q"):
    ids = [f"{seed}{number}" for number in range(n_questions)]
    columns = {
        "id": ids,
        "paragraph_id": [f"p{number // 3}" for number in range(n_questions)],
        "question": [f"{name}?" for name in ids],
        "candidates": [["one", "two"]] * n_questions,
        "correct": [[number % 2] for number in range(n_questions)],
        "context": ["one two"] * n_questions,
    }
    return Files({f"local/xquad-r/{code}/validation": columns for code in LANGUAGES})


def scored(cell):
    return {name for name, is_scored in zip(cell["id"], cell["scored"], strict=True) if is_scored}


@settings(max_examples=12, deadline=None)
@given(n_questions=st.integers(40, 80), most=st.sampled_from([None, 1, 7]), seed=st.text(max_size=5))
def test_search_and_report_ask_other_questions_of_the_same_pool(n_questions, most, seed):
    source = xquad_r(n_questions, seed)
    cells = {
        (half, code): cell_examples(LAREQA, code, half, source, most)
        for half in Half
        for code in LANGUAGES
    }
    asked = {key: scored(cell) for key, cell in cells.items()}
    assert not (asked[Half.SEARCH, "tr"] | asked[Half.SEARCH, "vi"]) & (
        asked[Half.REPORT, "tr"] | asked[Half.REPORT, "vi"]
    )
    assert asked[Half.SEARCH, "tr"] == asked[Half.SEARCH, "vi"]
    if most is None:
        assert sum(len(asked[half, "tr"]) for half in Half) == n_questions
    pools = [[row["id"] for row in cell.to_list() if row["side"] == DOCUMENT] for cell in cells.values()]
    assert all(pool == pools[0] for pool in pools)
    assert len(set(pools[0])) == len(pools[0]) == 2 * 2 * -(-n_questions // 3)
    for cell in cells.values():
        assert len(scored(cell)) <= (most or n_questions)
        assert set(cell["part"]) == {1}


def test_fewer_questions_are_among_those_of_more():
    source = xquad_r(60)
    few, more = (scored(cell_examples(LAREQA, "tr", Half.SEARCH, source, count)) for count in (5, 12))
    assert few < more
    assert (len(few), len(more)) == (5, 12)


def test_a_question_that_no_candidate_answers_is_refused():
    source = xquad_r(40)
    other = {**source.files["local/xquad-r/tr/validation"]}
    other["id"] = [f"other{number}" for number in range(40)]
    source.files["local/xquad-r/vi/validation"] = other
    pool = tuple(replace(split, languages=("vi",)) for split in LAREQA.pool)
    with pytest.raises(MalformedDataError, match=r"lareqa in 'tr': no candidate answers \d+ of \d+ que"):
        cell_examples(replace(LAREQA, pool=pool), "tr", Half.REPORT, source)


def by_part(cell):
    counts = Counter()
    for row in cell.to_list():
        counts[row["part"], row["side"], bool(row["keys"])] += 1
        assert row["scored"] == (row["side"] == QUERY and row["part"] > 0)
    return counts


def pairs_in(cell):
    """Gold pairs by part, each with its sides."""
    found = {}
    for row in cell.to_list():
        for key in row["keys"]:
            found.setdefault(key, []).append((row["part"], row["side"]))
    return found


@settings(max_examples=12, deadline=None)
@given(
    n_pairs=st.integers(0, 30),
    n_foreign=st.integers(30, 60),
    n_english=st.integers(1, 30),
    seed=st.text(max_size=5),
)
def test_search_and_report_mine_other_sentences_and_no_pair_is_parted(
    n_pairs, n_foreign, n_english, seed
):
    source = bucc(n_pairs, n_foreign, n_english, seed=seed)
    search, report = (cell_examples(BUCC, "zh", half, source) for half in Half)
    assert not scored(search) & scored(report)
    assert len(scored(search)) + len(scored(report)) == n_pairs + n_foreign
    assert report.num_rows == 2 * n_pairs + n_foreign + n_english
    for cell in (search, report):
        for sides in pairs_in(cell).values():
            assert sorted(side for _, side in sides) == [QUERY, DOCUMENT]
            assert len({part for part, _ in sides}) == 1
    tuning = {row["id"] for row in report.to_list() if row["part"] == 0}
    assert tuning == set(search["id"])
    assert set(search["part"]) <= {1, 2}


@settings(max_examples=10, deadline=None)
@given(n_foreign=st.integers(60, 90), most=st.integers(1, 12), half=st.sampled_from(list(Half)))
def test_a_limit_keeps_so_many_foreign_sentences_and_pairs_whole(n_foreign, most, half):
    source = bucc(60, n_foreign, 60)
    cell = cell_examples(BUCC, "zh", half, source, most)
    whole = cell_examples(BUCC, "zh", half, source)
    assert len(scored(cell)) == most
    assert scored(cell) < scored(whole)
    assert all(len(sides) == 2 for sides in pairs_in(cell).values())


def test_a_limit_keeps_about_the_same_share_of_english_sentences():
    cell = cell_examples(BUCC, "zh", Half.REPORT, bucc(100, 1_900, 3_900), 250)
    counts = by_part(cell)
    for part in (0, 1):
        assert counts[part, QUERY, True] + counts[part, QUERY, False] == 250
        n_english = counts[part, DOCUMENT, True] + counts[part, DOCUMENT, False]
        assert n_english == pytest.approx(500, rel=0.15)


def test_splits_of_their_own_take_the_place_of_the_halves():
    source = bucc(5, 20, 30, splits=("validation", "test"))
    test = tuple(replace(split, name=split.name.replace("validation", "test")) for split in BUCC.report)
    task = replace(BUCC, report=test)
    search, report = (cell_examples(task, "zh", half, source) for half in Half)
    assert len(scored(search)) == len(scored(report)) == 25
    assert by_part(report)[0, QUERY, True] == by_part(report)[1, QUERY, True] == 5
    assert all("test" in name for name in scored(report))
    assert all("validation" in name for name in search["id"])


def test_a_gold_pair_that_one_side_does_not_name_is_refused():
    source = bucc(3, 5, 5)
    source.files["local/bucc2018/zh-en/validation_target"]["pair_id"][1] = ""
    with pytest.raises(
        MalformedDataError, match=r"bucc in 'zh': 1 of 3 gold pairs .*'zh-svalidation1 en-svalidation1'"
    ):
        cell_examples(BUCC, "zh", Half.SEARCH, source)


def test_a_half_without_foreign_sentences_is_refused():
    empty = Half.REPORT if half_of("zh-svalidation0") is Half.SEARCH else Half.SEARCH
    with pytest.raises(EmptySplitError, match="bucc in 'zh': none of 31 examples is in"):
        cell_examples(BUCC, "zh", empty, bucc(0, 1, 30))


def test_a_cells_fingerprint_follows_its_rows_half_and_limit():
    source, longer = xquad_r(40), xquad_r(41)
    names = {
        cell_examples(LAREQA, "tr", half, rows, most)._fingerprint
        for half in Half
        for rows in (source, longer)
        for most in (None, 3)
    }
    assert len(names) == 8
    again = cell_examples(LAREQA, "tr", Half.SEARCH, xquad_r(40), 3)._fingerprint
    assert again in names


class Few:
    """Gold pairs and some other sentences of BUCC, the first paragraphs of XQuAD-R."""

    def __init__(self, source):
        self.source = source
        self.identity = source.identity

    def rows(self, split, language):
        rows = self.source.rows(split, language)
        if "pair_id" not in rows.column_names:
            return rows.select(range(50))
        pairs = rows["pair_id"][:]
        return rows.select([row for row, pair in enumerate(pairs) if pair or row % 40 == 0])


def scores_of(mirror, tmp_path, name, languages):
    task = replace(TASKS[name], train=(), max_length=64)
    task = replace(task, pool=tuple(replace(split, languages=languages) for split in task.pool))
    return evaluate(
        EvaluateStage(ModelRef("mini-xlmr", ""), None, name, languages, Half.REPORT, ()),
        task,
        load_encoder(MODELS["mini-xlmr"], f"{mirror}/models/mini-xlmr"),
        torch.nn.Identity(),
        tokenizer=AutoTokenizer.from_pretrained(f"{mirror}/models/mini-xlmr"),
        entry=MODELS["mini-xlmr"],
        cells=Cells(Few(MirrorSource(mirror))),
        cache_dir=tmp_path,
        batch_tokens=2048,
        device=torch.device("cpu"),
        until=lambda: False,
        candidates=Candidates(),
    )


@pytest.mark.mirror
def test_a_real_encoder_ranks_real_answers_far_above_chance(mirror, tmp_path):
    scores, records, _ = scores_of(mirror, tmp_path, "lareqa", ("en", "tr", "vi"))
    assert records.num_rows == sum(score.n_examples for score in scores) == 90
    assert all(score.value > 15 for score in scores)


@pytest.mark.mirror
def test_real_sentences_are_mined(mirror, tmp_path):
    (score,), records, _ = scores_of(mirror, tmp_path, "bucc", ("zh",))
    assert records.num_rows == score.n_examples
    assert sum(records["n_gold"].to_pylist()) == 125
    assert 0 <= score.value <= 100
