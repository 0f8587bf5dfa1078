"""Tasks that a mirror seldom has data of, read from small files in the layout of the hub."""

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from trainers.stage import Half
from trainers.tasks.canonical import cell_examples, examples, train_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.mirror import MirrorSource

UPOS = ["NOUN", "PUNCT", "ADP", "NUM", "SYM", "SCONJ", "ADJ", "PART", "DET"]
UPOS += ["CCONJ", "PROPN", "PRON", "X", "_", "ADV", "INTJ", "VERB", "AUX"]
NER = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])
TEXT, NUMBER = Value("string"), Value("int64")


def save(folder, place, columns, **features):
    file = folder / "hub" / f"{place}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    types = Features(features) if features else None
    Dataset.from_dict(columns, features=types).to_parquet(file)


def split_of(task, language, part="search"):
    (split,) = [split for split in getattr(TASKS[task], part) if language in split.languages]
    return split


def read(folder, task, language, part="search"):
    split = split_of(task, language, part)
    return examples(TASKS[task], split, language, MirrorSource(folder))


def pair_file(folder, place, labels, **more):
    n_rows = len(labels)
    columns = {"premise": ["p"] * n_rows, "hypothesis": ["h"] * n_rows, "label": labels}
    save(folder, place, {**columns, **more}, premise=TEXT, hypothesis=TEXT, label=NLI, **_texts(more))


def _texts(columns):
    return dict.fromkeys(columns, TEXT)


def test_snli_mnli_and_anli_are_joined_without_the_rows_that_nobody_agreed_on(tmp_path):
    pair_file(tmp_path, "stanfordnlp/snli/plain_text/train", [0, -1, 2])
    pair_file(tmp_path, "nyu-mll/glue/mnli/train", [1, 1], idx=["0", "1"])
    for name in ("train_r1", "train_r2", "train_r3"):
        pair_file(tmp_path, f"facebook/anli/plain_text/{name}", [2], uid=["u"], reason=["r"])
    rows = train_examples(TASKS["anli_plus"], "en", MirrorSource(tmp_path))
    assert rows["label"][:] == [0, 2, 1, 1, 2, 2, 2]


def test_social_iqa_offers_three_answers_of_which_the_number_is_right(tmp_path):
    columns = {
        "context": ["Ann ran."],
        "question": ["Why?"],
        "answerA": ["a"],
        "answerB": ["b"],
        "answerC": ["c"],
        "label": ["3"],
    }
    save(tmp_path, "allenai/social_i_qa/default/train", columns)
    (row,) = train_examples(TASKS["siqa"], "en", MirrorSource(tmp_path))
    assert (row["choices"], row["label"]) == (["a", "b", "c"], 2)
    assert (row["context"], row["question"]) == ("Ann ran.", "Why?")


@pytest.mark.parametrize("language", ["lt", "pl", "uk", "wo", "ro"])
def test_a_treebank_that_orders_its_classes_otherwise_gives_the_same_tags(tmp_path, language):
    save(
        tmp_path,
        split_of("udpos", language).place(language),
        {"idx": ["s1"], "tokens": [["nit", "ñëw", "."]], "upos": [[0, 16, 1]]},
        idx=TEXT,
        tokens=List(TEXT),
        upos=List(ClassLabel(names=UPOS)),
    )
    (row,) = read(tmp_path, "udpos", language)
    assert [TASKS["udpos"].labels[tag] for tag in row["tags"]] == ["NOUN", "VERB", "PUNCT"]


@pytest.mark.parametrize("language", ["qu", "pl", "uk", "az", "lt", "pa", "gu", "ro"])
def test_wikiann_gives_the_names_of_the_further_languages(tmp_path, language):
    place = f"unimelb-nlp/wikiann/{language}/validation"
    save(
        tmp_path,
        place,
        {"tokens": [["Cusco", "llaqta"]], "ner_tags": [[5, 0]], "langs": [[language] * 2]},
        tokens=List(TEXT),
        ner_tags=List(ClassLabel(names=NER)),
        langs=List(TEXT),
    )
    (row,) = read(tmp_path, "panx", language)
    assert [TASKS["panx"].labels[tag] for tag in row["tags"]] == ["B-LOC", "O"]


