"""Targets that classify a pair of sentences or choose between two: XNLI, PAWS-X, XCOPA, AmericasNLI.

XNLI is scored on its validation split, halved: mirrors tend to have its test split in few languages.
PAWS-X, XCOPA and AmericasNLI are searched on their validation splits and reported on their test splits.
"""

from __future__ import annotations

from trainers.tasks.entries.published import (
    COPA,
    EN,
    MNLI_TRAIN,
    NLI_LABELS,
    UNPINNED,
    XTREME,
    XTREME_REVISION,
    words,
)
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

_PAWSX = HubData(XTREME, XTREME_REVISION, "PAWS-X.{language}")
_PAWSX_LANGUAGES = words("de en es fr ja ko zh")
_XCOPA = HubData("cambridgeltl/xcopa", "042f78955ba48e6404616762fa6e05e839c3907a", "{language}")
_XCOPA_LANGUAGES = words("et ht id it qu sw ta th tr vi zh")
_AMERICAS_NLI = HubData("nala-cub/americas_nli", UNPINNED, "{language}", {"qu": "quy"})
_XNLI_DEV = Split(
    HubData(XTREME, XTREME_REVISION, "XNLI"),
    "validation",
    words("ar bg de el en es fr hi ru sw th tr ur vi zh"),
    n_rows=2_490,
    language_field=("language", "{language}"),
)

PAIR_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="xnli",
        family=FamilyName.PAIR,
        columns={
            "first": "sentence1|premise",
            "second": "sentence2|hypothesis",
            "label": "gold_label|label",
        },
        labels=NLI_LABELS,
        train=(MNLI_TRAIN,),
        search=(_XNLI_DEV,),
        report=(_XNLI_DEV,),
        metric=Metric.ACCURACY,
        group="pair",
        licence="CC BY-NC 4.0",
        paper="Conneau et al. 2018, arXiv:1809.05053",
    ),
    TaskSpec(
        name="pawsx",
        family=FamilyName.PAIR,
        columns={"first": "sentence1", "second": "sentence2", "label": "label"},
        labels=("0", "1"),
        train=(Split(_PAWSX, "train", EN, n_rows=49_175),),
        search=(
            Split(
                _PAWSX,
                "validation",
                _PAWSX_LANGUAGES,
                n_rows=2_000,
                rows_in={"es": 1_961, "fr": 1_988},
            ),
        ),
        report=(Split(_PAWSX, "test", _PAWSX_LANGUAGES, n_rows=2_000),),
        metric=Metric.ACCURACY,
        group="pair",
        licence="free for any purpose, with acknowledgement",
        paper="Yang et al. 2019, arXiv:1908.11828",
    ),
    TaskSpec(
        name="xcopa",
        family=FamilyName.CHOICE,
        columns={
            "context": "premise",
            "question": "question",
            "choices": "choice1 choice2",
            "label": "label",
        },
        labels=("choice1", "choice2"),
        train=(Split(COPA, "train", EN, n_rows=400),),
        search=(Split(_XCOPA, "validation", _XCOPA_LANGUAGES, n_rows=100),),
        report=(Split(_XCOPA, "test", _XCOPA_LANGUAGES, n_rows=500),),
        after="siqa",
        metric=Metric.ACCURACY,
        group="pair",
        licence="CC BY 4.0; COPA BSD 2-clause",
        paper="Ponti et al. 2020, arXiv:2005.00333; Roemmele et al. 2011 (COPA)",
    ),
    TaskSpec(
        name="americasnli",
        family=FamilyName.PAIR,
        columns={"first": "premise", "second": "hypothesis", "label": "label"},
        labels=NLI_LABELS,
        train=(MNLI_TRAIN,),
        search=(Split(_AMERICAS_NLI, "validation", ("qu",), n_rows=743),),
        report=(Split(_AMERICAS_NLI, "test", ("qu",), n_rows=750),),
        metric=Metric.ACCURACY,
        group="pair",
        licence="not stated; translated from XNLI, CC BY-NC 4.0",
        paper="Ebrahimi et al. 2022, arXiv:2104.08726",
    ),
)
