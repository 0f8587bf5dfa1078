"""Batches within a token budget, in an order that can be continued anywhere."""

import random
from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.batches import Position, TaskBatches
from trainers.errors import EmptySplitError


def features(lengths):
    return Dataset.from_dict(
        {
            "input_ids": [[7] * n for n in lengths],
            "n_tokens": lengths,
            "example": list(range(len(lengths))),
        }
    )


def batches(lengths, batch_tokens=64, seed=0):
    return TaskBatches(features(lengths), batch_tokens=batch_tokens, seed=seed, task="tiny")


lengths_strategy = st.lists(st.integers(1, 100), min_size=1, max_size=200)


@settings(max_examples=50, deadline=None)
@given(lengths_strategy, st.integers(1, 200), st.integers(0, 5))
def test_an_epoch_holds_every_feature_once_and_no_batch_passes_its_budget(lengths, batch_tokens, epoch):
    plan = batches(lengths, batch_tokens).plan(epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    for rows in plan:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= batch_tokens


@settings(max_examples=25, deadline=None)
@given(lengths_strategy, st.integers(1, 30))
def test_a_stopped_order_continues_as_if_it_had_not_stopped(lengths, n_before):
    def taken(reader, position, count):
        rows = []
        for _ in range(count):
            batch, position = reader.take(position)
            rows.append([row["example"] for row in batch])
        return rows, position

    whole, _ = taken(batches(lengths), Position(), n_before + 10)
    first, position = taken(batches(lengths), Position(), n_before)
    second, _ = taken(batches(lengths), position, 10)
    assert first + second == whole


def test_a_feature_longer_than_the_budget_is_a_batch_of_its_own():
    plan = batches([10, 500, 12], batch_tokens=64).plan(0)
    assert [1] in [rows.tolist() for rows in plan]


def test_rows_come_with_all_their_columns():
    rows, _ = batches([3, 5]).take(Position())
    assert sorted((row["example"], row["n_tokens"], row["input_ids"]) for row in rows) == [
        (0, 3, [7] * 3),
        (1, 5, [7] * 5),
    ]


def test_epochs_seeds_and_tasks_have_their_own_orders():
    lengths = [random.Random(1).randint(1, 40) for _ in range(100)]

    def order(seed, epoch):
        return np.concatenate(batches(lengths, seed=seed).plan(epoch)).tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(2) for epoch in range(2)}) == 4


def test_short_and_long_batches_alternate():
    plan = batches(list(range(1, 65)) * 20).plan(0)
    longest = [max(rows.tolist()) % 64 for rows in plan]
    rises = sum(after > before for before, after in pairwise(longest))
    assert 0.3 < rises / len(longest) < 0.7


def test_padding_is_a_few_percent_on_mixed_lengths():
    generator = random.Random(3)
    lengths = [min(128, 5 + int(generator.expovariate(1 / 30))) for _ in range(8000)]
    plan = batches(lengths, batch_tokens=2048).plan(0)
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in plan)
    assert 1 - sum(lengths) / padded < 0.05


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(EmptySplitError, match="tiny"):
        batches([])


@settings(max_examples=10, deadline=None)
@given(
    st.integers(10, 15).map(lambda power: 2**power),
    st.floats(2.0, 4.0),
    st.floats(0.0, 0.8),
    st.integers(0, 3),
)
def test_padding_is_a_few_percent_at_any_budget(batch_tokens, log_mean, log_spread, seed):
    drawn = np.exp(np.random.default_rng(seed).normal(log_mean, log_spread, 60_000))
    lengths = np.clip(np.round(drawn), 2, 128).astype(int)
    rows = Dataset.from_dict({"n_tokens": lengths})
    plan = TaskBatches(rows, batch_tokens=batch_tokens, seed=seed, task="tiny").plan(seed)
    padded = sum(len(batch) * lengths[batch].max() for batch in plan)
    has_whole_pools = 100 * batch_tokens < lengths.sum()  # the rest of one fills batches less well
    assert 1 - lengths.sum() / padded < (0.05 if has_whole_pools else 0.12)


def test_an_order_of_several_pools_is_the_same_from_any_place_in_it():
    lengths = [random.Random(4).randint(1, 60) for _ in range(20_000)]
    reader, again = batches(lengths, 128), batches(lengths, 128)
    position = Position()
    for _ in range(40):
        _, position = reader.take(position)
    assert again.take(Position(0, 40))[0] == reader.take(position)[0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 30), min_size=3, max_size=3), min_size=1, max_size=60),
    st.integers(3, 300),
)
def test_a_batch_of_features_with_several_sequences_stays_within_its_budget_with_padding(
    rows, batch_tokens
):
    made = Dataset.from_dict(
        {
            "input_ids": [[[7] * n for n in row] for row in rows],
            "n_tokens": [sum(row) for row in rows],
            "n_padded": [3 * max(row) for row in rows],
        }
    )
    plan = TaskBatches(made, batch_tokens=batch_tokens, seed=0, task="choices").plan(0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(rows)))
    for batch in plan:
        longest = max(n for row in batch for n in rows[row])
        assert len(batch) == 1 or 3 * len(batch) * longest <= batch_tokens
