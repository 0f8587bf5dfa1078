import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import CELL, PAD_ID, WIDTH, tiny_encoder, tiny_task, tiny_tokenizer
from transformers import AutoModel, AutoTokenizer

from trainers.candidates import Candidates
from trainers.cells import Cells
from trainers.evaluate import (
    DeadlinePassed,
    batch_rows,
    cell_score,
    evaluate,
    records_table,
    score_cell,
)
from trainers.families import family
from trainers.metrics import STATISTICS, value
from trainers.models import MODELS
from trainers.stage import EvaluateStage, Half, ModelRef
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.spec import FamilyName
from trainers.tasks.toy.catalog import TOY_TASKS
from trainers.tasks.toy.source import ToySource
from trainers.tasks.toy.tokenizer import build_tokenizer

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
    FamilyName.RANKING: {
        "id": ["x-0", "x-1", "x-2", "en/0", "tr/0", "en/1"],
        "text": ["who sleeps", "a dog runs " * 20, "Bob", "the cat sleeps", "red", "Ann sings"],
        "context": ["", "", "", "the cat sleeps where the dog is", "", "Ann sings " * 20],
        "side": [QUERY, QUERY, QUERY, DOCUMENT, DOCUMENT, DOCUMENT],
        "keys": [["a"], ["b"], ["c"], ["a"], ["b", "a"], ["c"]],
        "part": [1] * 6,
        "scored": [True, True, True, False, False, False],
    },
    FamilyName.MINING: {
        "id": ["x-0", "x-1", "x-2", "en-0", "en-1", "en-2"],
        "text": ["who sleeps", "a dog runs " * 20, "Bob", "who sleeps", "a dog runs " * 20, "Bob"],
        "context": [""] * 6,
        "side": [QUERY, QUERY, QUERY, DOCUMENT, DOCUMENT, DOCUMENT],
        "keys": [["a"], ["b"], [], ["a"], ["b"], []],
        "part": [1, 2, 2, 1, 2, 2],
        "scored": [True, True, True, False, False, False],
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
        **CELL,
        batch_tokens=batch_tokens,
        device=torch.device("cpu"),
        until=until,
        candidates=Candidates(),
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


def evaluated(task, languages, encoder, tokenizer, source, model, cache_dir, until=never):
    """What ``evaluate`` gives for eight examples a cell."""
    stage = EvaluateStage(
        model=ModelRef(model, ""),
        parent=None,
        task=task.name,
        languages=languages,
        half=Half.REPORT,
        data=(),
        max_examples=8,
    )
    return evaluate(
        stage,
        task,
        encoder,
        family(task.family).make_head(encoder.config.hidden_size, task),
        tokenizer=tokenizer,
        entry=MODELS[model],
        cells=Cells(source),
        cache_dir=cache_dir,
        batch_tokens=2048,
        device=torch.device("cpu"),
        until=until,
        candidates=Candidates(),
    )


@pytest.mark.parametrize("task", TOY_TASKS, ids=lambda task: task.name)
def test_every_toy_task_is_scored_in_its_languages(task, tmp_path):
    tokenizer = build_tokenizer()
    encoder = tiny_encoder(n_vocabulary=len(tokenizer))
    languages = task.score_languages[:2]
    scores, records, _ = evaluated(
        task, languages, encoder, tokenizer, ToySource(seed=1), "toy-tiny", tmp_path
    )
    assert tuple(score.language for score in scores) == languages
    assert records.column_names == ["language", "example", *STATISTICS[task.metric]]
    assert records.num_rows == 8 * len(languages)
    assert len({(row["language"], row["example"]) for row in records.to_pylist()}) == len(records)
    assert all(0 <= score.value <= 100 and score.n_examples == 8 for score in scores)


def test_a_lease_that_is_over_scores_nothing(tmp_path):
    tokenizer = build_tokenizer()
    encoder = tiny_encoder(n_vocabulary=len(tokenizer))
    with pytest.raises(DeadlinePassed):
        evaluated(
            TOY_TASKS[0],
            TOY_TASKS[0].score_languages[:1],
            encoder,
            tokenizer,
            ToySource(seed=1),
            "toy-tiny",
            tmp_path,
            until=lambda: True,
        )


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("mnli", "en"),
        ("hellaswag", "en"),
        ("commonsenseqa", "en"),
        ("cosmosqa", "en"),
        ("squad_v2", "en"),
        ("xquad", "th"),
        ("udpos", "te"),
        ("panx", "my"),
        ("xnli", "ur"),
        ("tatoeba", "sw"),
    ],
)
def test_real_tasks_are_scored_with_a_real_encoder(mirror, name, language, tmp_path):
    folder = f"{mirror}/models/mini-xlmr"
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    task = TASKS[name]
    (score,), records, _ = evaluated(
        task, (language,), encoder, tokenizer, open_source("mirror", mirror), "mini-xlmr", tmp_path
    )
    assert score.n_examples == records.num_rows == 8
    assert 0 <= score.value <= 100
    if name == "tatoeba":
        assert score.value > 25


@settings(deadline=None)
@given(st.lists(st.integers(1, 600), max_size=200), st.integers(1, 2000))
def test_batches_hold_every_row_once_within_the_budget(n_tokens, batch_tokens):
    batches = list(batch_rows(n_tokens, batch_tokens))
    assert sorted(row for batch in batches for row in batch) == list(range(len(n_tokens)))
    for batch in batches:
        padded = len(batch) * max(n_tokens[row] for row in batch)
        assert padded <= batch_tokens or len(batch) == 1
    lengths = [n_tokens[row] for batch in batches for row in batch]
    assert lengths == sorted(lengths, reverse=True)
