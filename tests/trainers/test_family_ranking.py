from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import (
    CELL,
    ENTRY,
    PAD_ID,
    WIDTH,
    as_rows,
    batched,
    losses_while_training,
    scored,
    tiny_encoder,
    tiny_task,
    tiny_tokenizer,
)

from trainers.families import family
from trainers.families.ranking import average_precision
from trainers.families.sequences import ENCODER_INPUTS, attended
from trainers.families.vectors import nearest, sentence_vectors
from trainers.features import _SLICE_ROWS
from trainers.memory import parts as parts_of
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.spec import FamilyName, HubData, Split

RANKING = family(FamilyName.RANKING)
UNTRAINED = tiny_task(FamilyName.RANKING)
TRAIN = Split(HubData("local/pairs", ""), "train", ("en",))
TRAINED = replace(UNTRAINED, train=(TRAIN,))


def rows(*texts):
    """Canonical columns of ``(side, text, keys)`` or ``(side, text, keys, context)``; queries scored."""
    sides, words, keys, *contexts = zip(*texts, strict=True)
    return {
        "id": [str(number) for number in range(len(texts))],
        "text": list(words),
        "context": list(*contexts) or [""] * len(texts),
        "side": list(sides),
        "keys": [list(row) for row in keys],
        "part": [1] * len(texts),
        "scored": [side == QUERY for side in sides],
    }


PAIRS = rows(
    (QUERY, "who sleeps", "a", ""),
    (DOCUMENT, "the cat sleeps", "a", "Oslo is red the cat sleeps"),
    (QUERY, "what runs", "b", ""),
    (DOCUMENT, "the dog runs", "b", "the dog runs Ann sings"),
    (QUERY, "where is Bob", "c", ""),
    (DOCUMENT, "Bob is Rome", "c", "Bob is Rome"),
    (QUERY, "who sings", "d", ""),
    (DOCUMENT, "a blue bird sings", "d", "a blue bird sings"),
)


def encoded(examples, task=TRAINED, *, training=True):
    return as_rows(RANKING.encode(examples, task, tiny_tokenizer(), training=training))


def naive_average_precision(relevance, n_right, n_ranked=20):
    """By the definition, over the ranked list as zeros and ones."""
    total = 0.0
    for rank in range(1, min(n_ranked, len(relevance)) + 1):
        if relevance[rank - 1]:
            total += sum(relevance[:rank]) / rank
    return total / min(n_ranked, n_right) if n_right else 0.0


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 30))
def test_average_precision_is_the_definitions(relevance, n_unranked):
    ranked = list(range(100, 100 + len(relevance)))
    right = {place for place, hit in zip(ranked, relevance, strict=True) if hit}
    right |= set(range(1000, 1000 + n_unranked))
    expected = naive_average_precision([int(hit) for hit in relevance], len(right))
    assert average_precision(ranked, right) == pytest.approx(expected)
    assert 0 <= average_precision(ranked, right) <= 1


def test_average_precision_of_known_lists():
    assert average_precision([1, 2, 3], {1, 2, 3}) == 1
    assert average_precision([9, 1, 8, 2], {1, 2}) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(range(100), {20}) == 0
    assert average_precision(range(100), set(range(50))) == 1
    assert average_precision([1], set()) == 0


@settings(max_examples=30, deadline=None)
@given(
    n_queries=st.integers(1, 9),
    n_documents=st.integers(1, 60),
    n_nearest=st.integers(1, 25),
    seed=st.integers(0, 2**31),
)
def test_the_nearest_are_those_of_a_full_sort(n_queries, n_documents, n_nearest, seed):
    generator = np.random.default_rng(seed)
    queries, documents = (generator.normal(size=(n, 5)) for n in (n_queries, n_documents))
    cosines, places = nearest(torch.from_numpy(queries), torch.from_numpy(documents), n_nearest)
    expected = np.argsort(-(queries @ documents.T), axis=1)[:, :n_nearest]
    assert places.tolist() == expected.tolist()
    assert np.allclose(cosines, np.take_along_axis(queries @ documents.T, expected, axis=1))


@pytest.mark.parametrize(("n_queries", "n_documents"), [(1, 1), (2, 7), (3, 19), (100, 30)])
def test_the_nearest_do_not_depend_on_the_pieces(monkeypatch, n_queries, n_documents):
    generator = torch.Generator().manual_seed(0)
    queries, documents = (torch.randn(n, 6, generator=generator) for n in (40, 55))
    whole = nearest(queries, documents, 20)
    sizes = []
    matmul = torch.Tensor.__matmul__

    def seen(left, right):
        sizes.append(left.shape[0] * right.shape[1])
        return matmul(left, right)

    monkeypatch.setattr("trainers.families.vectors._QUERIES_AT_ONCE", n_queries)
    monkeypatch.setattr("trainers.families.vectors._DOCUMENTS_AT_ONCE", n_documents)
    monkeypatch.setattr(torch.Tensor, "__matmul__", seen)
    cosines, places = nearest(queries, documents, 20)
    assert torch.equal(places, whole[1])
    assert torch.allclose(cosines, whole[0])
    assert max(sizes) <= n_queries * n_documents


