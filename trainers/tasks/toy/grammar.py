"""Sentences: a clause in one language, word by word, with what each word is and does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from trainers.tasks.toy.languages import Language
from trainers.tasks.toy.lexicon import Lexicon
from trainers.tasks.toy.world import Clause, Role, Tense, Thing

POS = ("ADJ", "ADP", "ADV", "AUX", "DET", "NOUN", "PART", "PRON", "PROPN", "PUNCT", "VERB")
NAME_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
_SYNONYM_CHANCE = 0.3
_WH = {Role.AGENT: "who", Role.PATIENT: "what", Role.PLACE: "where", Role.TIME: "when"}
_LETTER_OF = {Role.AGENT: "S", Role.VERB: "V", Role.PATIENT: "O", Role.PLACE: "P", Role.TIME: "T"}


@dataclass(frozen=True, slots=True)
class Word:
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


class Speaker:
    """Somebody who says clauses in one language."""

    def __init__(self, words: Lexicon) -> None:
        self._words = words
        self._language: Language = words.language

    def say(self, clause: Clause, rng: Random) -> list[Word]:
        """A statement, ended by a full stop."""
        return [*self._clause(clause, rng, asked=None), _mark(".")]

    def ask(self, clause: Clause, asked: Role, rng: Random) -> list[Word]:
        """A question for one part of the clause, ended by a question mark."""
        return [*self._clause(clause, rng, asked=asked), _mark("?")]

    def _clause(self, clause: Clause, rng: Random, asked: Role | None) -> list[Word]:
        parts = {
            Role.AGENT: self._phrase(clause.agent, Role.AGENT, rng),
            Role.VERB: self._verb(clause, rng),
            Role.PATIENT: self._phrase(clause.patient, Role.PATIENT, rng),
            Role.PLACE: self._place(clause.place, rng),
            Role.TIME: self._time(clause.time, rng),
        }
        if asked is not None:
            parts[asked] = [Word(self._stem(_WH[asked], rng), "PRON", asked.value)]
        ordered = sorted(parts, key=lambda role: self._language.order.index(_LETTER_OF[role]))
        return [word for role in ordered for word in parts[role]]

    def _verb(self, clause: Clause, rng: Random) -> list[Word]:
        suffix = {Tense.PAST: self._language.past, Tense.FUTURE: self._language.future}
        stem = self._stem(clause.verb, rng) + self._language.write(suffix.get(clause.tense, ""))
        verb = Word(stem, "VERB", f"{Role.VERB}:{clause.tense}")
        if not clause.negated:
            return [verb]
        return [Word(self._stem("not", rng), "PART", f"{Role.VERB}:link"), verb]

    def _phrase(self, thing: Thing | None, role: Role, rng: Random) -> list[Word]:
        if thing is None:
            return []
        if thing.name:
            return _with_case(self._name(thing, role), self._case(role))
        plural = self._language.write(self._language.plural) if thing.plural else ""
        noun = Word(self._stem(thing.kind, rng) + plural + self._case(role), "NOUN", role.value)
        words = [noun]
        if thing.adjective:
            adjective = Word(self._stem(thing.adjective, rng), "ADJ", f"{role}:attribute")
            words = [adjective, noun] if self._language.adjective_first else [noun, adjective]
        if self._language.article:
            words.insert(0, Word(self._stem("the", rng), "DET", f"{role}:link"))
        return words

    def _place(self, place: Thing | None, rng: Random) -> list[Word]:
        if place is None:
            return []
        adposition = Word(self._stem("in", rng), "ADP", f"{Role.PLACE}:link")
        name = self._name(place, Role.PLACE)
        return [adposition, *name] if self._language.prepositions else [*name, adposition]

    def _time(self, time: str, rng: Random) -> list[Word]:
        return [Word(self._stem(time, rng), "ADV", Role.TIME.value)] if time else []

    def _name(self, thing: Thing, role: Role) -> list[Word]:
        kind = "LOC" if role is Role.PLACE else "PER"
        texts = [self._language.write("".join(syllables)) for syllables in thing.name]
        return [
            Word(text, "PROPN", f"{role}:{'more' if i else 'name'}", f"{'I' if i else 'B'}-{kind}")
            for i, text in enumerate(texts)
        ]

    def _case(self, role: Role) -> str:
        return self._language.write(self._language.accusative) if role is Role.PATIENT else ""

    def _stem(self, gloss: str, rng: Random) -> str:
        stems = self._words.stems[gloss]
        return stems[-1] if len(stems) > 1 and rng.random() < _SYNONYM_CHANCE else stems[0]


def text(words: Sequence[Word]) -> str:
    """The sentence as one line, words and marks apart."""
    return " ".join(word.text for word in words)


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


def _with_case(words: list[Word], suffix: str) -> list[Word]:
    return [*words[:-1], replace(words[-1], text=words[-1].text + suffix)]


def _mark(sign: str) -> Word:
    return Word(sign, "PUNCT", "mark")
