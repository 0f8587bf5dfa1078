"""Batches within a token budget, in an order that can be continued anywhere."""

import random
from itertools import chain, pairwise

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.batches import Position, TaskBatches
from trainers.errors import EmptySplitError


def features(lengths, first=0):
    return Dataset.from_dict(
        {
            "input_ids": [[7] * n for n in lengths],
            "n_tokens": lengths,
            "example": list(range(first, first + len(lengths))),
        }
    )


def in_shards(lengths, n_rows=40):
    return [features(lengths[at : at + n_rows], at) for at in range(0, len(lengths), n_rows)]


def batches(lengths, batch_tokens=64, seed=0, n_rows=40):
    shards = in_shards(lengths, n_rows)
    return TaskBatches(shards, batch_tokens=batch_tokens, seed=seed, task="tiny")


def epoch_of(reader, epoch=0, column="example"):
    """What every batch of an epoch holds."""
    position, found = Position(epoch), []
    while position.epoch == epoch:
        rows, position = reader.take(position)
        found.append([row[column] for row in rows])
    return found


class Counted(list):
    """Shards that know how many of them were asked for."""

    def __init__(self, *given):
        super().__init__(*given)
        self.asked = set()

    def __getitem__(self, number):
        self.asked.add(number)
        return super().__getitem__(number)


lengths_strategy = st.lists(st.integers(1, 100), min_size=1, max_size=200)


@settings(max_examples=50, deadline=None)
@given(lengths_strategy, st.integers(1, 200), st.integers(0, 5))
def test_an_epoch_holds_every_feature_once_and_no_batch_passes_its_budget(lengths, batch_tokens, epoch):
    found = epoch_of(batches(lengths, batch_tokens), epoch)
    assert sorted(chain.from_iterable(found)) == list(range(len(lengths)))
    for rows in found:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= batch_tokens


@settings(max_examples=25, deadline=None)
@given(lengths_strategy, st.integers(1, 30), st.integers(1, 64))
def test_a_stopped_order_continues_as_if_it_had_not_stopped(lengths, n_before, batch_tokens):
    def taken(reader, position, count):
        rows = []
        for _ in range(count):
            batch, position = reader.take(position)
            rows.append([row["example"] for row in batch])
        return rows, position

    whole, _ = taken(batches(lengths, batch_tokens), Position(), n_before + 10)
    first, position = taken(batches(lengths, batch_tokens), Position(), n_before)
    second, _ = taken(batches(lengths, batch_tokens), position, 10)
    assert first + second == whole


def test_a_feature_longer_than_the_budget_is_a_batch_of_its_own():
    assert [1] in epoch_of(batches([10, 500, 12], batch_tokens=64))


def test_rows_come_with_all_their_columns():
    rows, _ = batches([3, 5]).take(Position())
    assert sorted((row["example"], row["n_tokens"], row["input_ids"]) for row in rows) == [
        (0, 3, [7] * 3),
        (1, 5, [7] * 5),
    ]


def test_epochs_seeds_and_tasks_have_their_own_orders():
    lengths = [random.Random(1).randint(1, 40) for _ in range(100)]

    def order(seed, epoch):
        return tuple(chain.from_iterable(epoch_of(batches(lengths, seed=seed), epoch)))

    assert order(0, 0) == order(0, 0)
    assert len({order(seed, epoch) for seed in range(2) for epoch in range(2)}) == 4


def test_short_and_long_batches_alternate():
    longest = [max(lengths) for lengths in epoch_of(batches(list(range(1, 65)) * 20), 0, "n_tokens")]
    rises = sum(after > before for before, after in pairwise(longest))
    assert 0.3 < rises / len(longest) < 0.7


def test_padding_is_a_few_percent_on_mixed_lengths():
    generator = random.Random(3)
    lengths = [min(128, 5 + int(generator.expovariate(1 / 30))) for _ in range(8000)]
    found = epoch_of(batches(lengths, batch_tokens=2048, n_rows=1000), 0, "n_tokens")
    padded = sum(len(batch) * max(batch) for batch in found)
    assert 1 - sum(lengths) / padded < 0.05