def test_similarities_keep_their_precision_where_the_encoder_loses_it():
    generator = torch.Generator().manual_seed(0)
    queries, documents = (torch.randn(n, 64, generator=generator) for n in (3, 50))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cosines, _ = nearest(queries, documents, 50)
    assert torch.equal(cosines, (queries @ documents.T).sort(dim=-1, descending=True).values)


def test_a_pair_for_training_holds_query_and_document_with_its_context():
    (row,) = encoded({name: column[:2] for name, column in PAIRS.items()})
    tokenizer = tiny_tokenizer()
    query = tokenizer("who sleeps")["input_ids"]
    document = tokenizer("the cat sleeps", "Oslo is red the cat sleeps")["input_ids"]
    assert row["input_ids"] == [query, document]
    assert (row["example"], row["n_tokens"]) == (0, len(query) + len(document))
    batch = RANKING.collate([row], PAD_ID)
    assert batch["input_ids"].shape == (2, len(document))
    assert batch["attention_mask"].sum(1).tolist() == [len(query), len(document)]


def test_a_query_that_no_document_of_its_follows_teaches_nothing():
    examples = rows(
        (QUERY, "who", "a"), (QUERY, "what", "b"), (DOCUMENT, "Bob", "c"), (DOCUMENT, "Ann", "b")
    )
    assert encoded(examples) == []


def test_slices_never_part_a_query_from_its_document():
    assert _SLICE_ROWS % 2 == 0


def test_without_training_each_text_is_a_feature():
    features = encoded(PAIRS, training=False)
    assert [row["example"] for row in features] == list(range(8))
    assert (
        features[1]["input_ids"]
        == (tiny_tokenizer()("the cat sleeps", "Oslo is red the cat sleeps")["input_ids"])
    )


@pytest.mark.parametrize("training", [True, False])
def test_texts_of_200_000_characters_fit(training):
    task = replace(TRAINED, max_length=200)
    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length, before = 200, tokenizer.model_max_length
    try:
        examples = rows(
            (QUERY, "cat " * 50_000, "a", ""), (DOCUMENT, "x" * 200_000, "a", "dog " * 50_000)
        )
        (*_, row) = encoded(examples, task, training=training)
        queries = encoded(examples, task, training=False)
    finally:
        tokenizer.model_max_length = before
    assert row["n_tokens"] == (296 if training else 200)
    assert [query["n_tokens"] for query in queries] == [96, 200]


def loss_of(examples, encoder):
    batch = RANKING.collate(encoded(examples), PAD_ID)
    return RANKING.loss(encoder, torch.nn.Identity(), batch), batch


def test_the_loss_is_cross_entropy_over_the_batchs_documents():
    encoder = tiny_encoder()
    with torch.inference_mode():
        loss, batch = loss_of(PAIRS, encoder)
        vectors = sentence_vectors(
            encoder, {name: batch[name] for name in ENCODER_INPUTS if name in batch}, None, "first"
        )
    logits = 100 * (vectors[0::2] @ vectors[1::2].T).double().numpy()
    own = np.exp(logits.diagonal()) / np.exp(logits).sum(1)
    assert loss.item() == pytest.approx(-np.log(own).mean(), rel=1e-4)


@pytest.mark.parametrize(
    "second",
    [
        (DOCUMENT, "a blue bird", "ab", ""),  # answers the first query too
        (DOCUMENT, "the cat sleeps", "b", ""),  # the same text under another key
    ],
)
def test_a_document_that_answers_another_query_is_no_wrong_answer_to_it(second):
    encoder = tiny_encoder()
    examples = rows(
        (QUERY, "who sleeps", "a", ""),
        (DOCUMENT, "the cat sleeps", "a", ""),
        (QUERY, "what runs", "b", ""),
        second,
    )
    with torch.inference_mode():
        together, batch = loss_of(examples, encoder)
        q, d = (
            sentence_vectors(
                encoder,
                {name: batch[name][side::2] for name in ENCODER_INPUTS if name in batch},
                None,
                "first",
            )
            for side in (QUERY, DOCUMENT)
        )
    logits = 100 * q @ d.T
    of_second = torch.nn.functional.cross_entropy(logits[1:], torch.tensor([1]))
    if second[1] == "the cat sleeps":
        of_second = torch.zeros(())  # twins both ways
    assert together.item() == pytest.approx(of_second.item() / 2, abs=1e-4)


