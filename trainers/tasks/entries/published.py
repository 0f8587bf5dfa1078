"""Data sets that several tasks read, at the commits they are pinned to.

Revisions are commits of the hub's repositories. ``UNPINNED`` marks one that could not be confirmed
when this was written: a study on the hub pins it with ``data.revisions`` in its spec, while a mirror
needs no revision (its files carry their own identity). Data sets under ``local/`` are on no hub.
"""

from __future__ import annotations

from trainers.tasks.spec import HubData, Split

UNPINNED = ""

XTREME = "google/xtreme"
XTREME_REVISION = "ec5f1f46e9af79639a90684a7a70a956c4998f04"
_GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"

EN = ("en",)
NLI_LABELS = ("entailment", "neutral", "contradiction")
QA_COLUMNS = {
    "id": "id",
    "context": "context",
    "question": "question",
    "answers": "answers.text",
    "starts": "answers.answer_start",
}

MNLI = HubData("nyu-mll/glue", _GLUE_REVISION, "mnli")
QQP = HubData("nyu-mll/glue", _GLUE_REVISION, "qqp")
SNLI = HubData("stanfordnlp/snli", "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b", "plain_text")
ANLI = HubData("facebook/anli", "8e4813d81f46d313dac7892e1c28076917cfcdf9", "plain_text")
SQUAD = HubData("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f", "plain_text")
COPA = HubData("aps/super_glue", "3de24cf8022e94f4ee4b9d55a6f539891524d646", "copa")

MNLI_TRAIN = Split(MNLI, "train", EN, n_rows=392_702)
SQUAD_TRAIN = Split(SQUAD, "train", EN, n_rows=87_599)


def words(text: str) -> tuple[str, ...]:
    """Language codes or labels, written in one line."""
    return tuple(text.split())
