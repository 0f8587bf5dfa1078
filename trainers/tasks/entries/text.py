"""Plain text in many languages, for continued masked-language modelling."""

from __future__ import annotations

from trainers.tasks.entries.published import UNPINNED, words
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec

_LANGUAGES = words("en af ar bn et eu fa hi id jv ka kk ml mr ms my sw ta te th tl tr ur vi yo")

TEXT_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="mlm",
        family=FamilyName.MASKED,
        columns={"text": "text"},
        train=(Split(HubData("local/multilingual-text", UNPINNED, "{language}"), "train", _LANGUAGES),),
        metric=Metric.PSEUDO_PERPLEXITY,
        group="intermediate",
        licence="by part: NTREX, Quran CC BY-SA 4.0; Common Voice, Bible CC0; lafand CC BY-NC 4.0",
        paper="Conneau et al. 2020, arXiv:1911.02116 (the objective; the text is a mirror's own)",
    ),
)
