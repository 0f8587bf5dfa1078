"""From the rows of one file to canonical columns, by the layout that ``Split.layout`` names.

    columns              a row is an example; its columns are those that ``TaskSpec.columns`` names
    bucc_foreign         mining: id, sentence, pair_id (id of the translation, "" where there is none)
    bucc_english         mining: the same, of the English side
    xquad_r              ranking: id, paragraph_id, question, candidates (the sentences of context),
                         correct (positions of those that answer), context
    squad_sentences      ranking, to train on: id, question, context, answers.text,
                         answers.answer_start (SQuAD v1.1)
    mewsli_x_queries     ranking: id, query (a mention in its context), entity
    mewsli_x_candidates  ranking: entity, text (its description), one row per entity
    mewsli_x_pairs       ranking, to train on: id, query, entity, text (the entity's description)

The columns above are read unless ``TaskSpec.columns`` names another by the part that a column plays,
which is its name here (for SQuAD ``answers`` and ``starts``).

Ids of documents begin with their language, so that those of several languages never collide. The id
of a question is the data's own: its translations fall into the same half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from trainers.errors import TaskError, nearest
from trainers.tasks.columns import Columns, Reader
from trainers.tasks.examples import CANONICAL, DOCUMENT, QUERY
from trainers.tasks.rules import check
from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    from trainers.tasks.spec import Split


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one kind of file become canonical.

    Attributes:
        families: that it makes examples of.
        columns: what each column is called in the data unless the task says otherwise.
        read: canonical columns of a file, given its split and language.
    """

    families: frozenset[FamilyName]
    columns: Mapping[str, str]
    read: Callable[[Reader, Split, str], Columns]


def read(reader: Reader, split: Split, language: str) -> Columns:
    """The canonical columns of one file, checked.

    Args:
        reader: of its rows, for the task whose examples they are.
        split: says which layout.
        language: of the rows.

    Raises:
        TaskError: there is no such layout, or it makes no examples of the task's family.
        MalformedDataError: a column is missing or of another kind, or a row does not hold what its
            layout says.
    """
    task, layout = reader.task, LAYOUTS.get(split.layout)
    if layout is None:
        raise TaskError(
            f"no layout {split.layout!r} for {reader.file}. {nearest(split.layout, LAYOUTS)}"
        )
    if task.family not in layout.families:
        fitting = [name for name, other in LAYOUTS.items() if task.family in other.families]
        raise TaskError(
            f"task {task.name} is of the family {task.family}, and {reader.file} has the layout "
            f"{split.layout!r}, which makes none of that. Use {' or '.join(fitting)}."
        )
    named = replace(task, columns={**layout.columns, **task.columns})
    return layout.read(replace(reader, task=named), split, language)


def _by_columns(reader: Reader, split: Split, language: str) -> Columns:
    del language
    columns = reader.columns(name for name in CANONICAL[reader.task.family] if name != "id")
    columns["id"] = reader.ids(split.name)
    check(reader, columns)
    return columns


@dataclass(slots=True)
class _Texts:
    """Canonical columns of ranking and mining, filled text by text."""

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    keys: list[list[str]] = field(default_factory=list)

    def add(self, name: str, text: str, side: int, keys: Sequence[str], context: str = "") -> None:
        self.ids.append(name)
        self.texts.append(text)
        self.contexts.append(context)
        self.sides.append(side)
        self.keys.append(list(keys))

    def columns(self) -> Columns:
        """One part; every query is scored."""
        import pyarrow as pa

        return {
            "id": self.ids,
            "text": pa.array(self.texts, pa.string()),
            "context": pa.array(self.contexts, pa.string()),
            "side": pa.array(self.sides, pa.int32()),
            "keys": pa.array(self.keys, pa.list_(pa.string())),
            "part": pa.array([0] * len(self.ids), pa.int32()),
            "scored": pa.array([side == QUERY for side in self.sides], pa.bool_()),
        }


def _rows(reader: Reader, *names: str) -> Iterator[tuple[Any, ...]]:
    """The rows by the columns named."""
    return zip(*(column.to_pylist() for column in reader.columns(names).values()), strict=True)


def _bucc(side: int) -> Callable[[Reader, Split, str], Columns]:
    """A key is a gold pair: the ids of both sentences, the foreign one first."""

    def read_side(reader: Reader, split: Split, language: str) -> Columns:
        del split, language
        texts = _Texts()
        for name, sentence, other in _rows(reader, "id", "sentence", "pair_id"):
            pair = f"{name} {other}" if side == QUERY else f"{other} {name}"
            texts.add(name, sentence, side, [pair] if other else [])
        return texts.columns()

    return read_side


