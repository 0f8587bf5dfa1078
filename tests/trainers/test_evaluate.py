import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import PAD_ID, WIDTH, tiny_encoder, tiny_task, tiny_tokenizer

from trainers.evaluate import DeadlinePassed, batch_rows, cell_score, records_table, score_cell
from trainers.families import family
from trainers.metrics import STATISTICS, value
from trainers.tasks.spec import FamilyName

LABELS = ("O", "B-PER")
CELLS = {
    FamilyName.PAIR: {
        "first": ["the cat", "a dog " * 20, "Bob"],
        "second": ["sleeps", "runs", ""],
        "label": [0, 1, 1],
    },
    FamilyName.CHOICE: {
        "context": ["the cat", "a dog " * 20, ""],
        "question": ["", "who", "what"],
        "choices": [["red", "blue"], ["is", "the"], ["Bob", "Ann sings"]],
        "label": [0, 1, 1],
    },
    FamilyName.SPANS: {
        "context": ["the cat sleeps", "a dog runs " * 20, "Bob"],
        "question": ["who", "what", "who"],
        "answers": [["the cat"], ["dog", "a dog"], []],
        "starts": [[0], [2, 0], []],
    },
    FamilyName.TOKENS: {
        "tokens": [["Bob", "sleeps"], ["the", "cat"] * 50, ["Ann"]],
        "tags": [[1, 0], [0, 0] * 50, [1]],
    },
    FamilyName.RETRIEVAL: {
        "query": ["the cat", "Bob runs " * 20, "Oslo"],
        "document": ["the cat", "Bob runs " * 20, "Oslo"],
    },
    FamilyName.MASKED: {"text": ["the cat sleeps", "a dog runs " * 20, "Bob"]},
}


def never():
    return False


def cell_of(name, until=never, batch_tokens=128):
    """Examples, task and records of one small cell."""
    task = tiny_task(name, LABELS)
    examples = Dataset.from_dict({"id": ["x-0", "x-1", "x-2"], **CELLS[name]})
    encoded = family(name).encode(examples[:], task, tiny_tokenizer(), training=False)
    encoder = tiny_encoder()
    records = score_cell(
        examples,
        Dataset.from_dict(encoded),
        task,
        encoder,
        family(name).make_head(WIDTH, task),
        pad_id=PAD_ID,
        layer=1,
        batch_tokens=batch_tokens,
        device=torch.device("cpu"),
        until=until,
    )
    assert not encoder.training
    return examples, task, records


@pytest.mark.parametrize("name", FamilyName)
def test_every_family_gives_its_metrics_statistics_for_each_example(name):
    _, task, records = cell_of(name)
    assert tuple(records) == STATISTICS[task.metric]
    for column in records.values():
        assert column.shape == (3,)
        assert column.dtype == np.float64
        assert np.isfinite(column).all()
    score = cell_score(task, "sw", records)
    assert 0 <= score.value <= 100
    assert (score.task, score.language, score.metric) == (task.name, "sw", str(task.metric))
    assert score.n_examples == 3


@pytest.mark.parametrize("name", sorted(set(FamilyName) - {FamilyName.MASKED}))
def test_batching_does_not_change_the_records(name):
    _, _, one_by_one = cell_of(name, batch_tokens=1)
    _, _, together = cell_of(name, batch_tokens=100_000)
    for statistic in one_by_one:
        assert one_by_one[statistic].tolist() == together[statistic].tolist()


def test_retrieval_of_equal_sentences_is_perfect():
    _, task, records = cell_of(FamilyName.RETRIEVAL)
    assert cell_score(task, "sw", records).value == 100


def test_the_deadline_is_asked_before_every_batch():
    asked = []

    def third_time():
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(DeadlinePassed):
        cell_of(FamilyName.TOKENS, until=third_time, batch_tokens=1)
    assert len(asked) == 3


def test_the_score_can_be_had_again_from_the_table():
    examples, task, records = cell_of(FamilyName.SPANS)
    table = records_table(task, "sw", examples["id"][:], records)
    assert table.column_names == ["language", "example", "f1", "em"]
    assert table["language"].to_pylist() == ["sw"] * 3
    assert table["example"].to_pylist() == ["x-0", "x-1", "x-2"]
    sums = {name: sum(table[name].to_pylist()) for name in ("f1", "em")}
    again = value(task.metric, sums, table.num_rows)
    assert again == pytest.approx(cell_score(task, "sw", records).value)


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 2000))
def test_batches_hold_every_row_once_within_the_budget(n_tokens, batch_tokens):
    batches = list(batch_rows(n_tokens, batch_tokens))
    assert sorted(row for batch in batches for row in batch) == list(range(len(n_tokens)))
    for batch in batches:
        padded = len(batch) * max(n_tokens[row] for row in batch)
        assert padded <= batch_tokens or len(batch) == 1
    lengths = [n_tokens[row] for batch in batches for row in batch]
    assert lengths == sorted(lengths, reverse=True)