def test_padding_changes_no_loss_and_no_vector():
    encoder = tiny_encoder()
    batch = RANKING.collate(encoded(PAIRS), PAD_ID)
    wider = {
        "input_ids": torch.nn.functional.pad(batch["input_ids"], (0, 9), value=PAD_ID),
        "attention_mask": torch.nn.functional.pad(attended(batch), (0, 9)),
        "keys": batch["keys"],
        "answers": batch["answers"],
    }
    with torch.inference_mode():
        losses = [RANKING.loss(encoder, torch.nn.Identity(), each).item() for each in (batch, wider)]
        for pooling in ("mean", "first"):
            vectors = [sentence_vectors(encoder, each, 1, pooling) for each in (batch, wider)]
            assert torch.allclose(*vectors, atol=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_loss_falls_and_each_query_comes_to_find_its_document():
    losses, encoder, head = losses_while_training(RANKING, PAIRS, TRAINED, n_steps=60)
    assert losses[-1] < 0.3 * losses[0]
    encoder.eval()
    records = scored(RANKING, PAIRS, TRAINED, encoder, head)
    assert records["average_precision"].mean() > 0.9


def test_a_batch_that_does_not_fit_is_trained_in_parts():
    encoder = tiny_encoder()
    batch = RANKING.collate(encoded(PAIRS), PAD_ID)
    parts = list(parts_of(batch, 4, 2))
    assert [share for _, share in parts] == [0.5, 0.5]
    assert torch.equal(torch.cat([part["input_ids"] for part, _ in parts]), batch["input_ids"])
    for part, _ in parts:
        assert RANKING.loss(encoder, torch.nn.Identity(), part).item() > 0


def test_a_pair_alone_costs_nothing():
    few = {name: column[:2] for name, column in PAIRS.items()}
    assert loss_of(few, tiny_encoder())[0].item() == 0


def naive_map(vectors, examples):
    """Mean average precision at 20 from vectors, one query after the other."""
    precisions = []
    for query, is_scored in enumerate(examples["scored"]):
        if not is_scored:
            continue
        documents = [row for row, side in enumerate(examples["side"]) if side == DOCUMENT]
        ranked = sorted(documents, key=lambda row: -float(vectors[query] @ vectors[row]))
        hits = [int(bool(set(examples["keys"][query]) & set(examples["keys"][row]))) for row in ranked]
        precisions.append(naive_average_precision(hits, sum(hits)))
    return precisions


@pytest.mark.parametrize(
    ("task", "layer", "pooling"),
    [(TRAINED, None, "first"), (UNTRAINED, 1, "mean"), (UNTRAINED, 1, "first")],
)
def test_scores_equal_a_naive_ranking_of_the_right_vectors(task, layer, pooling):
    generator = np.random.default_rng(3)
    words = ["cat", "dog", "bird", "red", "Oslo", "sings", "the", "Bob"]
    examples = rows(
        *(
            (
                QUERY if number < 6 else DOCUMENT,
                " ".join(generator.choice(words, size=4)),
                generator.choice(list("uvwxyz"), size=1 if number < 6 else 2),
            )
            for number in range(50)
        )
    )
    examples["scored"][2] = False
    encoder = tiny_encoder().eval().double()  # in single precision, threads decide near ties
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)  # else all first tokens are nearly the same
    features = encoded(examples, task, training=False)
    with torch.inference_mode():
        vectors = torch.cat(
            [
                sentence_vectors(encoder, RANKING.collate([row], PAD_ID), layer, pooling)
                for row in features
            ]
        )
    entry = replace(ENTRY, pooling=pooling)
    records = scored(RANKING, examples, task, encoder, torch.nn.Identity(), size=7, entry=entry)
    assert records["average_precision"].tolist() == pytest.approx(naive_map(vectors, examples))
    assert len(records["average_precision"]) == 5


def test_a_cell_without_queries_has_no_records():
    examples = rows((DOCUMENT, "Bob", "a"))
    records = scored(RANKING, examples, TRAINED, tiny_encoder(), torch.nn.Identity())
    assert records["average_precision"].shape == (0,)
    empty = RANKING.score(
        tiny_encoder(),
        torch.nn.Identity(),
        batched(RANKING, []),
        {name: [] for name in examples},
        TRAINED,
        **CELL,
    )
    assert empty["average_precision"].shape == (0,)


def test_there_is_no_head():
    assert not list(RANKING.make_head(WIDTH, TRAINED).parameters())
