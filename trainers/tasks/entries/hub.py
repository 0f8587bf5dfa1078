"""Every task, one literal each.

To add a task, add a literal to ``HUB_TASKS``; the tests walk the list. Languages are data: a task
with forty languages is still one literal.

A column of the data is a name, a field of a struct (``answers.text``), several columns that make one
list (``answer0 answer1``), or alternatives of which the split has one (``sentence1|premise``: XNLI
trains on MNLI).

Where a split serves both the search and the report, each example belongs to one half by the hash
of its id (``trainers/tasks/canonical.py``). That is so for every target here: XTREME's test
splits are not public everywhere or miss languages, and one literal has to serve both the hub and
a mirror. XNLI uses its validation split for both, so that all its languages count.

Revisions are commits of the hub's repositories. ``UNPINNED`` marks one that could not be confirmed
when this was written: a study on the hub pins it with ``data.revisions`` in its spec, while a mirror
needs no revision (its files carry their own identity).
"""

from __future__ import annotations

from trainers.tasks.entries.ccg import SUPERTAGS
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

UNPINNED = ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_XTREME = "google/xtreme"
_XTREME_REVISION = UNPINNED
_GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
_ANLI = HubData("facebook/anli", "8e4813d81f46d313dac7892e1c28076917cfcdf9", "plain_text")
_SQUAD = HubData("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f", "plain_text")
_SQUAD_V2 = HubData("rajpurkar/squad_v2", "3ffb306f725f7d2ce8394bc1873b24868140c412", "squad_v2")
_HELLASWAG = HubData("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76")
_COMMONSENSE_QA = HubData("tau/commonsense_qa", "94630fe30dad47192a8546eb75f094926d47e155")
# The hub's own parquet conversion: the main branch holds only a loading script.
_COSMOS_QA = HubData("allenai/cosmos_qa", "ed50fe83db62b355759053b1cd5eef344ee371e0")
_TYDIQA = HubData(_XTREME, _XTREME_REVISION, "tydiqa")

_EN = ("en",)
_NLI_LABELS = ("entailment", "neutral", "contradiction")
_QA_COLUMNS = {
    "id": "id",
    "context": "context",
    "question": "question",
    "answers": "answers.text",
    "starts": "answers.answer_start",
}

_UDPOS_NAMES = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "kk": "Kazakh", "ko": "Korean",
    "mr": "Marathi", "nl": "Dutch", "pt": "Portuguese", "ru": "Russian", "ta": "Tamil",
    "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "ur": "Urdu",
    "vi": "Vietnamese", "yo": "Yoruba", "zh": "Chinese",
}  # fmt: skip
_TATOEBA_NAMES = {
    "af": "afr", "ar": "ara", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "es": "spa",
    "et": "est", "eu": "eus", "fa": "pes", "fi": "fin", "fr": "fra", "he": "heb", "hi": "hin",
    "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "jv": "jav", "ka": "kat", "kk": "kaz",
    "ko": "kor", "ml": "mal", "mr": "mar", "nl": "nld", "pt": "por", "ru": "rus", "sw": "swh",
    "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur", "ur": "urd", "vi": "vie",
    "zh": "cmn",
}  # fmt: skip
_TYDIQA_NAMES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian",
    "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
_PANX_LANGUAGES = _words(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta "
    "te th tl tr ur vi yo zh"
)
_XNLI_LANGUAGES = _words("ar bg de el en es fr hi ru sw th tr ur vi zh")
_XQUAD_LANGUAGES = _words("ar de el en es hi ru th tr vi zh")
_TEXT_LANGUAGES = _words("en af ar bn et eu fa hi id jv ka kk ml mr ms my sw ta te th tl tr ur vi yo")

