"""Treebanks in CoNLL-U.

A row is a sentence: ``id`` (``sent_id``, where every sentence has one), ``text``, and the lists
``tokens``, ``lemmas``, ``upos``, ``xpos`` and ``deprels`` with a value per syntactic word. Multiword
tokens (``1-2``) and empty nodes (``8.1``) are no words.

Source: https://universaldependencies.org/format.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.tasks.text_files import read_lines, refuse_lines

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("tokens", "lemmas", "upos", "xpos", "deprels")
_FIELDS = (1, 2, 3, 4, 7)  # where they stand in a line
_N_FIELDS = 10


def read_conllu(file: Path) -> pa.Table:
    """A row per sentence.

    Raises:
        MalformedDataError: a line is not CoNLL-U, or the file not UTF-8.
    """
    import pyarrow as pa

    sentences: list[tuple[dict[str, str], list[list[str]]]] = []
    bad: list[tuple[int, str]] = []
    comments: dict[str, str] = {}
    words: list[list[str]] = []
    for number, line in enumerate((*read_lines(file), ""), start=1):
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            comments[key.strip()] = value.strip()
        elif line.strip():
            fields = line.split("\t")
            if fault := _word_fault(fields, len(words)):
                bad.append((number, fault))
            if fields[0].isdecimal():
                words.append(fields)
        else:
            if words:
                sentences.append((comments, words))
            comments, words = {}, []
    refuse_lines(
        file, bad, len(sentences), "ten columns with tabs between them, and words numbered from 1"
    )
    table: dict[str, pa.Array] = {}
    if all("sent_id" in said for said, _ in sentences):
        table["id"] = pa.array([said["sent_id"] for said, _ in sentences], pa.string())
    table["text"] = pa.array([said.get("text", "") for said, _ in sentences], pa.string())
    for name, place in zip(_COLUMNS, _FIELDS, strict=True):
        lists = [[word[place] for word in sentence] for _, sentence in sentences]
        table[name] = pa.array(lists, pa.list_(pa.string()))
    return pa.table(table)


def _word_fault(fields: Sequence[str], n_before: int) -> str:
    """What is wrong with a line of CoNLL-U after ``n_before`` words; empty for nothing."""
    if len(fields) != _N_FIELDS:
        return f"{len(fields)} columns"
    number = fields[0]
    if number.isdecimal():
        return "" if int(number) == n_before + 1 else f"word {number} after word {n_before}"
    first, mark, last = number.partition("-") if "-" in number else number.partition(".")
    return "" if mark and first.isdecimal() and last.isdecimal() else f"{number!r} for a word's number"
