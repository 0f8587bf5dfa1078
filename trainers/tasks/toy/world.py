"""What there is in the toy world, and what happens in it.

Meanings are named by English glosses (``dog``, ``carry``) so that a reader can follow; no language
of the world is English. Kinds have a category, adjectives come in pairs of opposites, verbs say who
does them to what and what tends to follow. From a seed come the people, the places, who lives
where, and what each kind likes to do: knowledge that the texts show and the tasks ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random
from typing import NamedTuple

WORLD_SEED = 7

Name = tuple[tuple[str, ...], ...]  # latin syllables of each word

KINDS: Mapping[str, tuple[str, ...]] = {
    "animal": ("dog", "cat", "horse", "goat"),
    "worker": ("farmer", "baker", "guard", "singer"),
    "food": ("bread", "apple", "fish", "cheese"),
    "tool": ("axe", "rope", "lamp", "knife"),
    "garment": ("coat", "hat", "scarf", "boot"),
}
CATEGORY_OF: Mapping[str, str] = {kind: name for name, kinds in KINDS.items() for kind in kinds}

_PAIRS = (("big", "small"), ("old", "new"), ("dark", "bright"), ("wet", "dry"))
OPPOSITES: Mapping[str, str] = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
ADJECTIVES = tuple(OPPOSITES)

TIMES = ("morning", "noon", "night")
FUNCTION_WORDS = ("in", "not", "the", "be", "live", "who", "what", "where", "when")


@dataclass(frozen=True, slots=True)
class Verb:
    """An action.

    Attributes:
        gloss: its name.
        agents: categories of those who do it.
        patients: categories it is done to.
        opposite: the verb that cannot be true of the same deed.
        then: the verb that tends to follow, same agent, same patient.
    """

    gloss: str
    agents: tuple[str, ...]
    patients: tuple[str, ...]
    opposite: str
    then: str


_THINGS = ("food", "tool", "garment")
_BEINGS = ("animal", "worker")
VERBS: Mapping[str, Verb] = {
    verb.gloss: verb
    for verb in (
        Verb("buy", ("worker",), _THINGS, "sell", "carry"),
        Verb("sell", ("worker",), _THINGS, "buy", "lose"),
        Verb("carry", _BEINGS, _THINGS, "drop", "break"),
        Verb("drop", _BEINGS, _THINGS, "carry", "find"),
        Verb("lose", _BEINGS, _THINGS, "find", "buy"),
        Verb("find", _BEINGS, _THINGS, "lose", "carry"),
        Verb("break", _BEINGS, ("tool", "garment"), "mend", "sell"),
        Verb("mend", ("worker",), ("tool", "garment"), "break", "sell"),
        Verb("chase", _BEINGS, _BEINGS, "flee", "love"),
        Verb("flee", _BEINGS, _BEINGS, "chase", "hate"),
        Verb("love", _BEINGS, (*_BEINGS, *_THINGS), "hate", "find"),
        Verb("hate", _BEINGS, (*_BEINGS, *_THINGS), "love", "drop"),
    )
}


class Tense(StrEnum):
    """When a clause is true."""

    PAST = "past"
    PRESENT = "present"
    FUTURE = "future"


class Role(StrEnum):
    """Parts of a clause."""

    AGENT = "agent"
    VERB = "verb"
    PATIENT = "patient"
    PLACE = "place"
    TIME = "time"


class Thing(NamedTuple):
    """A participant: somebody by name, or some of a kind.

    Attributes:
        kind: gloss of the kind (of a category, when spoken of vaguely).
        name: latin syllables of each word of the name; empty for those without one.
        adjective: gloss or empty.
        plural: more than one.
    """

    kind: str
    name: Name = ()
    adjective: str = ""
    plural: bool = False


class Clause(NamedTuple):
    """Something that happens: ``agent`` does ``verb`` to ``patient`` at ``place`` and ``time``."""

    agent: Thing
    verb: str
    patient: Thing | None = None
    place: Thing | None = None
    time: str = ""
    tense: Tense = Tense.PRESENT
    negated: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is fixed.

    Attributes:
        people: by name, with their trade.
        homes: the place of each person, in the same order.
        places: by name.
        likes: for each verb, the kinds it is usually done to, most of the time.
        doers: for each verb, the kinds that usually do it.
    """

    people: tuple[Thing, ...]
    homes: tuple[Thing, ...]
    places: tuple[Thing, ...]
    likes: Mapping[str, tuple[str, ...]]
    doers: Mapping[str, tuple[str, ...]]

    def being(self, rng: Random, verb: Verb) -> Thing:
        """Somebody who would do ``verb``: two in three by name."""
        if "worker" in verb.agents and rng.random() < 0.67:
            return rng.choice(self.people)
        return self.some(rng, self.usual(rng, self.doers[verb.gloss], verb.agents))

    def patient(self, rng: Random, verb: Verb) -> Thing:
        """What ``verb`` would be done to: by name every other time, where it is done to people."""
        if "worker" in verb.patients and rng.random() < 0.5:
            return rng.choice(self.people)
        return self.some(rng, self.usual(rng, self.likes[verb.gloss], verb.patients))

    def usual(self, rng: Random, preferred: tuple[str, ...], categories: tuple[str, ...]) -> str:
        """A kind: a preferred one four times in five."""
        if rng.random() < 0.8:
            return rng.choice(preferred)
        return rng.choice(KINDS[rng.choice(categories)])

    def some(self, rng: Random, kind: str) -> Thing:
        """Some of a kind, now and then with an adjective."""
        adjective = rng.choice(ADJECTIVES) if rng.random() < 0.25 else ""
        return Thing(kind, adjective=adjective, plural=rng.random() < 0.3)

    def clause(self, rng: Random, *, agent: Thing | None = None, verb: str = "") -> Clause:
        """An event; what is given is kept, the rest is drawn."""
        action = VERBS[verb] if verb else rng.choice(_VERB_LIST)
        return Clause(
            agent=agent or self.being(rng, action),
            verb=action.gloss,
            patient=self.patient(rng, action),
            place=rng.choice(self.places) if rng.random() < 0.4 else None,
            time=rng.choice(TIMES) if rng.random() < 0.2 else "",
            tense=rng.choice(_TENSES),
        )

    def following(self, rng: Random, clause: Clause) -> Clause:
        """What tends to come after ``clause``."""
        verb = VERBS[VERBS[clause.verb].then]
        patient = clause.patient
        if patient is not None and CATEGORY_OF.get(patient.kind) not in verb.patients:
            patient = self.patient(rng, verb)
        return clause._replace(verb=verb.gloss, patient=patient, place=None, time="")

    def home(self, rng: Random) -> Clause:
        """Where somebody lives."""
        index = rng.randrange(len(self.people))
        return Clause(self.people[index], "live", place=self.homes[index])


