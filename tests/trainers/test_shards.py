"""Training examples come in shards: the same for everybody, each tokenised when it is first read."""

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import tiny_task, tiny_tokenizer

from trainers import features
from trainers.features import n_truncated
from trainers.shards import Shards, dealt, n_shards
from trainers.tasks.spec import FamilyName

TASK = tiny_task(FamilyName.PAIR, ("no", "yes"))


def examples(n_rows, fingerprint="rows"):
    words = [f"w{row % 50}" for row in range(n_rows)]
    table = Dataset.from_dict(
        {
            "id": [str(row) for row in range(n_rows)],
            "first": words,
            "second": [f"{word} " * (1 + row % 7) for row, word in enumerate(words)],
            "label": [row % 2 for row in range(n_rows)],
        }
    )
    return Dataset(table.data, fingerprint=fingerprint)


def shards(tmp_path, n_rows=5000):
    return Shards(examples(n_rows), TASK, tiny_tokenizer(), tmp_path)


@pytest.fixture
def encoded(monkeypatch):
    """How many rows were tokenised, one slice after the other."""
    found = []
    encode = features._encoded

    def counted(rows, *args, **kwargs):
        found.append(rows.num_rows)
        return encode(rows, *args, **kwargs)

    monkeypatch.setattr(features, "_encoded", counted)
    return found


@given(st.one_of(st.integers(1, 5000), st.sampled_from([262_143, 262_144, 300_000])))
def test_every_row_is_in_one_shard_and_shards_are_of_a_size(n_rows):
    parts = dealt(n_rows)
    assert len(parts) == n_shards(n_rows)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n_rows))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 31
    assert all((np.diff(part) > 0).all() for part in parts)


def test_few_rows_are_one_shard_and_many_are_a_few_hundred():
    assert [n_shards(n) for n in (1, 1024, 2047, 2048, 100_000, 10_000_000)] == [1, 1, 1, 2, 97, 256]


def test_a_shard_is_a_sample_of_all_rows_in_blocks_of_neighbours():
    for part in dealt(20_000):
        assert abs(part.mean() - 10_000) < 2_500
        assert (np.diff(part) == 1).mean() > 0.9


def test_only_a_shard_that_is_read_is_tokenised_and_only_once(encoded, tmp_path):
    given = shards(tmp_path)
    assert (len(given), encoded) == (4, [])
    first = given[2]
    assert encoded == [first.num_rows]
    assert given[2] is first
    again = shards(tmp_path)[2]
    assert again[:] == first[:]
    assert len(encoded) == 1


def test_all_shards_together_are_the_features_of_all_examples(tmp_path):
    whole = features.features(
        examples(5000), TASK, tiny_tokenizer(), training=True, cache_dir=tmp_path / "whole"
    )
    dealt_rows = dealt(5000)
    for number, shard in enumerate(shards(tmp_path)):
        assert shard["input_ids"][:] == [whole[int(row)]["input_ids"] for row in dealt_rows[number]]


def test_examples_of_another_name_are_tokenised_for_themselves(encoded, tmp_path):
    Shards(examples(3000, "one"), TASK, tiny_tokenizer(), tmp_path)[0]
    Shards(examples(3000, "other"), TASK, tiny_tokenizer(), tmp_path)[0]
    assert len(encoded) == 2


def test_a_shard_knows_how_many_of_its_examples_lost_tokens(tmp_path):
    short = tiny_task(FamilyName.PAIR, ("no", "yes"), max_length=16)
    given = Shards(examples(3000), short, tiny_tokenizer(), tmp_path)
    lost = [
        len(tiny_tokenizer()(row["first"], row["second"])["input_ids"]) > 16 for row in examples(3000)
    ]
    by_shard = [sum(lost[row] for row in rows) for rows in dealt(3000)]
    assert 0 < by_shard[0] < len(given[0])
    assert [n_truncated(shard) for shard in given] == by_shard
