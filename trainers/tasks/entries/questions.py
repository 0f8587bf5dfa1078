"""Targets that answer a question by a span of its passage: XQuAD, MLQA, TyDiQA-GoldP.

XQuAD and TyDiQA have no public test split; MLQA's is large and mirrors tend to have only its
validation split. All three are scored on the validation split, halved.
"""

from __future__ import annotations

from trainers.tasks.entries.published import (
    EN,
    QA_COLUMNS,
    SQUAD_TRAIN,
    XTREME,
    XTREME_REVISION,
    words,
)
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

_TYDIQA_NAMES = {
    "ar": "arabic", "bn": "bengali", "en": "english", "fi": "finnish", "id": "indonesian",
    "ko": "korean", "ru": "russian", "sw": "swahili", "te": "telugu",
}  # fmt: skip
_TYDIQA_ROWS = {
    "ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669,
}  # fmt: skip
_MLQA_ROWS = {"ar": 517, "de": 512, "en": 1_148, "es": 500, "hi": 507, "vi": 511, "zh": 504}

_XQUAD_DEV = (
    Split(
        HubData(XTREME, XTREME_REVISION, "XQuAD.{language}"),
        "validation",
        words("ar de el en es hi ru th tr vi zh"),
        n_rows=1_190,
    ),
    Split(
        HubData("google/xquad", "51adfef1c1287aab1d2d91b5bead9bcfb9c68583", "xquad.{language}"),
        "validation",
        ("ro",),
        n_rows=1_190,
    ),
)
_MLQA_DEV = Split(
    HubData(XTREME, XTREME_REVISION, "MLQA.{language}.{language}"),
    "validation",
    tuple(_MLQA_ROWS),
    rows_in=_MLQA_ROWS,
)
_TYDIQA = HubData(XTREME, XTREME_REVISION, "tydiqa")
_TYDIQA_DEV = Split(
    _TYDIQA,
    "validation",
    tuple(_TYDIQA_NAMES),
    rows_in=_TYDIQA_ROWS,
    language_field=("id", "{language}-*"),
    language_names=_TYDIQA_NAMES,
)

QUESTION_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="xquad",
        family=FamilyName.SPANS,
        columns=QA_COLUMNS,
        train=(SQUAD_TRAIN,),
        search=_XQUAD_DEV,
        report=_XQUAD_DEV,
        metric=Metric.QA_F1_EM,
        max_length=384,
        group="qa",
        licence="CC BY-SA 4.0",
        paper="Artetxe et al. 2020, arXiv:1910.11856",
    ),
    TaskSpec(
        name="mlqa",
        family=FamilyName.SPANS,
        columns=QA_COLUMNS,
        train=(SQUAD_TRAIN,),
        search=(_MLQA_DEV,),
        report=(_MLQA_DEV,),
        metric=Metric.MLQA_F1_EM,
        max_length=384,
        group="qa",
        licence="CC BY-SA 3.0",
        paper="Lewis et al. 2020, arXiv:1910.07475",
    ),
    TaskSpec(
        name="tydiqa",
        family=FamilyName.SPANS,
        columns=QA_COLUMNS,
        train=(
            Split(
                _TYDIQA,
                "train",
                EN,
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
)
