from dataclasses import replace

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.errors import EmptySplitError, MalformedDataError, MissingDataError, UnknownLanguageError
from trainers.stage import Half
from trainers.tasks import open_source
from trainers.tasks.canonical import cell_examples, examples, train_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import CANONICAL
from trainers.tasks.halves import half_of
from trainers.tasks.source import DataIdentity


class Rows:
    """A source that gives the same rows for whatever is asked."""

    def __init__(self, columns, features=None):
        self.dataset = Dataset.from_dict(columns, features=features)

    def identity(self, split, language):
        return DataIdentity(
            f"{split.data.repo}/{split.name}/{language}", "0" * 40, self.dataset.num_rows
        )

    def rows(self, split, language):
        return self.dataset


def read(task, columns, features=None):
    return examples(
        TASKS[task], (TASKS[task].train or TASKS[task].search)[0], "en", Rows(columns, features)
    )


PAIR = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [0, 2]}
QA = {
    "id": ["x", "y"],
    "context": ["Ada wrote it.", "नमस्ते दुनिया"],
    "question": ["Who?", "What?"],
    "answers": [{"text": ["Ada"], "answer_start": [0]}, {"text": ["दुनिया"], "answer_start": [7]}],
}
TAGS = {"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 1], [6]]}


def test_pairs_get_ids_from_split_and_row():
    assert read("mnli", PAIR).to_list() == [
        {"id": "train-0", "first": "a", "second": "c", "label": 0},
        {"id": "train-1", "first": "b", "second": "d", "label": 2},
    ]


def test_labels_in_words_become_the_tasks_numbers():
    columns = {
        "sentence1": ["a", "b"],
        "sentence2": ["c", "d"],
        "gold_label": ["contradiction", "entailment"],
    }
    assert read("xnli", columns)["label"][:] == [2, 0]


def test_xnli_reads_the_columns_of_mnli_too():
    assert read("xnli", PAIR)["first"][:] == ["a", "b"]


def test_labels_in_digits_become_numbers_and_a_missing_question_is_empty():
    columns = {"ind": [5], "ctx": ["He"], "endings": [["a", "b", "c", "d"]], "label": ["3"]}
    assert read("hellaswag", columns).to_list() == [
        {"id": "5", "context": "He", "question": "", "choices": ["a", "b", "c", "d"], "label": 3}
    ]


def test_choices_are_gathered_from_a_struct_or_from_columns():
    nested = {
        "id": ["i"],
        "question": ["q"],
        "choices": [{"label": list("ABCDE"), "text": list("vwxyz")}],
        "answerKey": ["C"],
    }
    assert read("commonsenseqa", nested)[0]["choices"] == list("vwxyz")
    assert read("commonsenseqa", nested)[0]["label"] == 2
    flat = {"id": ["i"], "context": ["c"], "question": ["q"], "label": [1]}
    flat |= {f"answer{number}": [f"a{number}"] for number in range(4)}
    assert read("cosmosqa", flat)[0]["choices"] == ["a0", "a1", "a2", "a3"]


def test_spans_keep_offsets_in_characters():
    rows = read("squad_v1", QA).to_list()
    assert [row["starts"] for row in rows] == [[0], [7]]
    assert rows[1]["answers"] == ["दुनिया"]


def test_retrieval_asks_in_english_for_the_foreign_sentence():
    columns = {"source_sentence": ["Habari"], "target_sentence": ["Hello"]}
    row = examples(TASKS["tatoeba"], TASKS["tatoeba"].search[0], "sw", Rows(columns))[0]
    assert (row["query"], row["document"]) == ("Hello", "Habari")


def test_tags_are_lists_of_label_numbers():
    assert read("panx", TAGS)["tags"][:] == [[0, 1], [6]]
    words = {"tokens": [["a", "b"]], "pos_tags": [["NOUN", "X"]]}
    assert read("udpos", words)["tags"][:] == [[7, 16]]


def test_ids_that_occur_twice_are_told_apart():
    columns = {**QA, "id": ["x", "x"]}
    assert read("squad_v1", columns)["id"][:] == ["x", "x#2"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["x", "x#2", "x#3", "y", "x#2#2"]), min_size=1, max_size=9))
def test_ids_are_told_apart_whatever_they_look_like_and_the_first_keeps_its_own(ids):
    count = len(ids)
    columns = {
        "id": ids,
        "context": ["c"] * count,
        "question": ["q"] * count,
        "answers": [{"text": ["c"], "answer_start": [0]}] * count,
    }
    unique = read("squad_v1", columns)["id"][:]
    assert len(set(unique)) == count
    assert all(unique[ids.index(name)] == name for name in ids)


