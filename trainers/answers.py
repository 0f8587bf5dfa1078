"""Answers to questions, compared as the official scripts compare them.

    em = 1 where the normalised prediction equals a normalised answer, else 0
    f1 = 2 * n_common_words / (n_predicted_words + n_answer_words), the best over the answers

Normalising is lower-casing, taking out punctuation, taking out articles, and putting single blanks
between words, in that order:

    SQuAD (XQuAD and TyDiQA-GoldP in XTREME too)  ASCII punctuation, English articles, words between
                                                  blanks, in every language
    MLQA                                          punctuation of all scripts, articles of the
                                                  language, Chinese characters as words of their own

Neither normalises Unicode: a composed and a decomposed letter differ, as do full-width and ASCII
digits. That is left so, for the numbers to be comparable.

An answer that normalises to nothing counts only where all of them do, and then equals a prediction
that does, in F1 too, which is SQuAD 2.0's rule. The scripts of SQuAD 1.1 and MLQA give such a pair an F1
of 0; the data looked at (XQuAD, and parts of TyDiQA-GoldP and MLQA) have no such answer.

Sources: Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822; Lewis et al. 2020,
arXiv:1910.07475; which script scores which task: Hu et al. 2020, arXiv:2003.11080, their repository.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from trainers.tasks.spec import Metric

Normaliser = Callable[[str], str]


def normaliser(metric: Metric, language: str) -> Normaliser:
    """How ``metric`` normalises answers in ``language``."""
    if metric is Metric.MLQA_F1_EM:
        return partial(mlqa_normalised, language=language)
    return squad_normalised


_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_normalised(answer: str) -> str:
    """An answer in lower case without ASCII punctuation, English articles and extra blanks."""
    return " ".join(_ENGLISH_ARTICLES.sub(" ", answer.lower().translate(_ASCII_PUNCTUATION)).split())


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b({words.replace(' ', '|')})\b")


# MLQA's script means to take out the Arabic article where a word begins with it, but its pattern takes
# the two letters out wherever they stand. Hindi and Chinese have no articles.
_MLQA_ARTICLES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "ar": re.compile("ال"),
        "de": _any_of("ein eine einen einem eines einer der die das den dem des"),
        "en": _ENGLISH_ARTICLES,
        "es": _any_of("un una unos unas el la los las"),
        "vi": _any_of("của là cái chiếc những"),
    }
)
_HAN = re.compile("([\u4e00-\u9fa5])")


def mlqa_normalised(answer: str, language: str) -> str:
    """An answer in lower case without punctuation, the language's articles and extra blanks.

    In Chinese (``zh``) every character of the main block of Han characters is a word of its own. A
    language that MLQA does not have keeps its articles and is split at blanks.
    """
    text = "".join(letter for letter in answer.lower() if not _is_punctuation(letter))
    if language in _MLQA_ARTICLES:
        text = _MLQA_ARTICLES[language].sub(" ", text)
    elif language == "zh":
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def _is_punctuation(letter: str) -> bool:
    return letter in string.punctuation or unicodedata.category(letter).startswith("P")


def exact_match(prediction: str, answers: Sequence[str], normalise: Normaliser) -> float:
    """1 where the prediction equals an answer after normalising; ``[]`` is answered by ""."""
    return float(normalise(prediction) in _golds(answers, normalise))


def token_f1(prediction: str, answers: Sequence[str], normalise: Normaliser) -> float:
    """F1 over words against the best of the answers; ``[]`` is answered by ""."""
    predicted = normalise(prediction).split()
    return max(_word_f1(predicted, gold.split()) for gold in _golds(answers, normalise))


def _golds(answers: Sequence[str], normalise: Normaliser) -> list[str]:
    """The answers worth comparing with; the empty one where the question has none."""
    return [gold for gold in map(normalise, answers) if gold] or [""]


def _word_f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    n_common = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * n_common / (len(predicted) + len(gold))
