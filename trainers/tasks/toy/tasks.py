"""One maker per toy task: a random number generator in, one row in canonical columns out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from trainers.tasks.toy.catalog import INITIAL_CLASSES, ROLE_TAGS
from trainers.tasks.toy.grammar import NAME_TAGS, POS, Speaker, Word, span, text
from trainers.tasks.toy.languages import LATIN, RICH
from trainers.tasks.toy.lexicon import lexicon
from trainers.tasks.toy.world import (
    CATEGORY_OF,
    KINDS,
    OPPOSITES,
    TIMES,
    VERBS,
    Clause,
    Role,
    Thing,
    World,
    make_world,
)

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Teller:
    """A world, and somebody who speaks of it in one language."""

    world: World
    speaker: Speaker
    rich: Speaker

    @classmethod
    def of(cls, language: str) -> Teller:
        """A teller of the default world in ``language``."""
        return cls(make_world(), Speaker(lexicon(language)), Speaker(lexicon(RICH)))

    def say(self, rng: Random, *clauses: Clause) -> str:
        """The clauses as one text."""
        return " ".join(text(self.speaker.say(clause, rng)) for clause in clauses)


Maker = Callable[[Teller, Random], Row]


def entailment(teller: Teller, rng: Random) -> Row:
    """Premise and hypothesis: follows, may be, cannot be.

    What follows is often vaguer, what may be often says more, what cannot be often says "not": the
    traces that people leave in such data, too.
    """
    premise = _with_place(teller.world, rng)
    label = rng.randrange(3)
    hypothesis = (_weakened, _enriched(teller.world), _denied)[label](rng, premise)
    return {"first": teller.say(rng, premise), "second": teller.say(rng, hypothesis), "label": label}


def paraphrase(teller: Teller, rng: Random) -> Row:
    """The same said again, or something else (0 different, 1 same)."""
    clause = _with_place(teller.world, rng)
    label = rng.randrange(2)
    other = clause if label else rng.choice((_denied, _swapped_or_changed(teller.world)))(rng, clause)
    first, second = rng.sample((clause, other), 2)
    return {"first": teller.say(rng, first), "second": teller.say(rng, second), "label": label}


def reading(teller: Teller, rng: Random) -> Row:
    """A passage, a question on what happened in it, and the words that answer it.

    Every other passage also tells where somebody lives, before or after.
    """
    world = teller.world
    event = _with_place(world, rng)
    clauses = rng.sample((event, world.home(rng)), 2) if rng.random() < 0.5 else [event]
    target = clauses.index(event)
    role = rng.choice((Role.AGENT, Role.PATIENT, Role.PLACE))
    said = [teller.speaker.say(clause, rng) for clause in clauses]
    texts = [text(words) for words in said]
    start, end = span(said[target], role)
    before = sum(len(t) + 1 for t in texts[:target])
    asked = event._replace(time="", place=None)
    return {
        "context": " ".join(texts),
        "question": text(teller.speaker.ask(asked, role, rng)),
        "answers": [texts[target][start:end]],
        "starts": [before + start],
    }


def continuation(teller: Teller, rng: Random) -> Row:
    """An event and three that might come next: what tends to follow, and two that do not."""
    clause = teller.world.clause(rng)
    follows = teller.world.following(rng, clause)
    verbs = [v for v in VERBS if v not in (clause.verb, follows.verb)]
    wrong = [follows._replace(verb=verb) for verb in rng.sample(verbs, 2)]
    return _choice(rng, teller.say(rng, clause), "", [teller.say(rng, c) for c in (follows, *wrong)])


def commonsense(teller: Teller, rng: Random) -> Row:
    """Who usually does this, or what is it usually done to: one kind that fits, two that never."""
    world, verb = teller.world, VERBS[rng.choice(tuple(VERBS))]
    role = rng.choice((Role.AGENT, Role.PATIENT))
    fit, able = (
        (world.doers, verb.agents) if role is Role.AGENT else (world.likes, verb.patients)
    )  # fmt: skip
    unable = [kind for kind in CATEGORY_OF if kind not in fit[verb.gloss]]
    unable = [kind for kind in unable if CATEGORY_OF[kind] not in able] or unable
    kinds = (rng.choice(fit[verb.gloss]), *rng.sample(unable, 2))
    question = text(teller.speaker.ask(world.clause(rng, verb=verb.gloss), role, rng))
    return _choice(rng, "", question, [lexicon(RICH).stems[kind][0] for kind in kinds])


def roles(teller: Teller, rng: Random) -> Row:
    """Each word with what it does in its clause."""
    return _tagged(_sentence(teller, rng), lambda word: ROLE_TAGS.index(word.job))


def initials(teller: Teller, rng: Random) -> Row:
    """Each word with the class of its first letter: form alone, no meaning."""
    width = -(-len(LATIN) // len(INITIAL_CLASSES))

    def letter_class(word: Word) -> int:
        return max(LATIN.find(word.text[0]), 0) // width

    return _tagged(_sentence(teller, rng), letter_class)


def length(teller: Teller, rng: Random) -> Row:
    """Two sentences: is the second one's last word the longer one? Form alone, no meaning."""
    first, second = _sentence(teller, rng), _sentence(teller, rng)
    longer = len(second[-2].text) > len(first[-2].text)
    return {"first": text(first), "second": text(second), "label": int(longer)}