def _xquad_r(reader: Reader, split: Split, language: str) -> Columns:
    """A query per question, then each sentence of each paragraph once, with what it answers."""
    del split
    texts = _Texts()
    paragraphs: dict[str, tuple[str, list[str], list[list[str]]]] = {}
    names = ("id", "paragraph_id", "question", "candidates", "correct", "context")
    for row, (name, paragraph, question, sentences, correct, context) in enumerate(
        _rows(reader, *names)
    ):
        known = paragraphs.setdefault(paragraph, (context, sentences, [[] for _ in sentences]))
        if known[:2] != (context, sentences):
            found = f"paragraph {paragraph!r} with another context or other sentences than before"
            raise reader.wrong("candidates", row, found, "a paragraph to be the same in all its rows")
        if not correct or min(correct) < 0 or max(correct) >= len(sentences):
            expected = "one or more positions of candidates, from 0"
            found = f"positions {correct} of {len(sentences)} candidates"
            raise reader.wrong("correct", row, found, expected)
        texts.add(name, question, QUERY, [name])
        for place in dict.fromkeys(correct):
            known[2][place].append(name)
    for paragraph, (context, sentences, answered) in paragraphs.items():
        for place, (sentence, keys) in enumerate(zip(sentences, answered, strict=True)):
            texts.add(f"{language}/{paragraph}/{place}", sentence, DOCUMENT, keys, context)
    return texts.columns()


def _squad_sentences(reader: Reader, split: Split, language: str) -> Columns:
    """Each question, and right after it the sentence that has the first of its answers.

    An answer that runs over the end of a sentence gets all sentences it touches. A question without
    an answer has no sentence and is left out.
    """
    del split
    reader = replace(reader, task=replace(reader.task, family=FamilyName.SPANS))
    names = ("id", "question", "context", "answers", "starts")
    check(reader, reader.columns(names))
    texts = _Texts()
    for name, question, context, answers, starts in _rows(reader, *names):
        if not answers:
            continue
        begin, end = _around(sentence_spans(context), starts[0], starts[0] + len(answers[0]))
        key = f"{sha1(context.encode(), usedforsecurity=False).hexdigest()}/{begin}"
        texts.add(name, question, QUERY, [key])
        texts.add(f"{language}/{name}", context[begin:end].strip(), DOCUMENT, [key], context)
    return texts.columns()


_SENTENCE_END = re.compile(r"[.!?][\"')\]”’]*\s+(?=[\"'(\[“‘]*[^\W_a-z])|[。！？．][」』”’）]*\s*|\n+")
_NO_END = re.compile(r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Col|Sen|Rev|Jr|Sr|No|vs|ca|cf))\.$")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end, in characters; together they are the text.

    A sentence ends with the white space after ``.``, ``!`` or ``?`` (and closing quotes or brackets)
    where what follows does not begin with a small letter of a to z; after their full-width forms; or
    at a line's end. It does not end after an initial (``J.``) or a title (``Dr.``).
    """
    cuts = [0]
    for match in _SENTENCE_END.finditer(text):
        if not _NO_END.search(text, cuts[-1], match.start() + 1):
            cuts.append(match.end())
    if cuts[-1] < len(text) or len(cuts) == 1:
        cuts.append(len(text))
    return list(pairwise(cuts))


def _around(spans: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """The sentences that the characters from ``begin`` to ``end`` touch."""
    first = max(span_begin for span_begin, _ in spans if span_begin <= begin)
    last = min(span_end for _, span_end in spans if span_end >= end)
    return first, last


def _mewsli_x_queries(reader: Reader, split: Split, language: str) -> Columns:
    del split, language
    texts = _Texts()
    for name, query, entity in _rows(reader, "id", "query", "entity"):
        texts.add(name, query, QUERY, [entity])
    return texts.columns()


def _mewsli_x_candidates(reader: Reader, split: Split, language: str) -> Columns:
    del split
    texts = _Texts()
    for entity, text in _rows(reader, "entity", "text"):
        texts.add(f"{language}/{entity}", text, DOCUMENT, [entity])
    return texts.columns()


def _mewsli_x_pairs(reader: Reader, split: Split, language: str) -> Columns:
    """Each mention, and right after it the description of its entity."""
    del split
    texts = _Texts()
    for name, query, entity, text in _rows(reader, "id", "query", "entity", "text"):
        texts.add(name, query, QUERY, [entity])
        texts.add(f"{language}/{name}", text, DOCUMENT, [entity])
    return texts.columns()


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_RANKING = frozenset({FamilyName.RANKING})
_MINING = frozenset({FamilyName.MINING})
_SQUAD = {**_same("id", "question", "context"), "answers": "answers.text"}

LAYOUTS: Mapping[str, Layout] = {
    "columns": Layout(frozenset(FamilyName) - _RANKING - _MINING, {}, _by_columns),
    "bucc_foreign": Layout(_MINING, _same("id", "sentence", "pair_id"), _bucc(QUERY)),
    "bucc_english": Layout(_MINING, _same("id", "sentence", "pair_id"), _bucc(DOCUMENT)),
    "xquad_r": Layout(
        _RANKING,
        _same("id", "paragraph_id", "question", "candidates", "correct", "context"),
        _xquad_r,
    ),
    "squad_sentences": Layout(_RANKING, {**_SQUAD, "starts": "answers.answer_start"}, _squad_sentences),
    "mewsli_x_queries": Layout(_RANKING, _same("id", "query", "entity"), _mewsli_x_queries),
    "mewsli_x_candidates": Layout(_RANKING, _same("entity", "text"), _mewsli_x_candidates),
    "mewsli_x_pairs": Layout(_RANKING, _same("id", "query", "entity", "text"), _mewsli_x_pairs),
}
