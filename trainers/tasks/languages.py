"""The languages of XTREME and XTREME-R, and what "low-resource" means.

Speech communities differ in how much text there is; four definitions in use disagree at the edges
(Tagalog is class 3 with 3.1 GiB, Basque class 4 with 2.0 GiB). The default joins the two that say
most about a multilingual encoder: few labelled and unlabelled resources, or little text seen.

Sources: Joshi et al. 2020, arXiv:2004.09095 (classes 0 to 5); Conneau et al. 2020,
arXiv:1911.02116 (CC-100 sizes; 0 where XLM-R never saw the language).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainers.errors import TaskError, UnknownLanguageError

_FEW_RESOURCES_CLASS = 2
_LITTLE_TEXT_GIB = 5.0


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        iso: ISO 639-1 code.
        name: English name.
        script: ISO 15924 code.
        family: family, with the branch for Indo-European.
        joshi_class: 0 (nothing) to 5 (plenty) of labelled and unlabelled resources.
        cc100_gib: text XLM-R was trained on, GiB.
        in_mbert: whether mBERT saw it.
        in_xlmr: whether XLM-R saw it.
    """

    iso: str
    name: str
    script: str
    family: str
    joshi_class: int
    cc100_gib: float
    in_mbert: bool
    in_xlmr: bool


LANGUAGES: Mapping[str, Language] = {
    language.iso: language
    for language in (
        Language("qu", "Quechua", "Latn", "Quechuan", 1, 0.0, False, False),
        Language("jv", "Javanese", "Latn", "Austronesian", 1, 0.2, True, True),
        Language("my", "Burmese", "Mymr", "Sino-Tibetan", 1, 1.6, True, True),
        Language("gu", "Gujarati", "Gujr", "IE-Indo-Aryan", 1, 1.9, True, True),
        Language("te", "Telugu", "Telu", "Dravidian", 1, 4.7, True, True),
        Language("az", "Azerbaijani", "Latn", "Turkic", 1, 6.5, True, True),
        Language("ml", "Malayalam", "Mlym", "Dravidian", 1, 7.6, True, True),
        Language("ht", "Haitian Creole", "Latn", "Creole", 2, 0.0, True, False),
        Language("wo", "Wolof", "Latn", "Niger-Congo", 2, 0.0, False, False),
        Language("yo", "Yoruba", "Latn", "Niger-Congo", 2, 0.0, True, False),
        Language("pa", "Punjabi", "Guru", "IE-Indo-Aryan", 2, 0.8, True, True),
        Language("sw", "Swahili", "Latn", "Niger-Congo", 2, 1.6, True, True),
        Language("mr", "Marathi", "Deva", "IE-Indo-Aryan", 2, 2.8, True, True),
        Language("af", "Afrikaans", "Latn", "IE-Germanic", 3, 1.3, True, True),
        Language("tl", "Tagalog", "Latn", "Austronesian", 3, 3.1, True, True),
        Language("ur", "Urdu", "Arab", "IE-Indo-Aryan", 3, 5.7, True, True),
        Language("et", "Estonian", "Latn", "Uralic", 3, 6.1, True, True),
        Language("kk", "Kazakh", "Cyrl", "Turkic", 3, 6.4, True, True),
        Language("bn", "Bengali", "Beng", "IE-Indo-Aryan", 3, 8.4, True, True),
        Language("ms", "Malay", "Latn", "Austronesian", 3, 8.5, True, True),
        Language("ka", "Georgian", "Geor", "Kartvelian", 3, 9.1, True, True),
        Language("ta", "Tamil", "Taml", "Dravidian", 3, 12.2, True, True),
        Language("lt", "Lithuanian", "Latn", "IE-Baltic", 3, 13.7, True, True),
        Language("he", "Hebrew", "Hebr", "Afro-Asiatic", 3, 31.6, True, True),
        Language("el", "Greek", "Grek", "IE-Greek", 3, 46.9, True, True),
        Language("bg", "Bulgarian", "Cyrl", "IE-Slavic", 3, 57.5, True, True),
        Language("ro", "Romanian", "Latn", "IE-Romance", 3, 61.4, True, True),
        Language("th", "Thai", "Thai", "Kra-Dai", 3, 71.7, True, True),
        Language("uk", "Ukrainian", "Cyrl", "IE-Slavic", 3, 84.6, True, True),
        Language("id", "Indonesian", "Latn", "Austronesian", 3, 148.3, True, True),
        Language("eu", "Basque", "Latn", "Basque (isolate)", 4, 2.0, True, True),
        Language("hi", "Hindi", "Deva", "IE-Indo-Aryan", 4, 20.2, True, True),
        Language("tr", "Turkish", "Latn", "Turkic", 4, 20.9, True, True),
        Language("nl", "Dutch", "Latn", "IE-Germanic", 4, 29.3, True, True),
        Language("it", "Italian", "Latn", "IE-Romance", 4, 30.2, True, True),
        Language("pl", "Polish", "Latn", "IE-Slavic", 4, 44.6, True, True),
        Language("pt", "Portuguese", "Latn", "IE-Romance", 4, 49.1, True, True),
        Language("ko", "Korean", "Hang", "Koreanic (isolate)", 4, 54.2, True, True),
        Language("fi", "Finnish", "Latn", "Uralic", 4, 54.3, True, True),
        Language("hu", "Hungarian", "Latn", "Uralic", 4, 58.4, True, True),
        Language("fa", "Persian", "Arab", "IE-Iranian", 4, 111.6, True, True),
        Language("vi", "Vietnamese", "Latn", "Austro-Asiatic", 4, 137.3, True, True),
        Language("ru", "Russian", "Cyrl", "IE-Slavic", 4, 278.0, True, True),
        Language("ar", "Arabic", "Arab", "Afro-Asiatic", 5, 28.0, True, True),
        Language("zh", "Mandarin", "Hans", "Sino-Tibetan", 5, 46.9, True, True),
        Language("es", "Spanish", "Latn", "IE-Romance", 5, 53.3, True, True),
        Language("fr", "French", "Latn", "IE-Romance", 5, 56.8, True, True),
        Language("de", "German", "Latn", "IE-Germanic", 5, 66.6, True, True),
        Language("ja", "Japanese", "Jpan", "Japonic", 5, 69.3, True, True),
        Language("en", "English", "Latn", "IE-Germanic", 5, 300.8, True, True),
    )
}


