"""Scores of predictions that models made equal those of independent implementations.

On the toy world everywhere, and on real data with a real multilingual encoder where a mirror is.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_answers import reference_scores, reference_words
from trained_model import trained

from trainers.answers import normaliser
from trainers.errors import EmptySplitError, MissingDataError
from trainers.evaluate import cell_score
from trainers.families.ranking import average_precision
from trainers.stage import Half
from trainers.tasks import open_source
from trainers.tasks.canonical import cell_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.examples import DOCUMENT, QUERY

TOY = None


@pytest.fixture
def place(request):
    """The folder of a ``mirror`` case; None for the toy world."""
    return request.getfixturevalue("mirror") if request.param else TOY


def cases(*names_and_languages):
    """Parameters ``place, name, language``; real ones are marked ``mirror``."""
    return pytest.mark.parametrize(
        ("place", "name", "language"),
        [
            pytest.param(
                real,
                name,
                language,
                marks=[pytest.mark.mirror] if real else [],
                id=f"{name}-{language}",
            )
            for name, language in names_and_languages
            for real in [TASKS[name].world != "toy"]
        ],
        indirect=["place"],
    )


def points(model):
    """The cell's score, as a study records it."""
    return cell_score(model.task, model.language, model.records()).value


@cases(("toy_pos", "qbe"), ("toy_names", "qbe"), ("udpos", "te"), ("panx", "sw"))
def test_span_f1_is_that_of_seqeval(place, name, language):
    model = trained(TASKS[name], language, place, n_examples=100, n_steps=40)
    gold = [[model.task.labels[tag] for tag in tags] for tags in model.examples["tags"]]
    predicted = model.predictions(model.task)
    assert gold != predicted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from seqeval.metrics import f1_score

        expected = f1_score(*[list(map(_with_type, tags)) for tags in (gold, predicted)])
    assert points(model) == pytest.approx(100 * expected)
    assert 20 < points(model) < 99


def _with_type(tags):
    """Tags without hyphen as seqeval 0.0.12 reads them: prefix the first letter, type the whole."""
    return [tag if tag == "O" or "-" in tag else f"{tag[0]}-is-{tag}" for tag in tags]


@cases(("toy_xqa", "qbe"), ("xquad", "th"), ("tydiqa", "sw"))
def test_answers_are_scored_as_torchmetrics_scores_them(place, name, language):
    from torchmetrics.text import SQuAD

    model = trained(short(TASKS[name]), language, place, n_examples=24, n_taught=12, n_steps=12)
    theirs = SQuAD()
    for number, (answer, golds) in enumerate(
        zip(model.predictions(), model.examples["answers"], strict=True)
    ):
        theirs.update(
            {"prediction_text": answer, "id": str(number)},
            {"answers": {"text": golds, "answer_start": [0] * len(golds)}, "id": str(number)},
        )
    expected = {kind: score.item() for kind, score in theirs.compute().items()}
    records = model.records()
    assert 100 * records["f1"].mean() == pytest.approx(expected["f1"], abs=1e-4)
    assert 100 * records["em"].mean() == pytest.approx(expected["exact_match"], abs=1e-4)
    assert points(model) == pytest.approx((expected["f1"] + expected["exact_match"]) / 2, abs=1e-4)
    assert 5 < points(model) < 95


@cases(("mlqa", "es"), ("mlqa", "vi"))
def test_answers_are_scored_as_mlqas_rules_say(place, name, language):
    model = trained(short(TASKS[name]), language, place, n_examples=24, n_taught=12, n_steps=12)
    pairs = zip(model.predictions(), model.examples["answers"], strict=True)
    expected = np.array([reference_scores(answer, golds, language) for answer, golds in pairs])
    records = model.records()
    assert records["f1"] == pytest.approx(expected[:, 0])
    assert records["em"].tolist() == expected[:, 1].tolist()
    assert points(model) == pytest.approx(100 * expected.mean())
    assert 5 < points(model) < 95


def short(task):
    """The task with windows that a test can afford."""
    return replace(task, max_length=min(task.max_length, 80))


@pytest.mark.mirror
@pytest.mark.parametrize("name", ["xquad", "tydiqa", "mlqa"])
def test_no_real_answer_normalises_to_nothing(mirror, name):
    """So SQuAD 1.1's and MLQA's rules on such answers, which differ from 2.0's, decide nothing."""
    source = open_source("mirror", mirror)
    n_seen = 0
    for language in TASKS[name].score_languages:
        try:
            examples = cell_examples(TASKS[name], language, Half.REPORT, source)
        except (MissingDataError, EmptySplitError):
            continue
        normalise = normaliser(TASKS[name].metric, language)
        for golds in examples["answers"]:
            n_seen += len(golds)
            assert all(map(normalise, golds))
    assert n_seen > 300


