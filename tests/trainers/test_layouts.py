from dataclasses import replace

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import MalformedDataError, TaskError
from trainers.tasks.canonical import examples, train_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import CANONICAL, DOCUMENT, QUERY
from trainers.tasks.layouts import LAYOUTS, sentence_spans
from trainers.tasks.mirror import MirrorSource
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import FamilyName


class Rows:
    """A source that gives the same rows for whatever is asked."""

    def __init__(self, columns):
        self.dataset = Dataset.from_dict(columns)

    def identity(self, split, language):
        return DataIdentity(split.place(language), "0" * 40, self.dataset.num_rows)

    def rows(self, split, language):
        return self.dataset


def read(task, layout, columns, language="tr"):
    split = replace((task.search or task.train)[0], layout=layout, languages=(language,))
    return examples(task, split, language, Rows(columns))


BUCC = {"id": ["zh-1", "zh-2"], "sentence": ["你好", "再见"], "pair_id": ["en-7", ""]}
XQUAD_R = {
    "id": ["q1", "q2", "q3"],
    "paragraph_id": ["p", "p", "r"],
    "question": ["Kim?", "Ne?", "Nerede?"],
    "candidates": [["Bir.", "İki."], ["Bir.", "İki."], ["Üç."]],
    "correct": [[1], [0, 1], [0]],
    "context": ["Bir. İki.", "Bir. İki.", "Üç."],
}
SQUAD = {
    "id": ["a", "b", "c"],
    "question": ["Who?", "When?", "Nothing?"],
    "context": ["Dr. J. Ada wrote it. It was 1843."] * 3,
    "answers": [
        {"text": ["Ada", "it"], "answer_start": [7, 17]},
        {"text": ["it. It was 1843"], "answer_start": [17]},
        {"text": [], "answer_start": []},
    ],
}
MEWSLI_X = {"id": ["m1"], "query": ["in { Oslo } it rains"], "entity": ["Q585"], "text": ["A city."]}


def test_both_sides_of_a_gold_pair_get_one_key():
    english = {"id": ["en-7", "en-8"], "sentence": ["Hello", "Rain"], "pair_id": ["zh-1", ""]}
    foreign = read(TASKS["bucc"], "bucc_foreign", BUCC, "zh")
    assert foreign["id"][:] == ["zh-1", "zh-2"]
    assert foreign["text"][:] == ["你好", "再见"]
    assert foreign["side"][:] == [QUERY, QUERY]
    assert foreign["keys"][:] == [["zh-1 en-7"], []]
    other = read(TASKS["bucc"], "bucc_english", english, "zh")
    assert other["side"][:] == [DOCUMENT, DOCUMENT]
    assert other["keys"][:] == [["zh-1 en-7"], []]
    assert other["scored"][:] == [False, False]


def test_a_question_is_answered_by_the_sentences_that_name_it():
    rows = read(TASKS["lareqa"], "xquad_r", XQUAD_R).to_list()
    queries = [row for row in rows if row["side"] == QUERY]
    assert [(row["id"], row["text"], row["keys"]) for row in queries] == [
        ("q1", "Kim?", ["q1"]),
        ("q2", "Ne?", ["q2"]),
        ("q3", "Nerede?", ["q3"]),
    ]
    documents = [row for row in rows if row["side"] == DOCUMENT]
    assert [(row["id"], row["text"], row["context"], row["keys"]) for row in documents] == [
        ("tr/p/0", "Bir.", "Bir. İki.", ["q2"]),
        ("tr/p/1", "İki.", "Bir. İki.", ["q1", "q2"]),
        ("tr/r/0", "Üç.", "Üç.", ["q3"]),
    ]
    assert [row["scored"] for row in rows] == [True] * 3 + [False] * 3


def test_documents_of_two_languages_never_share_an_id():
    ids = [
        {row["id"] for row in read(TASKS["lareqa"], "xquad_r", XQUAD_R, code) if row["side"] == DOCUMENT}
        for code in ("tr", "vi")
    ]
    assert not ids[0] & ids[1]


def test_a_question_is_trained_with_the_sentences_of_its_first_answer():
    rows = read(TASKS["lareqa"], "squad_sentences", SQUAD, "en").to_list()
    assert [(row["id"], row["side"], row["text"]) for row in rows] == [
        ("a", QUERY, "Who?"),
        ("en/a", DOCUMENT, "Dr. J. Ada wrote it."),
        ("b", QUERY, "When?"),
        ("en/b", DOCUMENT, "Dr. J. Ada wrote it. It was 1843."),
    ]
    assert rows[1]["context"] == SQUAD["context"][0]
    assert rows[0]["keys"] == rows[1]["keys"] == rows[2]["keys"]


def test_questions_about_other_sentences_have_other_keys():
    columns = {name: values[:2] for name, values in SQUAD.items()}
    columns["answers"] = [SQUAD["answers"][0], {"text": ["1843"], "answer_start": [28]}]
    rows = read(TASKS["lareqa"], "squad_sentences", columns, "en")
    assert rows["text"][:][1::2] == ["Dr. J. Ada wrote it.", "It was 1843."]
    assert rows["keys"][0] != rows["keys"][2]