@pytest.mark.parametrize("language", ["es", "fr", "ja", "ko"])
def test_paraphrases_are_searched_on_validation_and_reported_on_test(tmp_path, language):
    for name, label in (("validation", "0"), ("test", "1")):
        columns = {"sentence1": ["a"], "sentence2": ["b"], "label": [label]}
        save(tmp_path, f"google/xtreme/PAWS-X.{language}/{name}", columns)
    source, task = MirrorSource(tmp_path), TASKS["pawsx"]
    assert cell_examples(task, language, Half.SEARCH, source)["label"][:] == [0]
    assert cell_examples(task, language, Half.REPORT, source)["label"][:] == [1]


@pytest.mark.parametrize("language", ["ar", "de", "hi", "zh"])
def test_questions_of_mlqa_are_in_the_language_of_their_passage(tmp_path, language):
    columns = {
        "id": ["q"],
        "title": ["t"],
        "context": ["Oslo is cold."],
        "question": ["where"],
        "answers": [{"answer_start": [0], "text": ["Oslo"]}],
    }
    save(tmp_path, f"google/xtreme/MLQA.{language}.{language}/validation", columns)
    (row,) = read(tmp_path, "mlqa", language)
    assert (row["answers"], row["starts"]) == (["Oslo"], [0])


@pytest.mark.parametrize("language", ["de", "fr", "ru"])
def test_the_two_sides_of_bucc_share_a_key_where_they_are_a_pair(tmp_path, language):
    sides = {"source": (f"{language}-1", "en-7"), "target": ("en-7", f"{language}-1")}
    for name, (own, other) in sides.items():
        columns = {"id": [own, "x"], "sentence": ["s", "t"], "pair_id": [other, ""]}
        save(tmp_path, f"local/bucc2018/{language}-en/validation_{name}", columns)
    foreign, english = (
        examples(TASKS["bucc"], split, language, MirrorSource(tmp_path))
        for split in TASKS["bucc"].search
    )
    assert foreign["keys"][0] == english["keys"][0] != []
    assert foreign["keys"][1] == english["keys"][1] == []
    assert (foreign["side"][:], english["side"][:]) == ([QUERY] * 2, [DOCUMENT] * 2)


@pytest.mark.parametrize("language", ["ar", "de", "ru", "zh"])
def test_a_question_of_lareqa_is_answered_by_the_sentences_that_the_data_says(tmp_path, language):
    columns = {
        "id": ["q"],
        "paragraph_id": ["00-00"],
        "question": ["who?"],
        "candidates": [["Ann sings.", "Bob runs."]],
        "correct": [[1]],
        "context": ["Ann sings. Bob runs."],
    }
    save(tmp_path, f"local/xquad-r/{language}/validation", columns)
    rows = read(tmp_path, "lareqa", language)
    answers = [row["text"] for row in rows if row["side"] == DOCUMENT and row["keys"] == ["q"]]
    assert answers == ["Bob runs."]


def test_a_mention_of_mewsli_x_is_answered_by_its_entity_in_any_language(tmp_path):
    queries = {"id": ["m1"], "query": ["the [Nile] rose"], "entity": ["Q3392"]}
    for name in ("validation", "test"):
        save(tmp_path, f"local/mewsli-x/uk/{name}", queries)
    candidates = {"entity": ["Q3392", "Q64"], "text": ["ein Fluss", "eine Stadt"]}
    save(tmp_path, "local/mewsli-x/de/candidates", candidates)
    save(tmp_path, "local/mewsli-x/en/train", {**queries, "text": ["a river"]})
    (query,) = read(tmp_path, "mewslix", "uk")
    pool = read(tmp_path, "mewslix", "de", part="pool")
    assert [row["text"] for row in pool if set(row["keys"]) & set(query["keys"])] == ["ein Fluss"]
    mention, entity = train_examples(TASKS["mewslix"], "en", MirrorSource(tmp_path))
    assert mention["keys"] == entity["keys"]
    assert (mention["side"], entity["side"]) == (QUERY, DOCUMENT)
