from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_model import (
    CELL,
    PAD_ID,
    WIDTH,
    as_rows,
    batched,
    scored,
    tiny_encoder,
    tiny_task,
    tiny_tokenizer,
)

from trainers.errors import TaskError
from trainers.families import family
from trainers.families.vectors import sentence_vectors
from trainers.tasks.spec import FamilyName

RETRIEVAL = family(FamilyName.RETRIEVAL)
TASK = tiny_task(FamilyName.RETRIEVAL)
SENTENCES = ["the cat sleeps", "Bob runs", "a red bird sings where the dog is", "Oslo"]


class Lookup(torch.nn.Module):
    """An encoder whose hidden states are given by the first word: layer 0 is all zero."""

    def __init__(self, vector_of):
        super().__init__()
        self.vector_of = vector_of

    def forward(self, input_ids, output_hidden_states, attention_mask=None):
        assert output_hidden_states
        first = [self.vector_of[ids[1].item()] for ids in input_ids]
        hidden = torch.tensor(first)[:, None].expand(-1, input_ids.shape[1], -1)
        if attention_mask is not None:
            hidden = hidden.masked_fill(~attention_mask[..., None].bool(), 1e6)
        return SimpleNamespace(hidden_states=(torch.zeros_like(hidden), hidden))


def test_an_example_gives_a_query_and_a_document():
    examples = {"id": ["0"], "query": ["the cat"], "document": ["Bob"]}
    features = RETRIEVAL.encode(examples, TASK, tiny_tokenizer(), training=False)
    assert features["input_ids"] == [
        tiny_tokenizer()("the cat")["input_ids"],
        tiny_tokenizer()("Bob")["input_ids"],
    ]
    assert (features["example"], features["side"]) == ([0, 0], [0, 1])


def test_retrieval_is_never_trained():
    examples = {"id": ["0"], "query": ["the cat"], "document": ["Bob"]}
    with pytest.raises(TaskError, match="tiny-retrieval is retrieval"):
        RETRIEVAL.encode(examples, TASK, tiny_tokenizer(), training=True)
    with pytest.raises(TaskError, match="Take it out of the mix"):
        RETRIEVAL.loss(tiny_encoder(), RETRIEVAL.make_head(WIDTH, TASK), {})


def test_a_text_of_200_000_characters_fits():
    examples = {"id": ["0"], "query": ["cat " * 50_000], "document": ["x" * 200_000]}
    features = RETRIEVAL.encode(examples, TASK, tiny_tokenizer(), training=False)
    assert features["n_tokens"] == [64, 64]


def test_each_sentence_finds_itself():
    examples = {"id": list("0123"), "query": SENTENCES, "document": SENTENCES}
    records = scored(RETRIEVAL, examples, TASK, tiny_encoder(), torch.nn.Identity(), size=3)
    assert records["correct"].tolist() == [1, 1, 1, 1]


def test_documents_in_another_order_are_not_found_at_their_query():
    examples = {"id": list("0123"), "query": SENTENCES, "document": SENTENCES[::-1]}
    records = scored(RETRIEVAL, examples, TASK, tiny_encoder(), torch.nn.Identity())
    assert records["correct"].tolist() == [0, 0, 0, 0]


def test_the_nearest_is_by_angle_not_by_length():
    vectors = {"cat": [1.0, 0.1], "dog": [0.1, 1.0], "Bob": [9.0, 9.5], "Ann": [0.1, 0.0]}
    ids = {word: tiny_tokenizer()(word)["input_ids"][1] for word in vectors}
    encoder = Lookup({ids[word]: vector for word, vector in vectors.items()})
    examples = {"id": ["0", "1"], "query": ["cat", "dog"], "document": ["Ann", "Bob"]}
    rows = as_rows(RETRIEVAL.encode(examples, TASK, tiny_tokenizer(), training=False))
    records = RETRIEVAL.score(
        encoder,
        torch.nn.Identity(),
        batched(RETRIEVAL, rows),
        examples,
        TASK,
        **CELL,
    )
    assert records["correct"].tolist() == [1, 1]


def test_padding_does_not_move_a_sentence_vector():
    encoder = tiny_encoder()
    examples = {"id": list("0123"), "query": SENTENCES, "document": SENTENCES}
    rows = as_rows(RETRIEVAL.encode(examples, TASK, tiny_tokenizer(), training=False))
    with torch.inference_mode():
        together = sentence_vectors(encoder, RETRIEVAL.collate(rows, PAD_ID), 1)
        alone = [sentence_vectors(encoder, RETRIEVAL.collate([row], PAD_ID), 1)[0] for row in rows]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)
    assert torch.allclose(together.norm(dim=-1), torch.ones(len(rows)))


def test_the_vector_is_the_mean_of_the_layer_asked_for():
    encoder = tiny_encoder()
    rows = as_rows(
        RETRIEVAL.encode(
            {"id": ["0"], "query": ["the cat"], "document": ["Bob"]},
            TASK,
            tiny_tokenizer(),
            training=False,
        )
    )[:1]
    batch = RETRIEVAL.collate(rows, PAD_ID)
    with torch.inference_mode():
        states = encoder(**batch, output_hidden_states=True).hidden_states
        for layer in (0, 1, 2):
            mean = states[layer][0].mean(0)
            expected = mean / mean.norm()
            assert torch.allclose(sentence_vectors(encoder, batch, layer)[0], expected, atol=1e-5)


def test_many_queries_are_answered_in_pieces(monkeypatch):
    monkeypatch.setattr("trainers.families.vectors._QUERIES_AT_ONCE", 3)
    examples = {"id": list("0123"), "query": SENTENCES, "document": SENTENCES}
    records = scored(RETRIEVAL, examples, TASK, tiny_encoder(), torch.nn.Identity())
    assert records["correct"].tolist() == [1, 1, 1, 1]


def test_no_pairs_give_no_records():
    examples = {"id": [], "query": [], "document": []}
    records = RETRIEVAL.score(
        tiny_encoder(),
        torch.nn.Identity(),
        iter(()),
        examples,
        TASK,
        **CELL,
    )
    assert np.array_equal(records["correct"], np.zeros(0))