_MNLI_TRAIN = Split(HubData("nyu-mll/glue", _GLUE_REVISION, "mnli"), "train", _EN, n_rows=392_702)
_MNLI_DEV = Split(_MNLI_TRAIN.data, "validation_matched", _EN, n_rows=9_815)
_QQP = HubData("nyu-mll/glue", _GLUE_REVISION, "qqp")
_QQP_DEV = Split(_QQP, "validation", _EN, n_rows=40_430)
_ANLI_TRAIN = (
    Split(_ANLI, "train_r1", _EN, n_rows=16_946),
    Split(_ANLI, "train_r2", _EN, n_rows=45_460),
    Split(_ANLI, "train_r3", _EN, n_rows=100_459),
)
_ANLI_DEV = (
    Split(_ANLI, "dev_r1", _EN, n_rows=1_000),
    Split(_ANLI, "dev_r2", _EN, n_rows=1_000),
    Split(_ANLI, "dev_r3", _EN, n_rows=1_200),
)
_SQUAD_TRAIN = Split(_SQUAD, "train", _EN, n_rows=87_599)
_SQUAD_DEV = Split(_SQUAD, "validation", _EN, n_rows=10_570)
_SQUAD_V2_DEV = Split(_SQUAD_V2, "validation", _EN, n_rows=11_873)
_HELLASWAG_DEV = Split(_HELLASWAG, "validation", _EN, n_rows=10_042)
_COMMONSENSE_QA_DEV = Split(_COMMONSENSE_QA, "validation", _EN, n_rows=1_221)
_COSMOS_QA_DEV = Split(_COSMOS_QA, "validation", _EN, n_rows=2_985)
_CCG = HubData("local/ccg-pmb", UNPINNED)
_CCG_DEV = Split(_CCG, "validation", _EN)
_UDPOS = HubData(_XTREME, _XTREME_REVISION, "udpos.{language}", _UDPOS_NAMES)
_UDPOS_TEST = Split(_UDPOS, "test", tuple(_UDPOS_NAMES))
_PANX = HubData(_XTREME, _XTREME_REVISION, "PAN-X.{language}")
_PANX_DEV = Split(_PANX, "validation", _PANX_LANGUAGES)
_XNLI_DEV = Split(
    HubData(_XTREME, _XTREME_REVISION, "XNLI"),
    "validation",
    _XNLI_LANGUAGES,
    n_rows=2_490,
    language_field=("language", "{language}"),
)
_XQUAD_DEV = Split(
    HubData(_XTREME, _XTREME_REVISION, "XQuAD.{language}"), "validation", _XQUAD_LANGUAGES, n_rows=1_190
)
_TYDIQA_DEV = Split(
    _TYDIQA,
    "validation",
    tuple(_TYDIQA_NAMES),
    language_field=("id", "{language}-*"),
    language_names=_TYDIQA_NAMES,
)
_TATOEBA_DEV = Split(
    HubData(_XTREME, _XTREME_REVISION, "tatoeba.{language}", _TATOEBA_NAMES),
    "validation",
    tuple(_TATOEBA_NAMES),
)

