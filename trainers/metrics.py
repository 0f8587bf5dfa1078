"""Official metrics, from per-example statistics.

A metric is a function of *sums* of statistics over examples, so a cell, a bootstrap sample or two
cells together are all scored alike, and a bootstrap scores a thousand samples in one call.

    accuracy, accuracy_at_1   100 * correct / n
    map_at_20                 100 * average_precision / n
    span_f1, mining_f1        100 * 2 * true_positives / (n_predicted + n_gold)
    qa_f1_em, mlqa_f1_em      100 * (f1 + em) / (2 * n)
    pseudo_perplexity         100 * exp(-loss / n_tokens), that is 100 / pseudo-perplexity, so that
                              more is better and 100 is perfect, as everywhere

A ratio whose denominator is 0 (no examples, no spans at all, no masked tokens) is 0.

Sources: seqeval for spans; answers are compared in ``trainers/answers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainers.tasks.spec import Metric

STATISTICS: Mapping[Metric, tuple[str, ...]] = MappingProxyType(
    {
        Metric.ACCURACY: ("correct",),
        Metric.SPAN_F1: ("true_positives", "n_predicted", "n_gold"),
        Metric.QA_F1_EM: ("f1", "em"),
        Metric.MLQA_F1_EM: ("f1", "em"),
        Metric.ACCURACY_AT_1: ("correct",),
        Metric.MAP_AT_20: ("average_precision",),
        Metric.MINING_F1: ("true_positives", "n_predicted", "n_gold"),
        Metric.PSEUDO_PERPLEXITY: ("loss", "n_tokens"),
    }
)

Sums = Mapping[str, float | NDArray[np.float64]]


def value(metric: Metric, sums: Sums, n: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Points, 0 to 100, more is better.

    Args:
        metric: which.
        sums: each statistic of ``STATISTICS[metric]`` summed over examples; numbers, or arrays of
            one shape, an entry per sample.
        n: examples summed over; a number or an array of that shape.

    Returns:
        float64, of that shape; of shape () for numbers, ready for ``float()``.
    """
    of = {name: np.asarray(sums[name], dtype=np.float64) for name in STATISTICS[metric]}
    match metric:
        case Metric.ACCURACY | Metric.ACCURACY_AT_1:
            return 100 * _ratio(of["correct"], n)
        case Metric.MAP_AT_20:
            return 100 * _ratio(of["average_precision"], n)
        case Metric.SPAN_F1 | Metric.MINING_F1:
            return 100 * _ratio(2 * of["true_positives"], of["n_predicted"] + of["n_gold"])
        case Metric.QA_F1_EM | Metric.MLQA_F1_EM:
            return 100 * _ratio(of["f1"] + of["em"], 2 * np.asarray(n, dtype=np.float64))
        case Metric.PSEUDO_PERPLEXITY:
            points = 100 * np.exp(-_ratio(of["loss"], of["n_tokens"]))
            return np.where(of["n_tokens"] > 0, points, 0.0)


def _ratio(above: NDArray[np.float64], below: ArrayLike) -> NDArray[np.float64]:
    """``above / below``, 0 where ``below`` is 0."""
    above, below = np.broadcast_arrays(above, np.asarray(below, dtype=np.float64))
    ratio: NDArray[np.float64] = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    return ratio


Span = tuple[str, int, int]  # type, first word, last word


def spans(tags: Sequence[str]) -> list[Span]:
    """Labelled spans of one sentence, as seqeval finds them.

    The first letter of a tag is its prefix (``B``, ``I``, ``E``, ``S``, ``O``), what follows the first
    hyphen its type. A tag without hyphen, such as a part of speech, is its own type: neighbours of
    one such tag become one span, but for those that begin with ``B``, ``E`` or ``S``.

    That is seqeval 0.0.12, with which the published part-of-speech scores of XTREME and of
    intermediate-task training were made. From 0.0.16 on it cuts the first letter off a tag without
    hyphen, so that CCONJ and SCONJ become one type and a final X is lost. Names (PAN-X) are alike in
    both. Every sentence is scored alone, so that examples stay independent.
    """
    found: list[Span] = []
    prefix_before, type_before, begin = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = tag[0], tag.split("-", maxsplit=1)[-1]
        changed = type_before != kind
        if _ends(prefix_before, prefix, changed=changed):
            found.append((type_before, begin, place - 1))
        if _begins(prefix_before, prefix, changed=changed):
            begin = place
        prefix_before, type_before = prefix, kind
    return found


def _ends(before: str, now: str, *, changed: bool) -> bool:
    """Whether a span ended before this tag."""
    closed = before in "ES" or (before in "BI" and now in "BSO")
    return closed or (changed and before not in "O.")


def _begins(before: str, now: str, *, changed: bool) -> bool:
    """Whether a span begins at this tag."""
    opened = now in "BS" or (now == "E" and before in "ESO") or (now == "I" and before in "ESO")
    return opened or (changed and now not in "O.")


def span_counts(gold: Sequence[str], predicted: Sequence[str]) -> tuple[int, int, int]:
    """Spans of one sentence that are right, predicted, and there: micro F1's three counts."""
    gold_spans, predicted_spans = set(spans(gold)), set(spans(predicted))
    return len(gold_spans & predicted_spans), len(predicted_spans), len(gold_spans)