@cases(("toy_xnli", "qbe"), ("xnli", "sw"))
def test_accuracy_is_that_of_torchmetrics(place, name, language):
    from torchmetrics.functional.classification import multiclass_accuracy

    model = trained(TASKS[name], language, place, n_examples=64, n_steps=30)
    predicted = []
    for first, second in zip(model.examples["first"], model.examples["second"], strict=True):
        ids = model.tokenizer(first, second, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            hidden_1TD = model.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
            predicted.append(model.head(hidden_1TD).argmax(-1))
    expected = multiclass_accuracy(
        torch.cat(predicted),
        torch.tensor(model.examples["label"]),
        num_classes=len(model.task.labels),
        average="micro",
    )
    assert points(model) == pytest.approx(100 * expected.item(), abs=1e-4)
    assert 30 < points(model) < 100


@cases(("toy_tatoeba", "qbe"), ("tatoeba", "sw"), ("tatoeba", "te"))
def test_retrieval_is_that_of_a_plain_loop_over_sentences(place, name, language):
    """English queries; the mean of the entry's layer over each sentence alone; the largest cosine."""
    model = trained(TASKS[name], language, place, n_examples=120)
    queries, documents = (
        [_mean_vector(model, text) for text in model.examples[side]] for side in ("query", "document")
    )
    found = 0
    for number, query in enumerate(queries):
        cosines = [query @ text / np.linalg.norm(query) / np.linalg.norm(text) for text in documents]
        found += int(np.argmax(cosines) == number)
    assert points(model) == pytest.approx(100 * found / len(queries))
    assert 0 < points(model) < 100


def _mean_vector(model, text):
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = model.encoder(
            input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
        ).hidden_states
    return states[model.entry.retrieval_layer][0].double().numpy().mean(axis=0)


@pytest.mark.mirror
def test_average_precision_is_that_of_torchmetrics(mirror):
    """Swahili premises against their Thai and Urdu translations, each right document counted.

    torchmetrics divides by the right documents among the first 20, not by all there are.
    """
    from torchmetrics.functional.retrieval import retrieval_average_precision

    models = [trained(TASKS["xnli"], code, mirror, n_examples=90) for code in ("sw", "th", "ur")]
    texts = [model.examples["first"] for model in models]
    key_of = {text: str(number) for number, text in enumerate(texts[0])}
    keys = [[key_of[text]] for text in texts[0]]
    n = len(keys)
    examples = {
        "id": [f"{code}-{number}" for code in ("sw", "th", "ur") for number in range(n)],
        "text": [text for of_language in texts for text in of_language],
        "context": [""] * (3 * n),
        "side": [QUERY] * n + [DOCUMENT] * (2 * n),
        "keys": keys * 3,
        "part": [0] * (3 * n),
        "scored": [True] * n + [False] * (2 * n),
    }
    untrained = replace(TASKS["lareqa"], train=(), max_length=128)
    model = replace(models[0], task=untrained, examples=examples)
    vectors = np.array([_mean_vector(model, text) for text in examples["text"]])
    vectors = torch.tensor(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    expected = []
    for query in range(n):
        cosines = vectors[n:] @ vectors[query]
        right = torch.tensor([keys[query] == key for key in examples["keys"][n:]])
        found = right[cosines.topk(20).indices].sum()
        of_found = retrieval_average_precision(2 + cosines, right, top_k=20)
        expected.append((of_found * found / min(20, right.sum())).item())
    assert model.records()["average_precision"] == pytest.approx(expected, abs=1e-6)
    assert 0.02 < np.mean(expected) < 0.98


@settings(deadline=None)
@given(order=st.permutations(range(20)), right=st.sets(st.integers(0, 19), min_size=1))
def test_average_precision_over_twenty_documents_is_that_of_scikit_learn(order, right):
    from sklearn.metrics import average_precision_score

    scores = np.empty(20)
    scores[list(order)] = np.arange(20, 0, -1)
    expected = average_precision_score([place in right for place in range(20)], scores)
    assert average_precision(order, right) == pytest.approx(expected)


@pytest.mark.mirror
def test_the_queries_of_tatoeba_are_english(mirror):
    examples = cell_examples(TASKS["tatoeba"], "te", Half.REPORT, open_source("mirror", mirror))
    assert all(text.isascii() for text in examples["query"][:50] if "’" not in text)
    assert not any(text.isascii() for text in examples["document"])


def test_the_reference_of_mlqas_rules_reads_its_worked_cases():
    assert reference_words("¿Los Ángeles, la «Ciudad»?", "es") == ["ángeles", "ciudad"]
    assert reference_words("北京，2008年", "zh") == ["北", "京", "2008", "年"]