HUB_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="mnli",
        family=FamilyName.PAIR,
        columns={"first": "premise", "second": "hypothesis", "label": "label"},
        labels=_NLI_LABELS,
        train=(_MNLI_TRAIN,),
        search=(_MNLI_DEV,),
        report=(_MNLI_DEV,),
        metric=Metric.ACCURACY,
        group="intermediate",
        licence="OANC, CC BY 3.0, CC BY-SA 3.0 and others, by genre",
        paper="Williams et al. 2018, arXiv:1704.05426",
    ),
    TaskSpec(
        name="qqp",
        family=FamilyName.PAIR,
        columns={"first": "question1", "second": "question2", "label": "label"},
        labels=("not_duplicate", "duplicate"),
        train=(Split(_QQP, "train", _EN, n_rows=363_846),),
        search=(_QQP_DEV,),
        report=(_QQP_DEV,),
        metric=Metric.ACCURACY,
        group="intermediate",
        licence="Quora terms, research and non-commercial",
        paper="Wang et al. 2019, arXiv:1804.07461",
    ),
    TaskSpec(
        name="anli",
        family=FamilyName.PAIR,
        columns={"id": "uid", "first": "premise", "second": "hypothesis", "label": "label"},
        labels=_NLI_LABELS,
        train=_ANLI_TRAIN,
        search=_ANLI_DEV,
        report=_ANLI_DEV,
        metric=Metric.ACCURACY,
        max_length=256,
        group="intermediate",
        licence="CC BY-NC 4.0",
        paper="Nie et al. 2020, arXiv:1910.14599",
    ),
    TaskSpec(
        name="squad_v1",
        family=FamilyName.SPANS,
        columns=_QA_COLUMNS,
        train=(_SQUAD_TRAIN,),
        search=(_SQUAD_DEV,),
        report=(_SQUAD_DEV,),
        metric=Metric.QA_F1_EM,
        max_length=384,
        group="intermediate",
        licence="CC BY-SA 4.0",
        paper="Rajpurkar et al. 2016, arXiv:1606.05250",
    ),
    TaskSpec(
        name="squad_v2",
        family=FamilyName.SPANS,
        columns=_QA_COLUMNS,
        train=(Split(_SQUAD_V2, "train", _EN, n_rows=130_319),),
        search=(_SQUAD_V2_DEV,),
        report=(_SQUAD_V2_DEV,),
        metric=Metric.QA_F1_EM,
        max_length=384,
        group="intermediate",
        licence="CC BY-SA 4.0",
        paper="Rajpurkar et al. 2018, arXiv:1806.03822",
    ),
    TaskSpec(
        name="hellaswag",
        family=FamilyName.CHOICE,
        columns={"id": "ind", "context": "ctx", "choices": "endings", "label": "label"},
        labels=("0", "1", "2", "3"),
        train=(Split(_HELLASWAG, "train", _EN, n_rows=39_905),),
        search=(_HELLASWAG_DEV,),
        report=(_HELLASWAG_DEV,),
        metric=Metric.ACCURACY,
        group="intermediate",
        licence="MIT",
        paper="Zellers et al. 2019, arXiv:1905.07830",
    ),
    TaskSpec(
        name="commonsenseqa",
        family=FamilyName.CHOICE,
        columns={"id": "id", "question": "question", "choices": "choices.text", "label": "answerKey"},
        labels=("A", "B", "C", "D", "E"),
        train=(Split(_COMMONSENSE_QA, "train", _EN, n_rows=9_741),),
        search=(_COMMONSENSE_QA_DEV,),
        report=(_COMMONSENSE_QA_DEV,),
        metric=Metric.ACCURACY,
        group="intermediate",
        licence="MIT",
        paper="Talmor et al. 2019, arXiv:1811.00937",
    ),
    TaskSpec(
        name="cosmosqa",
        family=FamilyName.CHOICE,
        columns={
            "id": "id",
            "context": "context",
            "question": "question",
            "choices": "answer0 answer1 answer2 answer3",
            "label": "label",
        },
        labels=("0", "1", "2", "3"),
        train=(Split(_COSMOS_QA, "train", _EN, n_rows=25_262),),
        search=(_COSMOS_QA_DEV,),
        report=(_COSMOS_QA_DEV,),
        metric=Metric.ACCURACY,
        max_length=256,
        group="intermediate",
        licence="CC BY 4.0",
        paper="Huang et al. 2019, arXiv:1909.00277",
    ),
    TaskSpec(
        name="ccg",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "tags"},
        labels=SUPERTAGS,
        train=(Split(_CCG, "train", _EN),),
        search=(_CCG_DEV,),
        report=(_CCG_DEV,),
        metric=Metric.SPAN_F1,
        group="intermediate",
        licence="Parallel Meaning Bank terms; a stand-in for CCGbank, which the LDC licenses",
        paper="Abzianidze et al. 2017, E17-2039 (the data); Hockenmaier and Steedman 2007 (CCGbank)",
    ),
    TaskSpec(
        name="mlm",
        family=FamilyName.MASKED,
        columns={"text": "text"},
        train=(
            Split(HubData("local/multilingual-text", UNPINNED, "{language}"), "train", _TEXT_LANGUAGES),
        ),
        metric=Metric.PSEUDO_PERPLEXITY,
        group="intermediate",
        licence="by part: NTREX, Quran CC BY-SA 4.0; Common Voice, Bible CC0; lafand CC BY-NC 4.0",
        paper="Conneau et al. 2020, arXiv:1911.02116 (the objective; the text is a mirror's own)",
    ),
    TaskSpec(
        name="udpos",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "pos_tags"},
        labels=_words("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"),
        train=(Split(_UDPOS, "train", _EN, n_rows=21_253),),
        search=(_UDPOS_TEST,),
        report=(_UDPOS_TEST,),
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
        train=(Split(_PANX, "train", _EN, n_rows=20_000),),
        search=(_PANX_DEV,),
        report=(_PANX_DEV,),
        metric=Metric.SPAN_F1,
        group="structured",
        licence="CC BY-SA 3.0",
        paper="Pan et al. 2017, P17-1178; Rahimi et al. 2019, arXiv:1902.00193",
    ),
    TaskSpec(
        name="xnli",
        family=FamilyName.PAIR,
        columns={
            "first": "sentence1|premise",
            "second": "sentence2|hypothesis",
            "label": "gold_label|label",
        },
        labels=_NLI_LABELS,
        train=(_MNLI_TRAIN,),
        search=(_XNLI_DEV,),
        report=(_XNLI_DEV,),
        metric=Metric.ACCURACY,
        group="pair",
        licence="CC BY-NC 4.0",
        paper="Conneau et al. 2018, arXiv:1809.05053",
    ),
    TaskSpec(
        name="xquad",
        family=FamilyName.SPANS,
        columns=_QA_COLUMNS,
        train=(_SQUAD_TRAIN,),
        search=(_XQUAD_DEV,),
        report=(_XQUAD_DEV,),
        metric=Metric.QA_F1_EM,
        max_length=384,
        group="qa",
        licence="CC BY-SA 4.0",
        paper="Artetxe et al. 2020, arXiv:1910.11856",
    ),
    TaskSpec(
        name="tydiqa",
        family=FamilyName.SPANS,
        columns=_QA_COLUMNS,
        train=(
            Split(
                _TYDIQA,
                "train",
                _EN,
                n_rows=3_696,
                language_field=("id", "{language}-*"),
                language_names=_TYDIQA_NAMES,
            ),
        ),
        search=(_TYDIQA_DEV,),
        report=(_TYDIQA_DEV,),
        metric=Metric.QA_F1_EM,
        max_length=384,
        group="qa",
        licence="Apache 2.0",
        paper="Clark et al. 2020, arXiv:2003.05002 (gold passage)",
    ),
    TaskSpec(
        name="tatoeba",
        family=FamilyName.RETRIEVAL,
        columns={"query": "target_sentence", "document": "source_sentence"},
        search=(_TATOEBA_DEV,),
        report=(_TATOEBA_DEV,),
        metric=Metric.ACCURACY_AT_1,
        group="retrieval",
        licence="CC BY 2.0 FR",
        paper="Artetxe and Schwenk 2019, arXiv:1812.10464",
    ),
)
