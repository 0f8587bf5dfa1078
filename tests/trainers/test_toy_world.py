"""The toy world's facts, words and sentences hang together."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.tasks.languages import LANGUAGES as REAL_LANGUAGES
from trainers.tasks.toy.grammar import Speaker, span, text
from trainers.tasks.toy.languages import LANGUAGES, LOW_RESOURCE, RICH
from trainers.tasks.toy.lexicon import lexicon
from trainers.tasks.toy.world import (
    CATEGORY_OF,
    KINDS,
    OPPOSITES,
    VERBS,
    Clause,
    Role,
    Tense,
    Thing,
    make_world,
)

CLAUSE = Clause(
    agent=Thing("dog", plural=True),
    verb="carry",
    patient=Thing("rope", adjective="wet"),
    place=make_world().places[0],
    time="noon",
    tense=Tense.PAST,
)


def test_no_code_is_a_real_language():
    assert all("qaa" <= code <= "qtz" for code in LANGUAGES)
    assert not set(LANGUAGES) & set(REAL_LANGUAGES)


def test_the_rich_language_has_many_times_the_text_of_each_poor_one():
    rich = LANGUAGES[RICH].n_documents
    for code in LOW_RESOURCE:
        assert LANGUAGES[code].n_documents * 10 < rich
        assert LANGUAGES[code].n_documents + LANGUAGES[code].n_parallel < rich / 4


def test_opposites_are_mutual_and_stay_with_the_same_kind_of_deed():
    assert all(OPPOSITES[OPPOSITES[word]] == word != OPPOSITES[word] for word in OPPOSITES)
    for verb in VERBS.values():
        assert VERBS[verb.opposite].opposite == verb.gloss
        assert verb.then in VERBS
        assert set(verb.agents) | set(verb.patients) <= set(KINDS)


@pytest.mark.parametrize(
    ("language", "roles"),
    [("qau", "SVOPT"), ("qco", "STPOV"), ("qes", "VSOPT"), ("qgo", "SPTOV"), ("qhu", "TVSOP")],
)
def test_a_language_says_things_in_its_own_order(language, roles):
    words = Speaker(lexicon(language)).say(CLAUSE, Random(0))
    letters = {"agent": "S", "verb": "V", "patient": "O", "place": "P", "time": "T"}
    said = [letters[word.job.split(":")[0]] for word in words if word.job != "mark"]
    assert "".join(dict.fromkeys(said)) == roles


def test_adjectives_adpositions_articles_and_affixes_follow_the_language():
    stems = lexicon("qgo").stems
    words = [word.text for word in Speaker(lexicon("qgo")).say(CLAUSE, Random(0))]
    rope, wet = stems["rope"][0] + "i", stems["wet"][0]
    assert words.index(rope) + 1 == words.index(wet)
    assert words[0] == stems["dog"][0] + "ler"
    assert words.index(stems["in"][0]) > words.index("".join(CLAUSE.place.name[0]))
    assert words[-2] == stems["carry"][0] + "do"
    assert [word.pos for word in Speaker(lexicon("qes")).say(CLAUSE, Random(0))].count("DET") == 2


@given(code=st.sampled_from(sorted(LANGUAGES)), seed=st.integers(0, 10_000))
def test_what_is_asked_for_is_said_by_the_statement_and_not_by_the_question(code, seed):
    rng = Random(seed)
    clause = make_world().clause(rng)
    speaker = Speaker(lexicon(code))
    words = speaker.say(clause, rng)
    start, end = span(words, Role.AGENT)
    assert text(words)[start:end] == " ".join(
        word.text for word in words if word.job.startswith("agent") and word.job != "agent:link"
    )
    question = speaker.ask(clause, Role.AGENT, rng)
    assert [word.pos for word in question if word.job == "agent"] == ["PRON"]
    assert question[-1].text == "?"


def test_a_span_that_is_not_said_is_refused():
    words = Speaker(lexicon("qau")).say(Clause(Thing("dog"), "love"), Random(0))
    with pytest.raises(ValueError, match="place"):
        span(words, Role.PLACE)


def test_close_kin_shares_more_words_than_distant_kin_and_another_script_shares_none():
    def shared(code: str) -> float:
        rich, other = lexicon(RICH).stems, lexicon(code).stems
        return sum(rich[gloss][0] == other[gloss][0] for gloss in rich) / len(rich)

    assert shared("qda") > 0.6 > shared("qhu") > 0.1
    assert shared("qco") == shared("qfe") == 0


def test_no_two_meanings_share_a_word():
    for code in LANGUAGES:
        stems = [stem for forms in lexicon(code).stems.values() for stem in forms]
        assert len(stems) == len(set(stems))


def test_every_kind_has_one_category():
    assert sum(map(len, KINDS.values())) == len(CATEGORY_OF)
