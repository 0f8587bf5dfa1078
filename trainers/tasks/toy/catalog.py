"""The toy world's tasks, one literal each."""

from __future__ import annotations

from trainers.tasks.examples import CANONICAL
from trainers.tasks.spec import FamilyName, HubData, Metric, Split, TaskSpec
from trainers.tasks.toy.grammar import NAME_TAGS, POS
from trainers.tasks.toy.languages import LANGUAGES, RICH

TOY_VERSION = 5
_REVISION = f"{TOY_VERSION:040x}"
_ALL = tuple(LANGUAGES)
_OTHERS = tuple(code for code in LANGUAGES if code != RICH)
_INTERMEDIATE_ROWS = 6000
_SCORED_ROWS = 160
_LICENCE = "Apache-2.0"
_PAPER = "generated; trainers/tasks/toy"

ROLE_TAGS = (
    "mark", "agent", "agent:name", "agent:more", "agent:attribute", "agent:link",
    "verb:past", "verb:present", "verb:future", "verb:link",
    "patient", "patient:name", "patient:more", "patient:attribute", "patient:link",
    "place:name", "place:more", "place:link", "time",
)  # fmt: skip
INITIAL_CLASSES = ("a-e", "f-h", "i-k", "l-n", "o-r", "s-u", "v-z")
NLI_LABELS = ("entailment", "neutral", "contradiction")


def _split(task: str, name: str, languages: tuple[str, ...], n_rows: int) -> tuple[Split, ...]:
    data = HubData(f"toy/{task}", _REVISION, "{language}")
    return (Split(data, name, languages, n_rows),)


def _same(family: FamilyName) -> dict[str, str]:
    return {column: column for column in CANONICAL[family]}


def _intermediate(name: str, family: FamilyName, metric: Metric, labels: tuple[str, ...]) -> TaskSpec:
    """A task in the rich language, with plenty of examples."""
    return TaskSpec(
        name=name, family=family, columns=_same(family), labels=labels, metric=metric,
        train=_split(name, "train", (RICH,), _INTERMEDIATE_ROWS),
        search=_split(name, "search", (RICH,), _SCORED_ROWS),
        report=_split(name, "report", (RICH,), _SCORED_ROWS),
        max_length=64, group="intermediate", licence=_LICENCE, paper=_PAPER, world="toy",
    )  # fmt: skip


def _target(
    name: str, family: FamilyName, metric: Metric, labels: tuple[str, ...], *, group: str, n_train: int
) -> TaskSpec:
    """A task with few examples in the rich language, scored in all; never trained with 0 examples."""
    languages = _ALL if n_train else _OTHERS
    return TaskSpec(
        name=name, family=family, columns=_same(family), labels=labels, metric=metric,
        train=_split(name, "train", (RICH,), n_train) if n_train else (),
        search=_split(name, "search", languages, _SCORED_ROWS),
        report=_split(name, "report", languages, _SCORED_ROWS),
        max_length=64, group=group, licence=_LICENCE, paper=_PAPER, world="toy",
    )  # fmt: skip


TOY_TEXT = TaskSpec(
    name="toy_text",
    family=FamilyName.MASKED,
    columns=_same(FamilyName.MASKED),
    train=tuple(
        split
        for language in LANGUAGES.values()
        for split in _split(
            "toy_text", "train", (language.code,), language.n_documents + language.n_parallel
        )
    ),
    search=_split("toy_text", "search", _ALL, _SCORED_ROWS),
    report=_split("toy_text", "report", _ALL, _SCORED_ROWS),
    metric=Metric.PSEUDO_PERPLEXITY,
    max_length=64,
    group="intermediate",
    licence=_LICENCE,
    paper=_PAPER,
    world="toy",
)

TOY_TASKS: tuple[TaskSpec, ...] = (
    TOY_TEXT,
    _intermediate("toy_entailment", FamilyName.PAIR, Metric.ACCURACY, NLI_LABELS),
    _intermediate("toy_paraphrase", FamilyName.PAIR, Metric.ACCURACY, ("different", "same")),
    _intermediate("toy_reading", FamilyName.SPANS, Metric.QA_F1_EM, ()),
    _intermediate("toy_continuation", FamilyName.CHOICE, Metric.ACCURACY, ("0", "1", "2")),
    _intermediate("toy_commonsense", FamilyName.CHOICE, Metric.ACCURACY, ("0", "1", "2")),
    _intermediate("toy_roles", FamilyName.TOKENS, Metric.SPAN_F1, ROLE_TAGS),
    _intermediate("toy_initials", FamilyName.TOKENS, Metric.SPAN_F1, INITIAL_CLASSES),
    _intermediate("toy_length", FamilyName.PAIR, Metric.ACCURACY, ("not longer", "longer")),
    _target("toy_pos", FamilyName.TOKENS, Metric.SPAN_F1, POS, group="structured", n_train=12),
    _target("toy_names", FamilyName.TOKENS, Metric.SPAN_F1, NAME_TAGS, group="structured", n_train=12),
    _target("toy_xnli", FamilyName.PAIR, Metric.ACCURACY, NLI_LABELS, group="pair", n_train=200),
    _target("toy_xqa", FamilyName.SPANS, Metric.QA_F1_EM, (), group="qa", n_train=100),
    _target("toy_tatoeba", FamilyName.RETRIEVAL, Metric.ACCURACY_AT_1, (), group="retrieval", n_train=0),
)