@pytest.mark.parametrize(
    ("task", "columns", "says"),
    [
        ("mnli", {**PAIR, "label": [0, 3]}, r"row 1, column 'label': label 3\..*0 to 2.*entailment"),
        ("mnli", {**PAIR, "label": [-1, 0]}, r"row 0, column 'label': label -1"),
        ("mnli", {**PAIR, "label": [0.5, 1.0]}, r"column 'label': is of type double"),
        ("mnli", {**PAIR, "label": [None, 1]}, r"row 0, column 'label': is empty"),
        ("mnli", {**PAIR, "premise": ["a", None]}, r"row 1, column 'premise': is empty"),
        ("mnli", {**PAIR, "premise": [["a"], ["b"]]}, r"column 'premise': is of type list"),
        (
            "mnli",
            {"premise": ["a"], "label": [0]},
            r"column 'hypothesis': no such column; found premise, label",
        ),
        ("squad_v1", {**QA, "answers": ["a", "b"]}, r"column 'answers\.text': no such column"),
        (
            "squad_v1",
            {**QA, "answers": [{"text": ["Ada"], "answer_start": [11]}, QA["answers"][1]]},
            r"row 0, column 'answers\.answer_start': an answer from character 11 to 14 of 13",
        ),
        (
            "squad_v1",
            {**QA, "answers": [QA["answers"][0], {"text": ["दुनिया"], "answer_start": [6]}]},
            r"row 1, .*at character 6 stands",
        ),
        (
            "squad_v1",
            {**QA, "answers": [{"text": ["Ada"], "answer_start": []}, QA["answers"][1]]},
            r"row 0, .*0 starts for 1 answers",
        ),
        ("panx", {**TAGS, "ner_tags": [[0, 1], [7]]}, r"row 1, column 'ner_tags': label 7"),
        ("panx", {**TAGS, "ner_tags": [[0], [1]]}, r"row 0, column 'ner_tags': 1 tags for 2 tokens"),
        ("panx", {**TAGS, "ner_tags": [0, 1]}, r"column 'ner_tags': is of type int64"),
        ("panx", {**TAGS, "tokens": [["a", None], ["c"]]}, r"row 0, column 'tokens': is empty"),
        (
            "hellaswag",
            {
                "ind": [1, 2],
                "ctx": ["c", "c"],
                "endings": [list("abcd"), list("abc")],
                "label": ["0", "1"],
            },
            r"row 1, column 'endings': 3 choices.*4 in every row",
        ),
        (
            "hellaswag",
            {"ind": [1], "ctx": ["c"], "endings": [list("abcd")], "label": [""]},
            r"row 0, column 'label': label ''",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_row_column_and_expectation(task, columns, says):
    with pytest.raises(MalformedDataError, match=says) as caught:
        read(task, columns)
    assert TASKS[task].train[0].data.repo in caught.value.file
    assert f"Task {task} expects" in str(caught.value)
    assert "fetch the file again" in str(caught.value)


def test_classes_are_compared_by_name():
    names = ["contradiction", "entailment", "neutral"]
    features = Features(
        {"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=names)}
    )
    given = [names[row] for row in PAIR["label"]]
    assert [TASKS["mnli"].labels[label] for label in read("mnli", PAIR, features)["label"]] == given


def test_a_class_that_the_task_does_not_know_is_an_error_where_a_row_has_it():
    names = ["O", "B-PER", "B-DATE"]
    tags = Features({"tokens": Sequence(Value("string")), "ner_tags": Sequence(ClassLabel(names=names))})
    rows = {"tokens": [["a", "b"], ["c"]], "ner_tags": [[1, 0], [2]]}
    with pytest.raises(MalformedDataError, match=r"row 1, column 'ner_tags': label 2 \(B-DATE\)"):
        read("panx", rows, tags)


def test_a_split_without_rows_is_refused():
    with pytest.raises(EmptySplitError, match="0 rows"):
        read("mnli", {"premise": [], "hypothesis": [], "label": []})


PANX = Rows({"tokens": [["w"]] * 400, "ner_tags": [[0]] * 400})


def test_search_and_report_share_no_example_and_leave_none_out():
    search = cell_examples(TASKS["panx"], "sw", Half.SEARCH, PANX)["id"][:]
    report = cell_examples(TASKS["panx"], "sw", Half.REPORT, PANX)["id"][:]
    assert not set(search) & set(report)
    assert len(search) + len(report) == 400
    assert min(len(search), len(report)) > 140


def test_rows_of_one_id_fall_into_one_half():
    names = [f"q{number}" for number in range(40)] * 3
    rows = Rows(
        {
            "id": names,
            "context": ["c"] * 120,
            "question": ["q"] * 120,
            "answers": [{"text": ["c"], "answer_start": [0]}] * 120,
        }
    )
    halves = [
        {name.partition("#")[0] for name in cell_examples(TASKS["xquad"], "ar", half, rows)["id"][:]}
        for half in Half
    ]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == 40


def test_splits_of_their_own_are_scored_whole():
    source = open_source("toy")
    task = TASKS["toy_names"]
    for half, splits in ((Half.SEARCH, task.search), (Half.REPORT, task.report)):
        assert cell_examples(task, "qhu", half, source).num_rows == splits[0].n_rows


def test_the_most_examples_are_the_same_ones_every_time_and_in_order():
    every = cell_examples(TASKS["panx"], "sw", Half.SEARCH, PANX)["id"][:]
    some = cell_examples(TASKS["panx"], "sw", Half.SEARCH, PANX, max_examples=50)["id"][:]
    fewer = cell_examples(TASKS["panx"], "sw", Half.SEARCH, PANX, max_examples=20)["id"][:]
    assert len(some) == 50
    assert [name for name in every if name in set(some)] == some
    assert set(fewer) < set(some)
    assert some != every[:50]


def test_a_half_without_examples_is_refused():
    one = Rows({"tokens": [["w"]], "ner_tags": [[0]]})
    empty = Half.REPORT if half_of("validation-0") is Half.SEARCH else Half.SEARCH
    with pytest.raises(EmptySplitError, match=f"none of 1 examples is in the {empty} half"):
        cell_examples(TASKS["panx"], "sw", empty, one)


def test_training_joins_all_splits_of_a_language():
    rounds = {
        "uid": ["u"],
        "premise": ["p"],
        "hypothesis": ["h"],
        "label": [0],
    }
    assert train_examples(TASKS["anli"], "en", Rows(rounds)).num_rows == 3
    with pytest.raises(UnknownLanguageError, match="task anli"):
        train_examples(TASKS["anli"], "sw", Rows(rounds))


def test_the_fingerprint_follows_data_task_and_choice():
    panx = TASKS["panx"]
    whole = examples(panx, panx.search[0], "sw", PANX)._fingerprint
    assert whole == examples(panx, panx.search[0], "sw", PANX)._fingerprint
    assert whole != examples(panx, panx.search[0], "te", PANX)._fingerprint
    relabelled = replace(panx, labels=(*panx.labels[:-1], "I-GPE"))
    assert whole != examples(relabelled, panx.search[0], "sw", PANX)._fingerprint
    few = [
        cell_examples(panx, "sw", Half.SEARCH, PANX, max_examples=count)._fingerprint
        for count in (10, 10, 11)
    ]
    assert few[0] == few[1] != few[2]


@given(st.text())
def test_the_half_of_an_id_never_changes(name):
    assert half_of(name) is half_of(name)


def test_the_half_of_an_id_is_the_same_in_every_version():
    assert [half_of(f"validation-{row}").value[0] for row in range(8)] == list("ssrrrsrs")


@pytest.mark.mirror
@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.world == "hub"])
def test_every_split_that_a_mirror_has_is_canonical(mirror, name):
    source = open_source("mirror", mirror)
    task = TASKS[name]
    found = 0
    for split in (*task.train, *task.search):
        for language in split.languages:
            try:
                n_rows = source.identity(split, language).n_rows
            except MissingDataError:
                continue
            found += 1
            rows = examples(task, split, language, source)
            assert tuple(rows.column_names) == CANONICAL[task.family]
            assert rows.num_rows == len(set(rows["id"][:]))
            assert rows.num_rows == n_rows or split.layout != "columns"
    assert found or name in {"siqa", "mewslix"}


@pytest.mark.mirror
def test_a_mirror_scores_low_resource_cells_in_both_halves(mirror):
    source = open_source("mirror", mirror)
    for name, language in (("panx", "yo"), ("udpos", "mr"), ("xnli", "sw"), ("tatoeba", "jv")):
        sizes = [cell_examples(TASKS[name], language, half, source).num_rows for half in Half]
        assert min(sizes) >= 15
