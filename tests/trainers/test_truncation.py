"""What each family cuts from a text that is too long, and how it is counted."""

from functools import cache

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import tiny_task
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from trainers.errors import StoreError
from trainers.families import family
from trainers.features import features, n_truncated
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.spec import FamilyName

SPECIALS = ["<s>", "</s>", "<pad>", "<unk>", "<mask>"]
N_WORDS = 600

LENGTH = st.integers(1, 60)
TEXTS = {  # words of each text of an example
    FamilyName.PAIR: st.tuples(LENGTH, st.integers(0, 60)),
    FamilyName.CHOICE: st.tuples(st.integers(0, 60), LENGTH, LENGTH, LENGTH),
    FamilyName.SPANS: st.tuples(st.integers(1, 100), st.integers(1, 150)),
    FamilyName.TOKENS: st.lists(LENGTH, min_size=1, max_size=5),
    FamilyName.RETRIEVAL: st.tuples(LENGTH, LENGTH),
    FamilyName.RANKING: st.tuples(st.integers(1, 120), LENGTH, st.integers(0, 60)),
    FamilyName.MINING: st.tuples(LENGTH),
    FamilyName.MASKED: st.tuples(LENGTH),
}
UNTRAINED = {FamilyName.RETRIEVAL, FamilyName.MINING}


@cache
def tokenizer():
    """A token for every word, so that no two places of an example look alike."""
    names = [*SPECIALS, *(f"w{number}" for number in range(N_WORDS))]
    backend = Tokenizer(
        models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=512,
    )


def words(lengths):
    """A text of each length; no word is in two places."""
    numbers = iter(range(N_WORDS))
    return [" ".join(f"w{next(numbers)}" for _ in range(length)) for length in lengths]


def ids(texts):
    return set(tokenizer()(" ".join(texts), add_special_tokens=False)["input_ids"])


def rows_of(name, lengths):
    """The canonical rows of one example."""
    texts = words(lengths)
    first = texts[0]
    query = {"text": first, "context": "", "side": QUERY, "keys": ["k"]}
    return {
        FamilyName.PAIR: lambda: [{"first": first, "second": texts[1], "label": 0}],
        FamilyName.CHOICE: lambda: [
            {"context": first, "question": "", "choices": texts[1:], "label": 0}
        ],
        FamilyName.SPANS: lambda: [
            {"question": first, "context": texts[1], "answers": [texts[1].split()[0]], "starts": [0]}
        ],
        FamilyName.TOKENS: lambda: [{"tokens": texts, "tags": [0] * len(texts)}],
        FamilyName.RETRIEVAL: lambda: [{"query": first, "document": texts[1]}],
        FamilyName.RANKING: lambda: [
            query,
            {"text": texts[1], "context": texts[2], "side": DOCUMENT, "keys": ["k"]},
        ],
        FamilyName.MINING: lambda: [{"text": first}],
        FamilyName.MASKED: lambda: [{"text": first}],
    }[name]()


def columns_of(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def flat(sequence):
    return [one for part in sequence for one in (part if isinstance(part, list) else [part])]


def encoded(name, rows, max_length, *, training):
    task = tiny_task(name, ("a",), max_length)
    return family(name).encode(columns_of(rows), task, tokenizer(), training=training)


@pytest.mark.parametrize("name", list(FamilyName))
@given(st.data(), st.integers(16, 140))
@settings(max_examples=60, deadline=None)
def test_an_example_is_truncated_exactly_if_some_token_of_its_texts_is_in_no_feature(
    name, data, max_length
):
    lengths = data.draw(TEXTS[name])
    rows = rows_of(name, lengths)
    made = encoded(name, rows, max_length, training=False)
    n_cut = dict(zip(made["example"], made["n_cut"], strict=True))
    kept = {token for sequence in made["input_ids"] for token in flat(sequence)}
    assert sum(n_cut.values()) == len(ids(words(lengths)) - kept)
    assert max(len(flat(sequence)) for sequence in made["input_ids"]) >= 1
    again = list(zip(made["example"], made["n_cut"], strict=True))
    assert {(example, n_cut[example]) for example, _ in again} == set(again)


@pytest.mark.parametrize("name", sorted(set(FamilyName) - UNTRAINED - {FamilyName.RANKING}))
@given(st.data(), st.integers(16, 140))
@settings(max_examples=30, deadline=None)
def test_training_counts_as_prediction_does(name, data, max_length):
    rows = rows_of(name, data.draw(TEXTS[name]))
    made = [encoded(name, rows, max_length, training=training)["n_cut"][0] for training in (True, False)]
    assert made[0] == made[1]


@given(TEXTS[FamilyName.RANKING], st.integers(16, 140))
@settings(max_examples=30, deadline=None)
def test_a_query_that_its_document_follows_counts_with_it(lengths, max_length):
    rows = rows_of(FamilyName.RANKING, lengths)
    made = encoded(FamilyName.RANKING, rows, max_length, training=True)
    apart = encoded(FamilyName.RANKING, rows, max_length, training=False)
    assert made["n_cut"] == [sum(apart["n_cut"])]


def pairs(*n_words):
    """Canonical pairs of one text of so many words."""
    rows = [rows_of(FamilyName.PAIR, (length, 0))[0] for length in n_words]
    return Dataset.from_list([{"id": str(number), **row} for number, row in enumerate(rows)])


def test_what_was_truncated_is_kept_beside_the_features_and_not_in_them(tmp_path):
    task = tiny_task(FamilyName.PAIR, ("a",), 20)
    examples = pairs(*[30, 4] * 700, 18, 19)  # with its frame of two, 18 words fit
    made = features(examples, task, tokenizer(), training=True, cache_dir=tmp_path)
    assert n_truncated(made) == 701
    assert "n_cut" not in made.column_names
    again = features(examples, task, tokenizer(), training=True, cache_dir=tmp_path)
    assert n_truncated(again) == 701
    shorter = tiny_task(FamilyName.PAIR, ("a",), 40)
    assert n_truncated(features(examples, shorter, tokenizer(), training=True, cache_dir=tmp_path)) == 0


def test_a_window_of_a_long_context_is_nothing_that_was_cut(tmp_path):
    task = tiny_task(FamilyName.SPANS, (), 40)
    rows = [*rows_of(FamilyName.SPANS, (5, 150)), *rows_of(FamilyName.SPANS, (11, 20))]
    examples = Dataset.from_list([{"id": str(number), **row} for number, row in enumerate(rows)])
    made = features(examples, task, tokenizer(), training=False, cache_dir=tmp_path)
    assert made.num_rows > 3
    assert n_truncated(made) == 1  # a question keeps a quarter of 40 tokens


def test_a_folder_that_lost_its_count_is_named(tmp_path):
    task = tiny_task(FamilyName.PAIR, ("a",), 20)
    made = features(pairs(30), task, tokenizer(), training=True, cache_dir=tmp_path)
    (counts,) = tmp_path.glob("*/counts.json")
    counts.unlink()
    with pytest.raises(StoreError, match=r"counts\.json"):
        n_truncated(made)
    with pytest.raises(StoreError, match=counts.parent.name):
        features(pairs(30), task, tokenizer(), training=True, cache_dir=tmp_path)
