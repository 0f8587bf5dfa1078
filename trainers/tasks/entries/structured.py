"""Targets that tag tokens: parts of speech and names.

XTREME-R's additions come from the hub's own collections: one treebank each for Lithuanian, Polish,
Ukrainian, Wolof and Romanian, and WikiANN's eight further languages. Classes are compared by name, so
treebanks that order them otherwise are read alike. Names are scored on the validation split, halved,
as mirrors tend to have no tagged test split.
"""

from __future__ import annotations

from trainers.tasks.entries.published import EN, UNPINNED, XTREME, XTREME_REVISION, words
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

UPOS = words("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X")
_UDPOS_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "kk": "Kazakh", "ko": "Korean",
    "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu",
    "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip
_UDPOS_ROWS = {
    "af": 425, "ar": 1_680, "bg": 1_116, "de": 22_458, "el": 2_809, "en": 5_440, "es": 3_147,
    "et": 3_760, "eu": 1_799, "fa": 600, "fi": 4_422, "fr": 9_465, "he": 491, "hi": 2_684,
    "hu": 449, "id": 1_557, "it": 3_518, "ja": 2_372, "kk": 1_047, "ko": 4_276, "mr": 47,
    "nl": 1_471, "pt": 2_681, "ru": 11_336, "ta": 120, "te": 146, "th": 1_000, "tl": 55,
    "tr": 4_785, "ur": 535, "vi": 800, "yo": 100, "zh": 5_528,
}  # fmt: skip
_TREEBANKS = {"lt": "lt_alksnis", "pl": "pl_pdb", "uk": "uk_iu", "wo": "wo_wtf", "ro": "ro_rrt"}
_PANX_LANGUAGES = words(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta "
    "te th tl tr ur vi yo zh"
)
_PANX_ROWS = {
    **dict.fromkeys(words("af bn hi kk ml mr ms sw ta te tl ur"), 1_000),
    **dict.fromkeys(words("jv my yo"), 100),
}
_WIKIANN_ROWS = {"az": 1_000, **dict.fromkeys(words("gu pa qu"), 100)}

_UDPOS = HubData(XTREME, XTREME_REVISION, "udpos.{language}", _UDPOS_NAMES)
_UDPOS_TRAIN = Split(_UDPOS, "train", EN, n_rows=21_253)
_UDPOS_TEST = (
    Split(_UDPOS, "test", tuple(_UDPOS_NAMES), rows_in=_UDPOS_ROWS),
    Split(
        HubData("universal-dependencies/universal_dependencies", UNPINNED, "{language}", _TREEBANKS),
        "test",
        tuple(_TREEBANKS),
    ),
)
_MASAKHAPOS = HubData("masakhane/masakhapos", UNPINNED, "{language}", {"sw": "swa", "yo": "yor"})
_MASAKHAPOS_TEST = Split(_MASAKHAPOS, "test", ("sw", "yo"), rows_in={"sw": 553, "yo": 713})
_PANX = HubData(XTREME, XTREME_REVISION, "PAN-X.{language}")
_PANX_DEV = (
    Split(_PANX, "validation", _PANX_LANGUAGES, n_rows=10_000, rows_in=_PANX_ROWS),
    Split(
        HubData("unimelb-nlp/wikiann", "f0a3be6dc5564c0cc4150bb660144800a1f539d4", "{language}"),
        "validation",
        words("qu pl uk az lt pa gu ro"),
        n_rows=10_000,
        rows_in=_WIKIANN_ROWS,
    ),
)

STRUCTURED_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="udpos",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "pos_tags|upos"},
        labels=UPOS,
        train=(_UDPOS_TRAIN,),
        search=_UDPOS_TEST,
        report=_UDPOS_TEST,
        metric=Metric.SPAN_F1,
        group="structured",
        licence="each treebank its own, mostly CC BY-SA 4.0",
        paper="Nivre et al. 2018, Universal Dependencies 2.5; Hu et al. 2020, arXiv:2003.11080",
    ),
    TaskSpec(
        name="panx",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "ner_tags"},
        labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
        train=(Split(_PANX, "train", EN, n_rows=20_000),),
        search=_PANX_DEV,
        report=_PANX_DEV,
        metric=Metric.SPAN_F1,
        group="structured",
        licence="CC BY-SA 3.0",
        paper="Pan et al. 2017, P17-1178; Rahimi et al. 2019, arXiv:1902.00193",
    ),
    TaskSpec(
        name="masakhapos",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "pos_tags|upos"},
        labels=UPOS,
        train=(_UDPOS_TRAIN,),
        search=(_MASAKHAPOS_TEST,),
        report=(_MASAKHAPOS_TEST,),
        metric=Metric.SPAN_F1,
        group="structured",
        licence="CC BY-NC 4.0",
        paper="Dione et al. 2023, arXiv:2305.13989",
    ),
)