def pos(teller: Teller, rng: Random) -> Row:
    """Each word with its part of speech."""
    return _tagged(_sentence(teller, rng), lambda word: POS.index(word.pos))


def names(teller: Teller, rng: Random) -> Row:
    """Each word with the name it begins or continues."""
    return _tagged(_sentence(teller, rng), lambda word: NAME_TAGS.index(word.name))


def translation(teller: Teller, rng: Random) -> Row:
    """A sentence in the rich language and the same in this one."""
    clause = _with_place(teller.world, rng)
    return {"query": text(teller.rich.say(clause, rng)), "document": teller.say(rng, clause)}


def passage(teller: Teller, rng: Random) -> Row:
    """Running text: what happened, what followed, who lives where, what is not so, and answers."""
    world = teller.world
    clause = world.clause(rng)
    kind = rng.randrange(4)
    if kind == 0:
        return {"text": teller.say(rng, clause, world.following(rng, clause))}
    if kind == 1:
        opposite = _denied(rng, clause)._replace(place=None)
        return {"text": teller.say(rng, clause, opposite._replace(negated=not opposite.negated))}
    if kind == 2:
        return {"text": teller.say(rng, clause, _weakened(rng, clause), world.home(rng))}
    asked, role = _question(rng, clause)
    question = text(teller.speaker.ask(asked, role, rng))
    return {"text": f"{question} {teller.say(rng, clause)}"}


def parallel(teller: Teller, rng: Random) -> Row:
    """A sentence or a question and its translation side by side, in either order."""
    clause = teller.world.clause(rng)._replace(negated=rng.random() < 0.15)
    both = (teller.rich, teller.speaker)
    if rng.random() < 0.3:
        asked, role = _question(rng, clause)
        said = [text(speaker.ask(asked, role, rng)) for speaker in both]
    else:
        said = [text(speaker.say(clause, rng)) for speaker in both]
    return {"text": " ".join(rng.sample(said, 2))}


def _question(rng: Random, clause: Clause) -> tuple[Clause, Role]:
    """The clause as one asks for a part of it, and that part."""
    role = rng.choice(
        (Role.AGENT, Role.PATIENT, Role.PLACE) if clause.place else (Role.AGENT, Role.PATIENT)
    )
    return clause._replace(time="", place=None), role


def _sentence(teller: Teller, rng: Random) -> list[Word]:
    """One sentence of two in three clauses an event, the others a home."""
    world = teller.world
    clause = world.clause(rng) if rng.random() < 0.8 else world.home(rng)
    return teller.speaker.say(clause._replace(negated=rng.random() < 0.15), rng)