@pytest.mark.parametrize("shards", [[], [features([])], [features([]), features([])]])
def test_nothing_to_train_on_is_an_error(shards):
    reader = TaskBatches(shards, batch_tokens=64, seed=0, task="tiny")
    for ask in (lambda: reader.take(Position()), lambda: reader.open(Position(), 10)):
        with pytest.raises(EmptySplitError, match="tiny"):
            ask()


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
    shards = [Dataset.from_dict({"n_tokens": part}) for part in np.array_split(lengths, 58)]
    reader = TaskBatches(shards, batch_tokens=batch_tokens, seed=seed, task="tiny")
    padded = sum(len(batch) * max(batch) for batch in epoch_of(reader, seed, "n_tokens"))
    has_whole_pools = 100 * batch_tokens < lengths.sum()  # the rest of one fills batches less well
    assert 1 - lengths.sum() / padded < (0.05 if has_whole_pools else 0.12)


def test_an_order_of_several_pools_is_the_same_from_any_place_in_it():
    lengths = [random.Random(4).randint(1, 60) for _ in range(20_000)]
    reader, again = batches(lengths, 128, n_rows=100), batches(lengths, 128, n_rows=100)
    position = Position()
    for _ in range(340):
        _, position = reader.take(position)
    assert again.take(Position(0, 340))[0] == reader.take(position)[0]


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
            "example": list(range(len(rows))),
        }
    )
    found = epoch_of(TaskBatches([made], batch_tokens=batch_tokens, seed=0, task="choices"))
    assert sorted(chain.from_iterable(found)) == list(range(len(rows)))
    for batch in found:
        longest = max(n for row in batch for n in rows[row])
        assert len(batch) == 1 or 3 * len(batch) * longest <= batch_tokens


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any), st.integers(0, 3))
def test_empty_shards_change_nothing_but_what_is_read(sizes, epoch):
    firsts = np.cumsum([0, *sizes]).tolist()
    shards = [features([5] * size, first) for size, first in zip(sizes, firsts, strict=False)]
    found = epoch_of(TaskBatches(shards, batch_tokens=10, seed=1, task="tiny"), epoch)
    assert sorted(chain.from_iterable(found)) == list(range(sum(sizes)))


def test_a_stage_of_few_tokens_reads_few_shards_and_opening_them_first_changes_no_batch():
    shards = Counted(in_shards([4] * 40_000, n_rows=1000))
    reader = TaskBatches(shards, batch_tokens=64, seed=0, task="tiny")
    assert shards.asked == set()
    reader.open(Position(), 1_000)
    opened = set(shards.asked)
    assert len(opened) == 2  # 100 batches of 64 tokens
    position, found = Position(), []
    for _ in range(100):
        rows, position = reader.take(position)
        found.append(rows)
    assert shards.asked == opened
    reader.open(position, 20_000)
    assert len(shards.asked) == 8
    other = TaskBatches(in_shards([4] * 40_000, 1000), batch_tokens=64, seed=0, task="tiny")
    assert found == [other.take(Position(0, index))[0] for index in range(100)]


def test_shards_before_a_position_are_those_whose_rows_were_taken():
    shards = in_shards([random.Random(9).randint(1, 60) for _ in range(2_000)], n_rows=50)
    reader = TaskBatches(shards, batch_tokens=16, seed=3, task="tiny")
    position, taken = Position(), set()
    assert reader.shards_before(position) == []
    for _ in range(300):
        rows, position = reader.take(position)
        taken.update(row["example"] // 50 for row in rows)
    before = {shard["example"][0] // 50 for shard in reader.shards_before(position)}
    assert taken <= before < set(range(40))
    assert len(reader.shards_before(Position(1))) == 40


def test_the_longest_row_is_of_the_shards_that_were_read():
    lengths = [3] * 90 + [400] + [5] * 9
    reader = TaskBatches(in_shards(lengths, n_rows=10), batch_tokens=64, seed=0, task="tiny")
    reader.open(Position(), 1_000_000)
    assert (reader.longest["n_tokens"], reader.most_tokens) == (400, 400)
    short = TaskBatches(in_shards([3] * 50, n_rows=10), batch_tokens=64, seed=0, task="tiny")
    assert (short.longest["n_tokens"], short.most_tokens) == (3, 64)
