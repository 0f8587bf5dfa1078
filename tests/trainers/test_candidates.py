"""The candidates of a ranking are embedded once for all cells of a stage, and no score knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny_model import ENTRY, PAD_ID, as_rows, tiny_encoder, tiny_task, tiny_tokenizer

import trainers.families.vectors
from trainers.candidates import Candidates
from trainers.evaluate import DeadlinePassed, score_cell
from trainers.families import family
from trainers.families.vectors import all_vectors, reading, sentence_vectors
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.source import UNPINNED
from trainers.tasks.spec import FamilyName, HubData, Split

RANKING = family(FamilyName.RANKING)
POOL = Split(HubData("nobody/nothing", UNPINNED), "train", ("en",))
TASK = replace(tiny_task(FamilyName.RANKING), pool=(POOL,))
TEXTS = ["the cat sleeps", "a dog runs " * 20, "Bob sings", "red", "Ann runs in Oslo", "who is Bob"]
N_CANDIDATES = len(TEXTS)
QUESTIONS = {"sw": ["who sleeps", "what runs", "Bob"], "yo": ["red", "Oslo " * 30]}


def cell(language, texts=tuple(TEXTS), name="en"):
    """Questions of one language, then the candidates; question i is answered by candidate i."""
    questions = QUESTIONS[language]
    n_asked, n_all = len(questions), len(questions) + len(texts)
    return Dataset.from_dict(
        {
            "id": [f"{language}/{i}" for i in range(n_asked)]
            + [f"{name}/{i}" for i in range(len(texts))],
            "text": [*questions, *texts],
            "context": [""] * n_all,
            "side": [QUERY] * n_asked + [DOCUMENT] * len(texts),
            "keys": [[str(i)] for i in range(n_asked)] + [[str(i)] for i in range(len(texts))],
            "part": [1] * n_all,
            "scored": [True] * n_asked + [False] * len(texts),
        }
    )


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture
def embedded(monkeypatch):
    """How many texts were embedded, in each batch."""
    sizes = []

    def counted(encoder, batch, *read):
        sizes.append(len(batch["input_ids"]))
        return sentence_vectors(encoder, batch, *read)

    monkeypatch.setattr(trainers.families.vectors, "sentence_vectors", counted)
    return sizes


def scored(examples, encoder, candidates, *, batch_tokens=128, until=lambda: False):
    encoded = RANKING.encode(examples[:], TASK, tiny_tokenizer(), training=False)
    return score_cell(
        examples,
        Dataset.from_dict(encoded),
        TASK,
        encoder,
        torch.nn.Identity(),
        pad_id=PAD_ID,
        entry=ENTRY,
        language="sw",
        batch_tokens=batch_tokens,
        device=torch.device("cpu"),
        until=until,
        candidates=candidates,
    )["average_precision"].tolist()


def test_candidates_are_embedded_for_the_first_cell_alone(encoder, embedded):
    candidates = Candidates()
    for language in ("sw", "yo", "sw"):
        scored(cell(language), encoder, candidates)
    assert sum(embedded) == N_CANDIDATES + 3 + 2 + 3


@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_a_cell_is_scored_alike_whichever_came_first_and_as_when_all_is_embedded(encoder, batch_tokens):
    candidates = Candidates()
    for language in ("sw", "yo"):
        examples = cell(language)
        rows = as_rows(RANKING.encode(examples[:], TASK, tiny_tokenizer(), training=False))
        with torch.inference_mode():
            vectors_ND = all_vectors(
                encoder,
                iter([(RANKING.collate(rows, PAD_ID), rows)]),
                len(rows),
                read=reading(TASK, ENTRY),
            )
            whole = RANKING.judge(vectors_ND, examples[:])["average_precision"].tolist()
        alone = scored(examples, encoder, Candidates(), batch_tokens=batch_tokens)
        assert scored(examples, encoder, candidates, batch_tokens=batch_tokens) == alone == whole
        assert 0 < np.mean(whole) < 1


def test_vectors_from_the_first_cell_are_those_of_a_cell_alone_to_the_bit(encoder, monkeypatch):
    seen = []

    def noted(self, vectors_ND, examples):
        seen.append(vectors_ND.clone())
        return {"average_precision": np.zeros(0)}

    monkeypatch.setattr(type(RANKING), "judge", noted)
    candidates = Candidates()
    for language in ("sw", "yo"):
        scored(cell(language), encoder, candidates)
    scored(cell("yo"), encoder, Candidates())
    assert torch.equal(seen[1], seen[2])


def test_other_candidates_are_embedded_anew(encoder, embedded):
    candidates = Candidates()
    scored(cell("sw"), encoder, candidates)
    scored(cell("sw", name="fr"), encoder, candidates)
    assert sum(embedded) == 2 * (N_CANDIDATES + 3)


def test_vectors_that_take_too_much_memory_are_not_kept(encoder, embedded):
    n_bytes = 4 * encoder.config.hidden_size * N_CANDIDATES
    for most_bytes, n_times in ((n_bytes, 1), (n_bytes - 1, 2)):
        embedded.clear()
        candidates = Candidates(most_bytes)
        first = scored(cell("sw"), encoder, candidates)
        assert scored(cell("sw"), encoder, candidates) == first
        assert sum(embedded) == n_times * N_CANDIDATES + 2 * 3


def test_candidates_that_were_embedded_in_part_are_not_kept(encoder, embedded):
    candidates, asked = Candidates(), []

    def third_time():
        asked.append(True)
        return len(asked) == 3

    with pytest.raises(DeadlinePassed):
        scored(cell("sw"), encoder, candidates, batch_tokens=1, until=third_time)
    assert embedded == [1, 1]
    embedded.clear()
    assert scored(cell("sw"), encoder, candidates) == scored(cell("sw"), encoder, Candidates())
    assert sum(embedded) == 2 * (N_CANDIDATES + 3)
