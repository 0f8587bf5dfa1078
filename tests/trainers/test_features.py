import os
import threading
from dataclasses import replace

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from trainers.errors import EmptySplitError, ModelError, StoreError
from trainers.features import features, tokenizer_digest
from trainers.tasks.catalog import TASKS

TASK = TASKS["toy_xnli"]


def make_tokenizer(words="a b c d e"):
    vocabulary = {
        word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *words.split()])
    }
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<unk>",
    )


def make_examples(n_rows=2500):
    return Dataset.from_dict(
        {
            "id": [str(row) for row in range(n_rows)],
            "first": ["a b"] * n_rows,
            "second": ["c"] * n_rows,
            "label": [row % 3 for row in range(n_rows)],
        }
    )


def folders(path):
    return [name for name in os.listdir(path) if not name.startswith(".")]


def test_features_of_all_slices_count_examples_through(tmp_path):
    found = features(make_examples(), TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    assert found["example"][:] == list(range(2500))
    assert found["label"][:] == [row % 3 for row in range(2500)]
    assert found["n_tokens"][:] == [len(ids) for ids in found["input_ids"]]


def test_features_are_memory_mapped_and_narrow(tmp_path):
    found = features(make_examples(), TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    assert [str(file["filename"]).startswith(str(tmp_path)) for file in found.cache_files] == [True]
    assert found.features["label"].dtype == "int32"
    assert found.features["input_ids"].feature.dtype == "int32"


def test_a_second_call_reads_what_the_first_one_wrote(tmp_path, monkeypatch):
    examples, tokenizer = make_examples(), make_tokenizer()
    first = features(examples, TASK, tokenizer, training=True, cache_dir=tmp_path)
    monkeypatch.setattr("trainers.features._encoded", lambda *_, **__: pytest.fail("encoded twice"))
    second = features(examples, TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    assert second.to_dict() == first.to_dict()
    assert len(folders(tmp_path)) == 1


def test_other_content_gets_another_folder(tmp_path):
    examples = make_examples(10)
    features(examples, TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    features(examples, TASK, make_tokenizer(), training=False, cache_dir=tmp_path)
    features(examples, TASK, make_tokenizer("a b c d f"), training=True, cache_dir=tmp_path)
    features(examples, replace(TASK, max_length=32), make_tokenizer(), training=True, cache_dir=tmp_path)
    features(examples.select([1, 2]), TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    assert len(folders(tmp_path)) == 5


def test_racing_writers_leave_one_complete_folder(tmp_path):
    examples, tokenizer = make_examples(), make_tokenizer()
    tokenizer_digest(tokenizer)
    barrier, found = threading.Barrier(4), []

    def race():
        barrier.wait()
        found.append(features(examples, TASK, tokenizer, training=True, cache_dir=tmp_path).num_rows)

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert found == [2500] * 4
    assert len(os.listdir(tmp_path)) == 1


def test_a_writer_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_, **__):
        yield {"input_ids": [[1]], "example": [0], "n_tokens": [1], "n_cut": [0]}
        raise ValueError("broken")

    monkeypatch.setattr("trainers.features._encoded", broken)
    with pytest.raises(ValueError, match="broken"):
        features(make_examples(10), TASK, make_tokenizer(), training=True, cache_dir=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write tokenised toy_xnli.*Free space there"):
        features(make_examples(10), TASK, make_tokenizer(), training=True, cache_dir=tmp_path / "file")


def test_examples_without_a_single_feature_are_refused(tmp_path, monkeypatch):
    nothing = {"input_ids": [], "example": [], "n_tokens": [], "n_cut": [], "label": []}
    monkeypatch.setattr("trainers.features._encoded", lambda *_, **__: iter([nothing]))
    with pytest.raises(EmptySplitError, match="none of the 10 examples of toy_xnli gives a feature"):
        features(make_examples(10), TASK, make_tokenizer(), training=True, cache_dir=tmp_path)


def test_a_tokenizers_digest_forgets_padding_and_follows_its_content():
    tokenizer = make_tokenizer()
    before = tokenizer_digest(make_tokenizer())
    tokenizer(["a b", "c"], padding=True, truncation=True, max_length=4)
    assert tokenizer_digest(tokenizer) == before
    tokenizer.add_tokens(["new"])
    assert tokenizer_digest(tokenizer) != before


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="not a fast tokenizer"):
        tokenizer_digest(object())
