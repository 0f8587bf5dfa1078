"""Answers are compared as the official scripts compare them, in every script and with any input."""

from __future__ import annotations

import string
import sys
import unicodedata
from itertools import groupby

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainers.answers import exact_match, mlqa_normalised, normaliser, squad_normalised, token_f1
from trainers.tasks.spec import Metric

MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")
SQUAD = normaliser(Metric.QA_F1_EM, "en")
RULES = {"squad": SQUAD, **{code: normaliser(Metric.MLQA_F1_EM, code) for code in MLQA}}

# What answers are made of, and what normalising may trip over: articles, punctuation of several scripts,
# joined and combining letters, full-width digits, blanks, letters whose lower case is two.
PIECES = [
    *("the", "The", "a", "el", "La", "unos", "der", "DIE", "einem", "của", "là", "những", "cái"),
    *(
        "ال",
        "العالم",
        "مدينة",
        "والكتاب",
        "हिन्दी",
        "भारत",
        "中",
        "国",
        "北京",
        "abc",
        "Straße",
        "I\u0307",
    ),
    *("café", "cafe\u0301", "１２", "12", "3.5", "%", "$", "-", "،", "。", "؟", "।", "¿", "«", "’", "_"),
    *(" ", "  ", "\t", "\u00a0", "\u3000", "\u200f", "\u0301"),
]
answers = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=20)
rules = st.sampled_from(sorted(RULES)).map(RULES.__getitem__)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Cat, sat!", "cat sat"),
        ("an apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("theatre", "theatre"),
        ("  \t ", ""),
        ("گربه، سیاه", "گربه، سیاه"),
        ("der Hund", "der hund"),
        ("50 %", "50"),
    ],
)
def test_answers_are_normalised_as_squad_does(answer, expected):
    assert squad_normalised(answer) == expected


@pytest.mark.parametrize(
    ("language", "answer", "expected"),
    [
        ("en", "The “Cat”, an Ant — a.b", "cat ant ab"),
        ("en", "der Hund", "der hund"),
        ("es", "¿Los Ángeles, la «Ciudad»?", "ángeles ciudad"),
        ("es", "unos el elefante", "elefante"),
        ("es", "the casa", "the casa"),
        ("de", "Die Straße des 17. Juni", "straße 17 juni"),
        ("de", "einem derben Keller", "derben keller"),
        ("vi", "Những cái ghế của tôi", "ghế tôi"),
        ("vi", "làng", "làng"),
        ("hi", "भारत का।", "भारत का"),
        ("hi", "the a एक", "the a एक"),
        ("ar", "المدينة الكبيرة،", "مدينة كبيرة"),
        ("ar", "والكتاب", "و كتاب"),
        ("ar", "العالم", "ع م"),
        ("zh", "北京，2008年 ABC", "北 京 2008 年 abc"),
        ("zh", "「天氣」很好", "天 氣 很 好"),
        ("zh", "the 中", "the 中"),
        ("zh", "㐀㐁", "㐀㐁"),
        ("sw", "the Mto, ya!", "the mto ya"),
    ],
)
def test_answers_are_normalised_as_mlqa_does(language, answer, expected):
    assert mlqa_normalised(answer, language) == expected


_PUNCTUATION = {
    code for code in range(sys.maxunicode) if unicodedata.category(chr(code))[0] == "P"
} | set(map(ord, string.punctuation))
_ARTICLES = {
    "en": {"a", "an", "the"},
    "es": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "vi": {"của", "là", "cái", "chiếc", "những"},
    "de": {"ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"},
}


def reference_words(answer, language):
    """MLQA's rules once more, without regular expressions."""
    text = answer.lower().translate(dict.fromkeys(_PUNCTUATION))
    if language == "ar":
        text = text.replace("ال", " ")
    runs = ("".join(run) for _, run in groupby(text, lambda letter: letter.isalnum() or letter == "_"))
    text = "".join(" " if run in _ARTICLES.get(language, ()) else run for run in runs)
    if language == "zh":
        text = "".join(f" {letter} " if "一" <= letter <= "龥" else letter for letter in text)
    return text.split()


def reference_scores(prediction, golds, language):
    """F1 from precision and recall, and exact match, each the best over the answers."""
    f1 = em = 0.0
    predicted = reference_words(prediction, language)
    for gold in golds:
        words = reference_words(gold, language)
        left, shared = list(words), 0
        for word in predicted:
            if word in left:
                left.remove(word)
                shared += 1
        em = max(em, float(predicted == words))
        if shared:
            precision, recall = shared / len(predicted), shared / len(words)
            f1 = max(f1, 2 * precision * recall / (precision + recall))
    return f1, em


@settings(max_examples=600, deadline=None)
@given(
    prediction=answers, golds=st.lists(answers, min_size=1, max_size=3), language=st.sampled_from(MLQA)
)
def test_f1_and_em_are_those_of_a_second_reading_of_mlqas_rules(prediction, golds, language):
    assume(all(reference_words(gold, language) for gold in golds))
    expected_f1, expected_em = reference_scores(prediction, golds, language)
    assert token_f1(prediction, golds, RULES[language]) == pytest.approx(expected_f1)
    assert exact_match(prediction, golds, RULES[language]) == expected_em


