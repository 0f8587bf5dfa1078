"""Intermediate tasks in English: pairs, questions with an answer span, choices, supertags.

The nine of Phang et al. 2020 (arXiv:2005.13013) are ``anli_plus``, ``mnli``, ``qqp``, ``squad_v2``,
``squad_v1``, ``hellaswag``, ``ccg``, ``cosmosqa`` and ``commonsenseqa``. ``anli`` is the part of
``anli_plus`` that was collected adversarially; ``siqa`` comes before COPA in XCOPA's training.
"""

from __future__ import annotations

from trainers.tasks.entries.ccg import SUPERTAGS
from trainers.tasks.entries.published import (
    ANLI,
    EN,
    MNLI,
    MNLI_TRAIN,
    NLI_LABELS,
    QA_COLUMNS,
    QQP,
    SNLI,
    SQUAD,
    SQUAD_TRAIN,
    UNPINNED,
)
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

_SQUAD_V2 = HubData("rajpurkar/squad_v2", "3ffb306f725f7d2ce8394bc1873b24868140c412", "squad_v2")
_HELLASWAG = HubData("Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76")
_COMMONSENSE_QA = HubData("tau/commonsense_qa", "94630fe30dad47192a8546eb75f094926d47e155")
# The hub's own parquet conversions: the main branches hold only loading scripts.
_COSMOS_QA = HubData("allenai/cosmos_qa", "ed50fe83db62b355759053b1cd5eef344ee371e0")
_SOCIAL_IQA = HubData("allenai/social_i_qa", "537a2ec8ec565adc0b70b70752893e59e024df26")
_CCG = HubData("local/ccg-pmb", UNPINNED)

_MNLI_DEV = Split(MNLI, "validation_matched", EN, n_rows=9_815)
_QQP_DEV = Split(QQP, "validation", EN, n_rows=40_430)
_SNLI_TRAIN = Split(SNLI, "train", EN, n_rows=550_152)  # 785 of them without a label
_ANLI_TRAIN = (
    Split(ANLI, "train_r1", EN, n_rows=16_946),
    Split(ANLI, "train_r2", EN, n_rows=45_460),
    Split(ANLI, "train_r3", EN, n_rows=100_459),
)
_ANLI_DEV = (
    Split(ANLI, "dev_r1", EN, n_rows=1_000),
    Split(ANLI, "dev_r2", EN, n_rows=1_000),
    Split(ANLI, "dev_r3", EN, n_rows=1_200),
)
_SQUAD_DEV = Split(SQUAD, "validation", EN, n_rows=10_570)
_SQUAD_V2_DEV = Split(_SQUAD_V2, "validation", EN, n_rows=11_873)
_HELLASWAG_DEV = Split(_HELLASWAG, "validation", EN, n_rows=10_042)
_COMMONSENSE_QA_DEV = Split(_COMMONSENSE_QA, "validation", EN, n_rows=1_221)
_COSMOS_QA_DEV = Split(_COSMOS_QA, "validation", EN, n_rows=2_985)
_SOCIAL_IQA_DEV = Split(_SOCIAL_IQA, "validation", EN, n_rows=1_954)
_CCG_DEV = Split(_CCG, "validation", EN)

ENGLISH_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="mnli",
        family=FamilyName.PAIR,
        columns={"first": "premise", "second": "hypothesis", "label": "label"},
        labels=NLI_LABELS,
        train=(MNLI_TRAIN,),
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
        train=(Split(QQP, "train", EN, n_rows=363_846),),
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
        labels=NLI_LABELS,
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
        name="anli_plus",
        family=FamilyName.PAIR,
        columns={"first": "premise", "second": "hypothesis", "label": "label"},
        labels=NLI_LABELS,
        train=(_SNLI_TRAIN, MNLI_TRAIN, *_ANLI_TRAIN),
        search=_ANLI_DEV,
        report=_ANLI_DEV,
        metric=Metric.ACCURACY,
        max_length=256,
        group="intermediate",
        licence="SNLI CC BY-SA 4.0; MNLI by genre; ANLI CC BY-NC 4.0",
        paper="Phang et al. 2020, arXiv:2005.13013; Bowman et al. 2015, arXiv:1508.05326 (SNLI)",
    ),
    TaskSpec(
        name="squad_v1",
        family=FamilyName.SPANS,
        columns=QA_COLUMNS,
        train=(SQUAD_TRAIN,),
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
        columns=QA_COLUMNS,
        train=(Split(_SQUAD_V2, "train", EN, n_rows=130_319),),
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
        train=(Split(_HELLASWAG, "train", EN, n_rows=39_905),),
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
        train=(Split(_COMMONSENSE_QA, "train", EN, n_rows=9_741),),
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
        train=(Split(_COSMOS_QA, "train", EN, n_rows=25_262),),
        search=(_COSMOS_QA_DEV,),
        report=(_COSMOS_QA_DEV,),
        metric=Metric.ACCURACY,
        max_length=256,
        group="intermediate",
        licence="CC BY 4.0",
        paper="Huang et al. 2019, arXiv:1909.00277",
    ),
    TaskSpec(
        name="siqa",
        family=FamilyName.CHOICE,
        columns={
            "context": "context",
            "question": "question",
            "choices": "answerA answerB answerC",
            "label": "label",
        },
        labels=("1", "2", "3"),
        train=(Split(_SOCIAL_IQA, "train", EN, n_rows=33_410),),
        search=(_SOCIAL_IQA_DEV,),
        report=(_SOCIAL_IQA_DEV,),
        metric=Metric.ACCURACY,
        group="intermediate",
        licence="CC BY 4.0",
        paper="Sap et al. 2019, arXiv:1904.09728",
    ),
    TaskSpec(
        name="ccg",
        family=FamilyName.TOKENS,
        columns={"tokens": "tokens", "tags": "tags"},
        labels=SUPERTAGS,
        train=(Split(_CCG, "train", EN),),
        search=(_CCG_DEV,),
        report=(_CCG_DEV,),
        metric=Metric.SPAN_F1,
        group="intermediate",
        licence="Parallel Meaning Bank terms; a stand-in for CCGbank, which the LDC licenses",
        paper="Abzianidze et al. 2017, E17-2039 (the data); Hockenmaier and Steedman 2007 (CCGbank)",
    ),
)
