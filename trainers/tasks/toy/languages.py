"""The eight invented languages of the toy world: kin, order, affixes, script, amount of text.

Their codes lie in ISO 639-2's range for private use (``qaa`` to ``qtz``), so none is anybody's
language. Plain data: the words are made in ``lexicon.py``, the sentences in ``grammar.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LATIN = "abdefghijklmnoprstuvz"
_SCRIPTS = {
    "latin": LATIN,
    "cyrillic": "абдефгхийклмнопрстувз",
    "greek": "αβδεφγχιξκλμνοπρστυωζ",
}


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the toy world.

    Attributes:
        code: three letters for private use.
        name: invented.
        kin_share: share of its stems that descend from the rich language's, 0 to 1.
        sound_laws: letters that changed in every word that descends, old -> new.
        order: constituents of a clause: S agent, V verb, O patient, P place, T time.
        adjective_first: adjective before its noun.
        prepositions: adposition before its noun phrase, else after.
        article: noun phrases with a kind start with a word for "the".
        plural: affix of plural nouns; a leading ``-`` marks a suffix.
        accusative: affix of patients, may be empty.
        past: affix of verbs.
        future: affix of verbs.
        script: ``latin``, ``cyrillic`` or ``greek`` letters, one for one.
        n_documents: passages of pretraining text.
        n_parallel: sentences of pretraining text that stand beside their translation.
    """

    code: str
    name: str
    kin_share: float
    sound_laws: Mapping[str, str]
    order: str
    adjective_first: bool
    prepositions: bool
    article: bool
    plural: str
    accusative: str
    past: str
    future: str
    script: str
    n_documents: int
    n_parallel: int

    def write(self, latin: str) -> str:
        """``latin`` in this language's letters."""
        return latin.translate(str.maketrans(LATIN, _SCRIPTS[self.script]))


_AURIC = Language(
    code="qau", name="Auric", kin_share=1.0, sound_laws={}, order="SVOPT",
    adjective_first=True, prepositions=True, article=False,
    plural="s", accusative="", past="ed", future="ul", script="latin",
    n_documents=6000, n_parallel=0,
)  # fmt: skip
_BELUNE = Language(
    code="qbe", name="Belune", kin_share=0.8, sound_laws={"z": "s"}, order="SVOTP",
    adjective_first=False, prepositions=True, article=True,
    plural="i", accusative="", past="av", future="or", script="latin",
    n_documents=1200, n_parallel=900,
)  # fmt: skip
_CORVIAN = Language(
    code="qco", name="Corvian", kin_share=0.5, sound_laws={"d": "t"}, order="STPOV",
    adjective_first=True, prepositions=False, article=False,
    plural="lar", accusative="un", past="di", future="ga", script="greek",
    n_documents=1200, n_parallel=900,
)  # fmt: skip
_DATHI = Language(
    code="qda", name="Dathi", kin_share=0.9, sound_laws={"p": "f"}, order="SOVPT",
    adjective_first=True, prepositions=True, article=False,
    plural="en", accusative="a", past="te", future="ri", script="latin",
    n_documents=450, n_parallel=700,
)  # fmt: skip
_ESKER = Language(
    code="qes", name="Esker", kin_share=0.8, sound_laws={"b": "v"}, order="VSOPT",
    adjective_first=False, prepositions=True, article=True,
    plural="od", accusative="", past="na", future="mi", script="latin",
    n_documents=450, n_parallel=700,
)  # fmt: skip
_FELMI = Language(
    code="qfe", name="Felmi", kin_share=0.6, sound_laws={"t": "d"}, order="TSVOP",
    adjective_first=True, prepositions=True, article=False,
    plural="ti", accusative="um", past="la", future="bu", script="cyrillic",
    n_documents=450, n_parallel=900,
)  # fmt: skip
_GORRAN = Language(
    code="qgo", name="Gorran", kin_share=0.7, sound_laws={"f": "h"}, order="SPTOV",
    adjective_first=False, prepositions=False, article=False,
    plural="ler", accusative="i", past="do", future="ka", script="latin",
    n_documents=350, n_parallel=600,
)  # fmt: skip
_HULO = Language(
    code="qhu", name="Hulo", kin_share=0.5, sound_laws={"j": "i"}, order="TVSOP",
    adjective_first=True, prepositions=True, article=False,
    plural="an", accusative="", past="os", future="ep", script="latin",
    n_documents=300, n_parallel=500,
)  # fmt: skip

LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (_AURIC, _BELUNE, _CORVIAN, _DATHI, _ESKER, _FELMI, _GORRAN, _HULO)
}
RICH = "qau"
LOW_RESOURCE = ("qda", "qes", "qfe", "qgo", "qhu")
