"""The words of each language, made from a seed: what descends, what is its own.

The rich language's stems are invented first. A language that is kin takes over a share of them and
bends them by its sound laws; where a law finds nothing to bend, the word stays the same and so does
its token. That is how a language with little text is helped by a large relative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

from trainers.tasks.toy.languages import LANGUAGES, RICH, Language
from trainers.tasks.toy.world import ADJECTIVES, FUNCTION_WORDS, KINDS, TIMES, VERBS

_ONSETS = tuple("bdfghjklmnprstvz")
_VOWELS = tuple("aeiou")
_CODAS = tuple("lmnrstk")

GLOSSES: tuple[str, ...] = (
    *KINDS, *(kind for kinds in KINDS.values() for kind in kinds), *ADJECTIVES, *VERBS, *TIMES,
)  # fmt: skip
_WITH_SYNONYM = frozenset((*ADJECTIVES[::2], *tuple(VERBS)[::2], *KINDS["animal"], *KINDS["food"]))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Stems by gloss, in the language's letters. The first is the usual one."""

    language: Language
    stems: Mapping[str, tuple[str, ...]]


@cache
def lexicon(code: str) -> Lexicon:
    """The words of one language."""
    language = LANGUAGES[code]
    latin = _rich_stems() if code == RICH else _stems_of(language)
    return Lexicon(language, {gloss: tuple(map(language.write, s)) for gloss, s in latin.items()})


@cache
def _rich_stems() -> Mapping[str, tuple[str, ...]]:
    rng = Random("lexicon/rich")
    taken: set[str] = set()
    stems = {gloss: (_invent(rng, taken, 2),) for gloss in GLOSSES}
    stems |= {word: (_invent(rng, taken, 1),) for word in FUNCTION_WORDS}
    return stems | {
        gloss: (*stems[gloss], _invent(rng, taken, 2)) for gloss in GLOSSES if gloss in _WITH_SYNONYM
    }


def _stems_of(language: Language) -> Mapping[str, tuple[str, ...]]:
    """Stems of a language beside the rich one: inherited and bent, or its own."""
    rng = Random(f"lexicon/{language.code}")
    laws = str.maketrans(dict(language.sound_laws))
    taken: set[str] = {stem for stems in _rich_stems().values() for stem in stems}
    out: dict[str, tuple[str, ...]] = {}
    for gloss, inherited in _rich_stems().items():
        heir = inherited[0].translate(laws)
        if rng.random() < language.kin_share and (heir == inherited[0] or heir not in taken):
            taken.add(heir)
            out[gloss] = (heir,)
        else:
            out[gloss] = (_invent(rng, taken, 1 if gloss in FUNCTION_WORDS else 2),)
    return out


def _invent(rng: Random, taken: set[str], n_syllables: int) -> str:
    """A stem nobody has yet; it ends in a consonant, so that suffixes show."""
    while True:
        syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(n_syllables))
        stem = "".join(syllables) + rng.choice(_CODAS)
        if stem not in taken:
            taken.add(stem)
            return stem
