"""Ranking and mining through a worker: trained, stopped, short of memory, scored."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_model import WORDS
from worker_bench import Bench, tiny_mirror

import trainers.evaluation
from trainers.evaluate import evaluate
from trainers.families.ranking import RankingFamily
from trainers.order import Outcome
from trainers.stage import stage_name
from trainers.tasks.catalog import TASKS

N_QUESTIONS = 24


def write(folder, name, columns):
    path = Path(folder) / "hub" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def retrieval_mirror(folder):
    """The tiny mirror with questions whose answer repeats a word of theirs, and pairs to mine."""
    generator = random.Random(5)
    ids = [f"q{number}" for number in range(N_QUESTIONS)]
    words = [" ".join(generator.choices(WORDS, k=3)) for _ in ids]
    contexts = [f"The {word} runs." for word in words]
    answers = [{"text": [word], "answer_start": [4]} for word in words]
    questions = [f"what {word}" for word in words]
    squad = {"id": ids, "question": questions, "context": contexts, "answers": answers}
    write(folder, "rajpurkar/squad/plain_text/train", squad)
    asked = {
        "id": ids,
        "paragraph_id": ids,
        "question": questions,
        "candidates": [[context] for context in contexts],
        "correct": [[0] for _ in ids],
        "context": contexts,
    }
    for language in TASKS["lareqa"].score_languages:
        write(folder, f"local/xquad-r/{language}/validation", asked)
    sides = {"source": ("zh", "en"), "target": ("en", "zh")}
    for side, (own, other) in sides.items():
        columns = {
            "id": [f"{own}-{number}" for number in range(N_QUESTIONS)],
            "sentence": questions,
            "pair_id": [f"{other}-{number}" if number % 3 else "" for number in range(N_QUESTIONS)],
        }
        write(folder, f"local/bucc2018/zh-en/validation_{side}", columns)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval-mirror")
    retrieval_mirror(folder)
    return tiny_mirror(folder)


@pytest.fixture
def bench(place, tmp_path):
    return Bench(place, tmp_path)


def test_a_dual_encoder_is_trained_and_ranks_better_for_it(bench):
    short, long = (bench.target(tokens=tokens, name="lareqa") for tokens in (50, 12_000))
    values = []
    for target in (short, long):
        assert bench.run(target).outcome is Outcome.DONE
        measurement = bench.run(bench.evaluation(target, "lareqa", ("tr", "vi")))
        assert measurement.outcome is Outcome.DONE
        values.append(measurement.scores[0].value)
        assert measurement.scores[0].value == measurement.scores[1].value  # the same questions
    assert values[1] > values[0] + 10


def test_pairs_are_mined_with_the_model_as_it_is(bench):
    (score,) = bench.run(bench.evaluation(None, "bucc", ("zh",))).scores
    assert (score.task, score.metric) == ("bucc", "mining_f1")
    assert score.value > 50


def test_a_dual_encoder_without_memory_is_trained_in_halves(bench, monkeypatch):
    loss, sizes = RankingFamily.loss, []

    def short(family, encoder, head, batch):
        sizes.append(len(batch["input_ids"]))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("2 GiB wanted")
        return loss(family, encoder, head, batch)

    monkeypatch.setattr(RankingFamily, "loss", short)
    measurement = bench.run(bench.target(tokens=200, name="lareqa"))
    assert measurement.outcome is Outcome.DONE
    assert measurement.facts["oom_splits"] == 1
    assert sizes[1] + sizes[2] == sizes[0]
    assert all(size % 2 == 0 for size in sizes)


@pytest.mark.parametrize(("task", "languages"), [("lareqa", ("tr", "vi")), ("bucc", ("zh",))])
def test_a_cell_is_the_same_after_a_stop_and_with_half_the_memory(bench, monkeypatch, task, languages):
    target = bench.target(tokens=6_000, name="lareqa")
    bench.run(target)
    stage = bench.evaluation(target, task, languages)
    whole = bench.run(stage).scores
    calls = []

    def short(part, *given, batch_tokens, until, **named):
        calls.append(part.languages)
        if batch_tokens > 2_048:
            raise torch.OutOfMemoryError("2 GiB wanted")
        stopped = len(calls) == 1 + len(languages)
        return evaluate(part, *given, batch_tokens=128, until=lambda: stopped, **named)

    monkeypatch.setattr(trainers.evaluation, "evaluate", short)
    again = Bench(bench.place, bench.folder / "again")
    again.run(target)
    first = again.run(stage)
    assert (first.outcome, first.scores) == (Outcome.TRUNCATED, ())
    assert first.facts["oom_splits"] == 1
    assert again.run(stage).scores == whole
    assert again.store.has(stage_name(stage))