@settings(max_examples=300, deadline=None)
@given(prediction=answers, golds=st.lists(answers, min_size=1, max_size=3))
def test_f1_and_em_are_those_of_torchmetrics(prediction, golds):
    from torchmetrics.functional.text import squad

    assume(all(squad_normalised(gold) for gold in golds))
    theirs = squad(
        {"prediction_text": prediction, "id": "0"},
        {"answers": {"text": golds, "answer_start": [0] * len(golds)}, "id": "0"},
    )
    assert 100 * token_f1(prediction, golds, SQUAD) == pytest.approx(theirs["f1"].item(), abs=1e-4)
    assert 100 * exact_match(prediction, golds, SQUAD) == theirs["exact_match"].item()


def test_mlqas_rules_are_used_for_mlqa_alone():
    assert normaliser(Metric.QA_F1_EM, "es")("la casa") == "la casa"
    assert normaliser(Metric.MLQA_F1_EM, "es")("la casa") == "casa"


def test_the_best_of_several_answers_counts():
    assert token_f1("black cat", ["dog", "the black cat"], SQUAD) == 1
    assert exact_match("the black cat!", ["dog", "Black cat"], SQUAD) == 1
    assert exact_match("cat", ["dog", "Black cat"], SQUAD) == 0


def test_f1_counts_shared_words_once_each():
    assert token_f1("cat cat dog", ["cat bird"], SQUAD) == pytest.approx(2 * 1 / (3 + 2))
    assert token_f1("cat", ["dog"], SQUAD) == 0


def test_chinese_is_compared_by_characters_in_mlqa_and_by_blanks_in_squad():
    assert token_f1("北京市", ["北京"], RULES["zh"]) == pytest.approx(2 * 2 / (3 + 2))
    assert token_f1("北京市", ["北京"], SQUAD) == 0


def test_an_unanswerable_question_is_answered_by_nothing():
    assert (token_f1("", [], SQUAD), exact_match("", [], SQUAD)) == (1, 1)
    assert (token_f1("cat", [], SQUAD), exact_match("cat", [], SQUAD)) == (0, 0)
    assert (token_f1("", ["cat"], SQUAD), exact_match("", ["cat"], SQUAD)) == (0, 0)


def test_an_answer_of_articles_alone_does_not_excuse_silence():
    assert exact_match("", ["the", "cat"], SQUAD) == 0
    assert exact_match("", ["the"], SQUAD) == 1


@settings(max_examples=300, deadline=None)
@given(prediction=answers, golds=st.lists(answers, max_size=3), normalise=rules)
def test_scores_lie_between_0_and_1_and_an_exact_match_has_full_f1(prediction, golds, normalise):
    f1, em = token_f1(prediction, golds, normalise), exact_match(prediction, golds, normalise)
    assert 0 <= em <= f1 <= 1


@settings(deadline=None)
@given(answer=answers, normalise=rules)
def test_an_answer_matches_itself(answer, normalise):
    assert token_f1(answer, [answer], normalise) == exact_match(answer, [answer], normalise) == 1


@settings(deadline=None)
@given(one=answers, other=answers, normalise=rules)
def test_one_answer_and_a_prediction_may_change_places(one, other, normalise):
    assert token_f1(one, [other], normalise) == token_f1(other, [one], normalise)
    assert exact_match(one, [other], normalise) == exact_match(other, [one], normalise)


@settings(deadline=None)
@given(prediction=answers, golds=st.permutations(["the cat", "a dog", "cat dog"]), more=answers)
def test_more_answers_never_hurt_and_their_order_decides_nothing(prediction, golds, more):
    f1 = token_f1(prediction, golds, SQUAD)
    assert f1 == token_f1(prediction, sorted(golds), SQUAD)
    assert token_f1(prediction, [*golds, more], SQUAD) >= f1


@settings(deadline=None)
@given(answer=answers, normalise=rules)
def test_blanks_around_an_answer_decide_nothing(answer, normalise):
    assert normalise(f" {answer}\t") == normalise(answer)


@pytest.mark.parametrize("name", sorted(RULES))
def test_unicode_is_compared_as_written(name):
    composed, decomposed = "é", "e\u0301"
    assert unicodedata.normalize("NFC", decomposed) == composed
    assert exact_match(composed, [decomposed], RULES[name]) == 0
    assert exact_match("１２", ["12"], RULES[name]) == 0


def test_full_width_punctuation_goes_in_mlqa_and_stays_in_squad():
    assert mlqa_normalised("（１２％）", "zh") == "１２"
    assert squad_normalised("（１２％）") == "（１２％）"


def test_answers_written_from_right_to_left_share_words_in_any_order():
    assert token_f1("كبيرة مدينة", ["مدينة كبيرة"], RULES["ar"]) == 1
    assert exact_match("كبيرة مدينة", ["مدينة كبيرة"], RULES["ar"]) == 0


def test_a_prediction_of_200_000_characters_is_compared():
    text = "مدينة كبيرة e\u0301 １２ " * 12_000
    assert len(text) > 200_000
    assert 0 < token_f1(text, ["مدينة"], SQUAD) < 0.001
    assert exact_match(text, [text], RULES["ar"]) == 1
