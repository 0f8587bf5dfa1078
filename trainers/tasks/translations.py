"""Translations that lie in a column of the file they were made from.

The column is a struct with a field per language; a language's field is a struct of the translated
columns, under their own names:

    premise   hypothesis   label   translations
    "A cat"   "It purrs"   0       {"sw": {"premise": "Paka", "hypothesis": "..."}, "yo": null}

A row in a language has that language's columns in place of its own, and keeps the others, such as the
label. A row whose field is null, or holds a null, is not translated: it is left out, and not counted
among the rows of the language.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trainers.errors import EmptySplitError, MalformedDataError, MissingDataError

if TYPE_CHECKING:
    import pyarrow as pa

    from trainers.tasks.spec import Split

_LOG = logging.getLogger(__name__)


def translated(table: pa.Table, split: Split, language: str, file: str) -> pa.Table:
    """The rows of ``table`` that are translated into ``language``, with the translation in place.

    Raises:
        MalformedDataError: the column is not there or no struct, or a translated column is none of the
            file's.
        MissingDataError: the column has no field for ``language``.
        EmptySplitError: no row is translated.
    """
    fields = _fields(table, split, language, file)
    if strangers := sorted(fields.keys() - set(table.column_names)):
        raise MalformedDataError(
            f"{file}: its column {split.translations!r} translates {', '.join(strangers)} into "
            f"{language!r}; the file has no such column, only {', '.join(table.column_names)}. Name "
            f"translated columns as the file does.",
            file=file,
            column=split.translations,
        )
    there = _there(fields)
    for name, values in fields.items():
        table = table.set_column(table.column_names.index(name), name, values)
    rows = table.drop_columns([split.translations]).filter(there)
    _LOG.info(
        "%s: %d of %d rows are translated into %s, the others are left out",
        *(file, rows.num_rows, table.num_rows, language),
    )
    if not rows.num_rows:
        raise EmptySplitError(
            f"{file}: none of {table.num_rows:,} rows is translated into {language!r} in its column "
            f"{split.translations!r}. Leave the language out, or give a file that has it.",
            file=file,
        )
    return rows


def n_translated(table: pa.Table, split: Split, language: str, file: str) -> int:
    """How many rows are translated into ``language``; ``table`` needs that one column alone.

    Raises:
        MalformedDataError: the column is not there or no struct.
        MissingDataError: the column has no field for ``language``, or no row is translated.
    """
    import pyarrow.compute as pc

    n_rows = int(pc.sum(_there(_fields(table, split, language, file))).as_py() or 0)
    if not n_rows:
        raise MissingDataError(
            f"{file}: none of {table.num_rows:,} rows is translated into {language!r} in its column "
            f"{split.translations!r}. Leave the language out, or give a file that has it.",
            file=file,
        )
    return n_rows


def _fields(table: pa.Table, split: Split, language: str, file: str) -> dict[str, pa.ChunkedArray]:
    """The translated columns of ``language`` by name; null in rows that have no translation."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = split.translations
    kind = table.schema.field(column).type if column in table.column_names else None
    if kind is None or not pa.types.is_struct(kind):
        found = f"is {kind}" if kind else f"is not there, only {', '.join(table.column_names)}"
        raise MalformedDataError(
            f"{file}: the column {column!r} is to be a struct with a field per language and {found}. "
            f"Add it, or keep translations in configurations of their own.",
            file=file,
            column=column,
        )
    languages = [field.name for field in kind]
    if language not in languages:
        raise MissingDataError(
            f"{file}: its column {column!r} has no translation into {language!r}, only "
            f"{', '.join(languages) or 'none at all'}. Add the field, or leave the language out.",
            file=file,
        )
    of_language = kind.field(language).type
    if not pa.types.is_struct(of_language) or not of_language.num_fields:
        raise MalformedDataError(
            f"{file}: the field {language!r} of its column {column!r} is {of_language}, expected a "
            f"struct of the translated columns.",
            file=file,
            column=column,
        )
    return {field.name: pc.struct_field(table[column], [language, field.name]) for field in of_language}


def _there(fields: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """Which rows have every translated column."""
    import pyarrow.compute as pc

    masks = [pc.is_valid(values) for values in fields.values()]
    there = masks[0]
    for mask in masks[1:]:
        there = pc.and_(there, mask)
    return there