def _with_place(world: World, rng: Random) -> Clause:
    return world.clause(rng)._replace(place=rng.choice(world.places))


def _weakened(rng: Random, clause: Clause) -> Clause:
    """Something that follows from ``clause``: one or two parts spoken of vaguely, or left out."""
    agent, patient = clause.agent, clause.patient
    which = rng.randrange(3)
    if which != 1:
        agent = _vague(agent)
    if which != 0 and patient is not None:
        patient = _vague(patient)
    place = clause.place if rng.random() < 0.3 else None
    return clause._replace(agent=agent, patient=patient, place=place, time="")


def _vague(thing: Thing) -> Thing:
    """The category of a thing, its name and details left out."""
    return Thing(CATEGORY_OF.get(thing.kind, thing.kind), plural=thing.plural)


def _enriched(world: World) -> Callable[[Random, Clause], Clause]:
    """A change that may be true as well: a detail nobody told, and now and then another deed."""

    def change(rng: Random, clause: Clause) -> Clause:
        clause = _changed(world, rng, clause) if rng.random() < 0.4 else clause
        if clause.patient is not None and not clause.patient.name and not clause.patient.adjective:
            told = clause.patient._replace(adjective=rng.choice(tuple(OPPOSITES)))
            return clause._replace(patient=told)
        return clause._replace(time=rng.choice([time for time in TIMES if time != clause.time]))

    return change


def _denied(rng: Random, clause: Clause) -> Clause:
    """Something that cannot be true beside ``clause``."""
    patient = clause.patient
    ways = [clause._replace(negated=not clause.negated)] * 2
    if clause.verb in VERBS:
        ways.append(clause._replace(verb=VERBS[clause.verb].opposite))
    if patient is not None and patient.adjective:
        ways.append(clause._replace(patient=patient._replace(adjective=OPPOSITES[patient.adjective])))
    return rng.choice(ways)


def _changed(world: World, rng: Random, clause: Clause) -> Clause:
    """Something else, that may be as well: another agent, patient or deed."""
    verb = VERBS[clause.verb]
    other = rng.choice([v for v in VERBS if v not in (clause.verb, verb.opposite)])
    patient = clause.patient
    if patient is not None and not patient.name:
        kinds = [kind for kind in KINDS[CATEGORY_OF[patient.kind]] if kind != patient.kind]
        patient = patient._replace(kind=rng.choice(kinds))
    elif patient is not None:
        patient = rng.choice([person for person in world.people if person != patient])
    agent = rng.choice([person for person in world.people if person != clause.agent])
    ways = (clause._replace(verb=other), clause._replace(patient=patient), clause._replace(agent=agent))
    return rng.choice(ways)


def _swapped_or_changed(world: World) -> Callable[[Random, Clause], Clause]:
    """A change that turns agent and patient around where both are beings."""

    def change(rng: Random, clause: Clause) -> Clause:
        patient = clause.patient
        if patient is not None and CATEGORY_OF.get(patient.kind) in ("animal", "worker"):
            return clause._replace(agent=patient, patient=clause.agent)
        return _changed(world, rng, clause)

    return change


def _choice(rng: Random, context: str, question: str, right_first: list[str]) -> Row:
    order = rng.sample(range(len(right_first)), len(right_first))
    choices = [right_first[i] for i in order]
    return {"context": context, "question": question, "choices": choices, "label": order.index(0)}


def _tagged(words: list[Word], tag: Callable[[Word], int]) -> Row:
    return {"tokens": [word.text for word in words], "tags": [tag(word) for word in words]}


MAKERS: Mapping[str, Maker] = {
    "toy_entailment": entailment,
    "toy_paraphrase": paraphrase,
    "toy_reading": reading,
    "toy_continuation": continuation,
    "toy_commonsense": commonsense,
    "toy_roles": roles,
    "toy_initials": initials,
    "toy_length": length,
    "toy_pos": pos,
    "toy_names": names,
    "toy_xnli": entailment,
    "toy_xqa": reading,
    "toy_tatoeba": translation,
    "toy_text": passage,
}