def test_a_mention_is_answered_by_its_entity_in_any_language():
    mewslix = TASKS["mewslix"]
    (query,) = read(mewslix, "mewsli_x_queries", MEWSLI_X)
    (document,) = read(mewslix, "mewsli_x_candidates", MEWSLI_X)
    assert (query["id"], query["side"], query["keys"]) == ("m1", QUERY, ["Q585"])
    assert (document["id"], document["side"], document["keys"]) == ("tr/Q585", DOCUMENT, ["Q585"])
    assert read(mewslix, "mewsli_x_pairs", MEWSLI_X)["text"][:] == ["in { Oslo } it rains", "A city."]


def test_a_task_may_call_the_columns_of_a_layout_otherwise():
    task = replace(TASKS["bucc"], columns={"sentence": "text", "pair_id": "partner"})
    columns = {"id": BUCC["id"], "text": BUCC["sentence"], "partner": BUCC["pair_id"]}
    assert read(task, "bucc_foreign", columns)["text"][:] == BUCC["sentence"]


@pytest.mark.parametrize(
    ("task", "layout", "columns", "says"),
    [
        ("bucc", "bucc_foreign", {**BUCC, "sentence": ["你好", None]}, r"row 1.*'sentence': is empty"),
        ("bucc", "bucc_foreign", {"id": ["a"]}, r"'sentence': no such column; found id"),
        ("lareqa", "xquad_r", {**XQUAD_R, "correct": [[1], [2], [0]]}, r"row 1.*positions \[2\] of 2"),
        ("lareqa", "xquad_r", {**XQUAD_R, "correct": [[1], [-1], [0]]}, r"row 1.*positions \[-1\]"),
        ("lareqa", "xquad_r", {**XQUAD_R, "correct": [[1], [], [0]]}, r"row 1.*one or more positions"),
        ("lareqa", "xquad_r", {**XQUAD_R, "candidates": ["a", "b", "c"]}, r"'candidates': is of type"),
        (
            "lareqa",
            "xquad_r",
            {**XQUAD_R, "context": ["Bir. İki.", "Dört.", "Üç."]},
            r"row 1, .*paragraph 'p' with another context",
        ),
        (
            "lareqa",
            "squad_sentences",
            {**SQUAD, "answers": [{"text": ["Ada"], "answer_start": [0]}, *SQUAD["answers"][1:]]},
            r"row 0, column 'answers.answer_start': at character 0 stands",
        ),
        ("mewslix", "mewsli_x_candidates", {**MEWSLI_X, "entity": [None]}, r"row 0.*'entity'"),
    ],
)
def test_what_is_wrong_is_named_with_file_row_column_and_expectation(task, layout, columns, says):
    with pytest.raises(MalformedDataError, match=says) as caught:
        read(TASKS[task], layout, columns, "en")
    assert "local/" in caught.value.file
    assert f"Task {task} expects" in str(caught.value)


def test_a_layout_that_is_unknown_or_of_another_family_is_refused():
    with pytest.raises(TaskError, match=r"no layout 'xquad'.*Did you mean xquad_r"):
        read(TASKS["lareqa"], "xquad", XQUAD_R)
    with pytest.raises(TaskError, match=r"family mining.*Use bucc_foreign or bucc_english"):
        read(TASKS["bucc"], "xquad_r", XQUAD_R)
    with pytest.raises(TaskError, match="family ranking"):
        read(TASKS["lareqa"], "columns", XQUAD_R)


def test_every_family_has_a_layout():
    assert {name for layout in LAYOUTS.values() for name in layout.families} == set(FamilyName)


@given(st.text())
def test_sentences_make_up_the_text(text):
    spans = sentence_spans(text)
    assert "".join(text[begin:end] for begin, end in spans) == text
    assert all(begin < end for begin, end in spans) or text == ""


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. It pours!  Why? No", ["It rains. ", "It pours!  ", "Why? ", "No"]),
        ("Mr. Smith of St. Louis met J. R. Ewing.", ["Mr. Smith of St. Louis met J. R. Ewing."]),
        ('He said "go." Then left.', ['He said "go." ', "Then left."]),
        ("about 3.5 km, i.e. far", ["about 3.5 km, i.e. far"]),
        ("In 1843. 12 years on.", ["In 1843. ", "12 years on."]),
        ("今天下雨。明天晴。", ["今天下雨。", "明天晴。"]),
        ("Title\nText", ["Title\n", "Text"]),
        ("", [""]),
    ],
)
def test_sentences_end_where_a_reader_would_say(text, sentences):
    assert [text[begin:end] for begin, end in sentence_spans(text)] == sentences


@pytest.mark.mirror
def test_the_mirrors_sentences_hold_their_answers(mirror):
    source, task = MirrorSource(mirror), TASKS["lareqa"]
    rows = train_examples(task, "en", source)
    assert tuple(rows.column_names) == CANONICAL[task.family]
    assert rows["side"][:] == [QUERY, DOCUMENT] * (rows.num_rows // 2)
    first = {
        name: answers["text"][0]
        for split in task.train
        for data in [source.rows(split, "en")]
        for name, answers in zip(data["id"], data["answers"], strict=True)
    }
    names, texts, contexts = rows["id"][:], rows["text"][:], rows["context"][:]
    pairs = list(zip(names[0::2], texts[1::2], contexts[1::2], strict=True))
    assert len(pairs) == len(first)
    assert all(first[name].strip() in text and text in context for name, text, context in pairs)
    assert sum(len(text) for _, text, _ in pairs) < 0.4 * sum(len(context) for *_, context in pairs)
