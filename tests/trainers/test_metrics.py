import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.metrics import STATISTICS, span_counts, spans, value
from trainers.tasks.spec import Metric

NAME_TAGS = ["O"] + [f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC", "A-B")]
POS_TAGS = ["ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN"]
POS_TAGS += ["PUNCT", "SCONJ", "SYM", "VERB", "X", "_"]


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
@given(tags=st.lists(st.sampled_from(NAME_TAGS), max_size=12))
def test_spans_of_names_are_those_of_seqeval(seqeval, tags):
    assert spans(tags) == quietly(seqeval.sequence_labeling.get_entities, tags)


@settings(max_examples=500, deadline=None)
@given(tags=st.lists(st.sampled_from(POS_TAGS), max_size=12))
def test_spans_of_parts_of_speech_are_those_of_seqeval_told_their_types(seqeval, tags):
    told = [f"{tag[0]}-is-{tag}" for tag in tags]
    expected = quietly(seqeval.sequence_labeling.get_entities, told)
    assert [(f"is-{kind}", first, last) for kind, first, last in spans(tags)] == expected


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
    assert spans(["NOUN", "NOUN", "VERB"]) == [("NOUN", 0, 1), ("VERB", 2, 2)]
    assert spans(["SYM", "SYM"]) == [("SYM", 0, 0), ("SYM", 1, 1)]


def test_parts_of_speech_that_differ_in_their_first_letter_are_not_alike():
    assert span_counts(["CCONJ", "NOUN", "X"], ["SCONJ", "NOUN", "X"]) == (2, 3, 3)


def test_points_by_hand():
    assert value(Metric.ACCURACY, {"correct": 3}, 4) == 75
    assert value(Metric.ACCURACY_AT_1, {"correct": 1}, 4) == 25
    assert value(Metric.SPAN_F1, {"true_positives": 1, "n_predicted": 2, "n_gold": 2}, 9) == 50
    assert value(Metric.QA_F1_EM, {"f1": 3.0, "em": 1.0}, 4) == 50
    assert value(Metric.MLQA_F1_EM, {"f1": 3.0, "em": 1.0}, 4) == 50
    assert value(Metric.MAP_AT_20, {"average_precision": 1.5}, 2) == 75
    assert value(Metric.MINING_F1, {"true_positives": 1, "n_predicted": 1, "n_gold": 3}, 9) == 50
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