_TENSES = tuple(Tense)
_VERB_LIST = tuple(VERBS.values())
_NAME_SYLLABLES = ("ba", "do", "fe", "gi", "ju", "ka", "lo", "mu", "na", "po", "ra", "si", "te", "vo")
_PERSON_ENDINGS = ("rin", "mel", "dan", "sha", "vik", "tor")
_PLACE_ENDINGS = ("burg", "holm", "gard", "port", "dal", "vil")


@cache
def make_world(seed: int = WORLD_SEED) -> World:
    """The world that grows from ``seed``."""
    rng = Random(f"world/{seed}")
    people = tuple(_named(rng, _PERSON_ENDINGS, 30, KINDS["worker"]))
    places = tuple(_named(rng, _PLACE_ENDINGS, 12, ("place",)))
    likes, doers = {}, {}
    for verb in VERBS.values():
        doers[verb.gloss] = tuple(rng.sample([k for c in verb.agents for k in KINDS[c]], 2))
        likes[verb.gloss] = tuple(rng.sample([k for c in verb.patients for k in KINDS[c]], 3))
    homes = tuple(rng.choice(places) for _ in people)
    return World(people, homes, places, likes, doers)


def _named(rng: Random, endings: tuple[str, ...], count: int, kinds: tuple[str, ...]) -> list[Thing]:
    """``count`` bearers of different names; one name in four has two words."""
    names: dict[Name, Thing] = {}
    while len(names) < count:
        words = [(rng.choice(_NAME_SYLLABLES), rng.choice(endings))]
        if rng.random() < 0.25:
            words.append((rng.choice(_NAME_SYLLABLES), rng.choice(endings)))
        names.setdefault(tuple(words), Thing(rng.choice(kinds), name=tuple(words)))
    return list(names.values())
