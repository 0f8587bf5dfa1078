"""Sentences: a clause in one language, word by word, with what each word is and does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from trainers.tasks.toy.languages import LANGUAGES
from trainers.tasks.toy.lexicon import Lexicon
from trainers.tasks.toy.world import Clause, Name, Role, Tense, Thing

POS = ("ADJ", "ADP", "ADV", "AUX", "DET", "NOUN", "PART", "PRON", "PROPN", "PUNCT", "VERB")
NAME_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
_SYNONYM_CHANCE = 0.3
_WH = {Role.AGENT: "who", Role.PATIENT: "what", Role.PLACE: "where", Role.TIME: "when"}
_LETTER_OF = {Role.AGENT: "S", Role.VERB: "V", Role.PATIENT: "O", Role.PLACE: "P", Role.TIME: "T"}


class Word(NamedTuple):
    """One word of a sentence.

    Attributes:
        text: as written.
        pos: part of speech, one of ``POS``.
        job: what it does in the clause: a role alone or with its part (``attribute``; ``name`` and
            ``more`` for the first and further words of a name; ``link``), or ``mark``.
        name: one of ``NAME_TAGS``.
    """

    text: str
    pos: str
    job: str
    name: str = "O"


_FULL_STOP = Word(".", "PUNCT", "mark")
_QUESTION_MARK = Word("?", "PUNCT", "mark")


class Speaker:
    """Somebody who says clauses in one language.

    Which of two synonyms a word is comes from the random numbers. The rest of a phrase follows from
    what is said, so a phrase that was said before is not put together again.
    """

    def __init__(self, words: Lexicon) -> None:
        self._stems = words.stems
        language = words.language
        self._code = language.code
        self._order = language.order
        self._article = language.article
        self._plural = language.write(language.plural)

    def say(self, clause: Clause, rng: Random) -> list[Word]:
        """A statement, ended by a full stop."""
        return self._sentence(self._parts(clause, rng), _FULL_STOP)

    def ask(self, clause: Clause, asked: Role, rng: Random) -> list[Word]:
        """A question for one part of the clause, ended by a question mark."""
        parts = self._parts(clause, rng)
        parts[_LETTER_OF[asked]] = (Word(self._stem(_WH[asked], rng), "PRON", asked.value),)
        return self._sentence(parts, _QUESTION_MARK)

    def _parts(self, clause: Clause, rng: Random) -> dict[str, tuple[Word, ...]]:
        return {
            "S": self._thing(clause.agent, Role.AGENT, rng),
            "V": self._verb(clause, rng),
            "O": self._thing(clause.patient, Role.PATIENT, rng) if clause.patient else (),
            "P": self._place(clause.place, rng) if clause.place else (),
            "T": (self._adverb(clause.time, rng),) if clause.time else (),
        }

    def _sentence(self, parts: Mapping[str, tuple[Word, ...]], mark: Word) -> list[Word]:
        words: list[Word] = []
        for letter in self._order:
            words += parts[letter]
        words.append(mark)
        return words

    def _verb(self, clause: Clause, rng: Random) -> tuple[Word, ...]:
        stem = self._stem(clause.verb, rng)
        particle = self._stem("not", rng) if clause.negated else ""
        return _verb_phrase(self._code, clause.tense, stem, particle)

    def _thing(self, thing: Thing, role: Role, rng: Random) -> tuple[Word, ...]:
        if thing.name:
            return _name(self._code, thing.name, role)
        noun = self._stem(thing.kind, rng) + (self._plural if thing.plural else "")
        adjective = self._stem(thing.adjective, rng) if thing.adjective else ""
        article = self._stem("the", rng) if self._article else ""
        return _noun_phrase(self._code, role, noun, adjective, article)

    def _place(self, place: Thing, rng: Random) -> tuple[Word, ...]:
        return _place_phrase(self._code, place.name, self._stem("in", rng))

    def _adverb(self, time: str, rng: Random) -> Word:
        return Word(self._stem(time, rng), "ADV", Role.TIME.value)

    def _stem(self, gloss: str, rng: Random) -> str:
        stems = self._stems[gloss]
        return stems[-1] if len(stems) > 1 and rng.random() < _SYNONYM_CHANCE else stems[0]


@cache
def _verb_phrase(code: str, tense: Tense, stem: str, particle: str) -> tuple[Word, ...]:
    language = LANGUAGES[code]
    suffix = {Tense.PAST: language.past, Tense.FUTURE: language.future}.get(tense, "")
    verb = Word(stem + language.write(suffix), "VERB", f"{Role.VERB}:{tense}")
    return (Word(particle, "PART", f"{Role.VERB}:link"), verb) if particle else (verb,)


@cache
def _noun_phrase(code: str, role: Role, noun: str, adjective: str, article: str) -> tuple[Word, ...]:
    words = [Word(noun + _case(code, role), "NOUN", role.value)]
    if adjective:
        attribute = Word(adjective, "ADJ", f"{role}:attribute")
        words.insert(0 if LANGUAGES[code].adjective_first else 1, attribute)
    if article:
        words.insert(0, Word(article, "DET", f"{role}:link"))
    return tuple(words)


@cache
def _place_phrase(code: str, name: Name, adposition: str) -> tuple[Word, ...]:
    words, link = _name(code, name, Role.PLACE), Word(adposition, "ADP", f"{Role.PLACE}:link")
    return (link, *words) if LANGUAGES[code].prepositions else (*words, link)


@cache
def _name(code: str, name: Name, role: Role) -> tuple[Word, ...]:
    kind = "LOC" if role is Role.PLACE else "PER"
    texts = [LANGUAGES[code].write("".join(syllables)) for syllables in name]
    texts[-1] += _case(code, role)
    return tuple(
        Word(text, "PROPN", f"{role}:{'more' if i else 'name'}", f"{'I' if i else 'B'}-{kind}")
        for i, text in enumerate(texts)
    )


def _case(code: str, role: Role) -> str:
    language = LANGUAGES[code]
    return language.write(language.accusative) if role is Role.PATIENT else ""


def text(words: Sequence[Word]) -> str:
    """The sentence as one line, words and marks apart."""
    return " ".join([word.text for word in words])


def span(words: Sequence[Word], role: Role) -> tuple[int, int]:
    """Characters of ``text(words)`` that say ``role``, links aside: start and end.

    Raises:
        ValueError: the sentence does not say it.
    """
    said = {role.value, *(f"{role}:{part}" for part in ("attribute", "name", "more"))}
    inside = [i for i, word in enumerate(words) if word.job in said]
    if not inside:
        raise ValueError(f"the sentence does not say its {role}: {text(words)}")
    start = len(text(words[: inside[0]])) + (1 if inside[0] else 0)
    return start, start + len(text(words[inside[0] : inside[-1] + 1]))