def _few_resources(language: Language) -> bool:
    return language.joshi_class <= _FEW_RESOURCES_CLASS


def _little_text(language: Language) -> bool:
    return language.cc100_gib < _LITTLE_TEXT_GIB


DEFINITIONS: Mapping[str, Callable[[Language], bool]] = {
    "default": lambda language: _few_resources(language) or _little_text(language),
    "joshi<=2": _few_resources,
    "cc100<5": _little_text,
    "unseen": lambda language: not language.in_xlmr,
}


def language(code: str) -> Language:
    """The language of an ISO code.

    Raises:
        UnknownLanguageError: no such code; names the nearest.
    """
    try:
        return LANGUAGES[code]
    except KeyError:
        raise UnknownLanguageError(code, LANGUAGES) from None


def low_resource(definition: str | Sequence[str], world: str = "hub") -> tuple[str, ...]:
    """ISO codes of the low-resource languages, in the order of the table or of the list given.

    Args:
        definition: a name in ``DEFINITIONS`` or a list of codes. The toy world has one set of its
            own, called ``default``.
        world: ``hub`` or ``toy``.

    Raises:
        UnknownLanguageError: a listed code is not in the world.
        TaskError: no definition of that name.
    """
    if world == "toy":
        return _toy_low_resource(definition)
    if not isinstance(definition, str):
        return tuple(dict.fromkeys(language(code).iso for code in definition))
    if definition not in DEFINITIONS:
        raise _unknown_definition(definition, list(DEFINITIONS))
    return tuple(iso for iso, entry in LANGUAGES.items() if DEFINITIONS[definition](entry))


def _toy_low_resource(definition: str | Sequence[str]) -> tuple[str, ...]:
    from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES
    from trainers.tasks.toy.languages import LOW_RESOURCE

    if isinstance(definition, str):
        if definition != "default":
            raise _unknown_definition(definition, ["default"])
        return tuple(LOW_RESOURCE)
    known = tuple(TOY_LANGUAGES)
    for code in definition:
        if code not in known:
            raise UnknownLanguageError(code, known, where="the toy world")
    return tuple(dict.fromkeys(definition))


def _unknown_definition(definition: str, known: list[str]) -> TaskError:
    return TaskError(
        f"no definition of low-resource is called {definition!r}: use {', '.join(known)}, "
        f"or a list of ISO codes such as [sw, te, yo]"
    )
