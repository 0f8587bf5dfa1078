"""Targets that find a sentence or an entity: BUCC, Tatoeba, LAReQA, Mewsli-X.

BUCC and Tatoeba are never trained: they read the encoder as the stages before left it. LAReQA and
Mewsli-X train a dual encoder in English. XTREME-R's five further Tatoeba languages, BUCC's candidate
sentences, XQuAD-R and Mewsli-X are on no hub in a readable form: only a mirror has them.
"""

from __future__ import annotations

from dataclasses import replace

from trainers.tasks.entries.published import (
    EN,
    SQUAD_TRAIN,
    UNPINNED,
    XTREME,
    XTREME_REVISION,
    words,
)
from trainers.tasks.languages import LANGUAGES
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

_TATOEBA_NAMES = {
    "af": "afr", "ar": "ara", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "es": "spa",
    "et": "est", "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin",
    "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz",
    "ko": "kor", "ml": "mal", "mr": "mar", "nl": "nld", "pt": "por", "ru": "rus", "sw": "swh",
    "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur", "ur": "urd", "vi": "vie",
    "zh": "cmn",
}  # fmt: skip
_TATOEBA_ROWS = {
    "jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548,
}  # fmt: skip
_TATOEBA_MORE = {"az": "aze", "lt": "lit", "pl": "pol", "ro": "ron", "uk": "ukr"}
_TATOEBA_DEV = (
    Split(
        HubData(XTREME, XTREME_REVISION, "tatoeba.{language}", _TATOEBA_NAMES),
        "validation",
        tuple(_TATOEBA_NAMES),
        n_rows=1_000,
        rows_in=_TATOEBA_ROWS,
    ),
    Split(
        HubData("local/tatoeba", UNPINNED, "tatoeba.{language}", _TATOEBA_MORE),
        "validation",
        tuple(_TATOEBA_MORE),
        n_rows=1_000,
    ),
)
_BUCC = HubData("local/bucc2018", UNPINNED, "{language}-en")
_BUCC_DEV = (
    Split(
        _BUCC, "validation_source", words("de fr ru zh"), rows_in={"zh": 8_624}, layout="bucc_foreign"
    ),
    Split(
        _BUCC, "validation_target", words("de fr ru zh"), rows_in={"zh": 13_589}, layout="bucc_english"
    ),
)
_LAREQA = Split(
    HubData("local/xquad-r", UNPINNED, "{language}"),
    "validation",
    words("ar de el en es hi ru th tr vi zh"),
    n_rows=1_190,
    layout="xquad_r",
)
_MEWSLIX = HubData("local/mewsli-x", UNPINNED, "{language}")
_MEWSLIX_LANGUAGES = words("ar de en es fa ja pl ro ta tr uk")

RETRIEVAL_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="bucc",
        family=FamilyName.MINING,
        columns={},
        search=_BUCC_DEV,
        report=_BUCC_DEV,
        metric=Metric.MINING_F1,
        max_length=512,
        group="retrieval",
        licence="research use",
        paper="Zweigenbaum et al. 2018, BUCC 2018; Artetxe and Schwenk 2019, arXiv:1811.01136",
    ),
    TaskSpec(
        name="tatoeba",
        family=FamilyName.RETRIEVAL,
        columns={"query": "target_sentence", "document": "source_sentence"},
        search=_TATOEBA_DEV,
        report=_TATOEBA_DEV,
        metric=Metric.ACCURACY_AT_1,
        max_length=512,
        group="retrieval",
        licence="CC BY 2.0 FR",
        paper="Artetxe and Schwenk 2019, arXiv:1812.10464",
    ),
    TaskSpec(
        name="lareqa",
        family=FamilyName.RANKING,
        columns={},
        train=(replace(SQUAD_TRAIN, layout="squad_sentences"),),
        search=(_LAREQA,),
        report=(_LAREQA,),
        pool=(_LAREQA,),
        metric=Metric.MAP_AT_20,
        max_length=256,
        group="retrieval",
        licence="CC BY-SA 4.0",
        paper="Roy et al. 2020, arXiv:2004.05484",
    ),
    TaskSpec(
        name="mewslix",
        family=FamilyName.RANKING,
        columns={},
        train=(Split(_MEWSLIX, "train", EN, layout="mewsli_x_pairs"),),
        search=(Split(_MEWSLIX, "validation", _MEWSLIX_LANGUAGES, layout="mewsli_x_queries"),),
        report=(Split(_MEWSLIX, "test", _MEWSLIX_LANGUAGES, layout="mewsli_x_queries"),),
        pool=(Split(_MEWSLIX, "candidates", tuple(LANGUAGES), layout="mewsli_x_candidates"),),
        metric=Metric.MAP_AT_20,
        max_length=64,
        group="retrieval",
        licence="Apache 2.0; text of Wikipedia and Wikinews under their own",
        paper="Ruder et al. 2021, arXiv:2104.07412",
    ),
)
