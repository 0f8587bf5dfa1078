import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.metrics import (
    STATISTICS,
    exact_match,
    normalised,
    span_counts,
    spans,
    token_f1,
    value,
)
from trainers.tasks.spec import Metric

NAME_TAGS = ["O"] + [f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC", "A-B")]
POS_TAGS = ["ADJ", "ADP", "AUX", "CCONJ", "INTJ", "NOUN", "PRON", "PROPN", "SCONJ", "SYM", "X", "_"]
POS_TAGS += ["O", "B", "I", "E", "S", ".", ".-X"]  # what seqeval may trip over
sentences = st.one_of(
    st.lists(st.sampled_from(NAME_TAGS), max_size=12), st.lists(st.sampled_from(POS_TAGS), max_size=12)
)


@pytest.fixture(scope="module")
def seqeval():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import seqeval.metrics
        import seqeval.metrics.sequence_labeling

        yield seqeval.metrics


def quietly(function, *arguments, **settings_):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings_)


@settings(max_examples=500, deadline=None)
@given(tags=sentences)
def test_spans_are_those_of_seqeval(seqeval, tags):
    assert spans(tags) == quietly(seqeval.sequence_labeling.get_entities, tags)


@settings(max_examples=200, deadline=None)
@given(
    pairs=st.lists(
        st.lists(st.tuples(st.sampled_from(NAME_TAGS), st.sampled_from(NAME_TAGS)), min_size=1),
        min_size=1,
        max_size=6,
    )
)
def test_span_f1_is_that_of_seqeval(seqeval, pairs):
    gold = [[tag for tag, _ in sentence] for sentence in pairs]
    predicted = [[tag for _, tag in sentence] for sentence in pairs]
    counts = np.array([span_counts(*both) for both in zip(gold, predicted, strict=True)])
    sums = dict(zip(STATISTICS[Metric.SPAN_F1], counts.sum(0), strict=True))
    expected = quietly(seqeval.f1_score, gold, predicted, zero_division=0)
    assert value(Metric.SPAN_F1, sums, len(gold)) == pytest.approx(100 * expected)


def test_neighbouring_parts_of_speech_of_one_kind_are_one_span():
    assert spans(["NOUN", "NOUN", "VERB"]) == [("OUN", 0, 1), ("ERB", 2, 2)]
    assert spans(["NOUN", "X"]) == [("OUN", 0, 0)]


def test_points_by_hand():
    assert value(Metric.ACCURACY, {"correct": 3}, 4) == 75
    assert value(Metric.ACCURACY_AT_1, {"correct": 1}, 4) == 25
    assert value(Metric.SPAN_F1, {"true_positives": 1, "n_predicted": 2, "n_gold": 2}, 9) == 50
    assert value(Metric.QA_F1_EM, {"f1": 3.0, "em": 1.0}, 4) == 50
    points = value(Metric.PSEUDO_PERPLEXITY, {"loss": 3 * np.log(4), "n_tokens": 3}, 1)
    assert points == pytest.approx(25)


@pytest.mark.parametrize("metric", Metric)
def test_nothing_to_measure_is_0(metric):
    assert value(metric, dict.fromkeys(STATISTICS[metric], 0.0), 0) == 0


@pytest.mark.parametrize("metric", Metric)
@settings(deadline=None)
@given(seed=st.integers(0, 2**31))
def test_many_samples_are_scored_as_each_one_alone(metric, seed):
    draw = np.random.default_rng(seed)
    sums = {name: draw.integers(0, 5, size=(4, 3)).astype(float) for name in STATISTICS[metric]}
    n = draw.integers(0, 5, size=(4, 3)).astype(float)
    together = value(metric, sums, n)
    assert together.shape == (4, 3)
    for place in np.ndindex(4, 3):
        alone = value(metric, {name: column[place] for name, column in sums.items()}, n[place])
        assert together[place] == alone


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Cat, sat!", "cat sat"),
        ("an apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("theatre", "theatre"),
        ("  \t ", ""),
        ("گربه، سیاه", "گربه، سیاه"),
    ],
)
def test_answers_are_normalised_as_squad_does(answer, expected):
    assert normalised(answer) == expected


def test_the_best_of_several_answers_counts():
    assert token_f1("black cat", ["dog", "the black cat"]) == 1
    assert exact_match("the black cat!", ["dog", "Black cat"]) == 1
    assert exact_match("cat", ["dog", "Black cat"]) == 0


def test_f1_counts_shared_words_once_each():
    assert token_f1("cat cat dog", ["cat bird"]) == pytest.approx(2 * 1 / (3 + 2))
    assert token_f1("cat", ["dog"]) == 0


def test_an_unanswerable_question_is_answered_by_nothing():
    assert (token_f1("", []), exact_match("", [])) == (1, 1)
    assert (token_f1("cat", []), exact_match("cat", [])) == (0, 0)
    assert (token_f1("", ["cat"]), exact_match("", ["cat"])) == (0, 0)


@settings(deadline=None)
@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3))
def test_an_exact_match_has_full_f1(prediction, answers):
    f1 = token_f1(prediction, answers)
    assert 0 <= f1 <= 1
    if exact_match(prediction, answers):
        assert f1 == 1
