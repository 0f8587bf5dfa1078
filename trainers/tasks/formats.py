"""Files of the user's own as tables: parquet, csv, tsv, jsonl and CoNLL-U, plain or gzipped.

Text is UTF-8, with or without a byte-order mark. In csv and tsv every value is text. A csv file quotes
with ``"``; a tsv file quotes nothing. A blank line is no row, but in a file of one column.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.tasks.conllu import read_conllu
from trainers.tasks.text_files import malformed, read_bytes, read_lines, read_text, refuse_lines

if TYPE_CHECKING:
    import pyarrow as pa

Rows = Iterator[tuple[int, list[str]]]  # number of the line, from 1, and its values

_ENDINGS = {
    ".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".conllu": "conllu",
}  # fmt: skip


def format_of(file: str | Path) -> str | None:
    """The format that a file's ending names, None where it names none."""
    path = Path(file)
    return _ENDINGS.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)


def read_table(file: Path, format_name: str, header: Sequence[str] = ()) -> pa.Table:
    """The rows of a file.

    Args:
        file: it is there.
        format_name: a key of ``FORMATS``.
        header: for csv and tsv, the column names of a file whose first line is a row.

    Raises:
        MalformedDataError: not of that format, cut off, or text in another encoding than UTF-8.
    """
    return FORMATS[format_name](file, header)


def _parquet(file: Path, header: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    del header
    try:
        return pq.read_table(pa.BufferReader(read_bytes(file)))
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise malformed(file, f"cannot be read as parquet: {reason}. Write the file again") from error


def _csv(file: Path, header: Sequence[str]) -> pa.Table:
    lines = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return _columns(file, ((lines.line_num, values) for values in lines), header)
    except csv.Error as error:
        raise malformed(
            file,
            f"line {lines.line_num} is not csv: {error}. Quote values that hold commas, quotes or line "
            'ends, with " as "" inside; or write a tsv file, which needs no quotes',
        ) from error
    finally:
        csv.field_size_limit(limit)


def _tsv(file: Path, header: Sequence[str]) -> pa.Table:
    lines = enumerate(read_lines(file), start=1)
    return _columns(file, ((n, line.split("\t") if line else []) for n, line in lines), header)


def _columns(file: Path, rows: Rows, header: Sequence[str]) -> pa.Table:
    """Columns of text from lines of values.

    Raises:
        MalformedDataError: a column's name is there twice, or lines have another number of values.
    """
    import pyarrow as pa

    names = list(header) or next((values for _, values in rows if values), [])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise malformed(
            file, f"the column {twice[0]!r} is there twice. Give each a name of its own, by header"
        )
    kept, uneven = [], []
    for number, values in rows:
        row = values or [""] * (len(names) == 1)
        if len(row) == len(names):
            kept.append(row)
        elif row:
            uneven.append((number, f"{len(row)} values"))
    refuse_lines(file, uneven, len(kept), f"{len(names)} values, for {', '.join(names)}")
    columns = zip(*kept, strict=True) if kept else ([] for _ in names)
    return pa.table({n: pa.array(column, pa.string()) for n, column in zip(names, columns, strict=True)})


def _jsonl(file: Path, header: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    del header
    rows: list[dict[str, Any]] = []
    bad = []
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            bad.append((number, str(error)))
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad.append((number, f"a {type(row).__name__}"))
    refuse_lines(file, bad, len(rows), "a JSON object in each line")
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise malformed(
                file, f"column {name!r} holds values of different kinds: {error}. Give it one kind", name
            ) from error
    return pa.table(columns)


def _conllu(file: Path, header: Sequence[str]) -> pa.Table:
    del header
    return read_conllu(file)


FORMATS: Mapping[str, Callable[[Path, Sequence[str]], pa.Table]] = {
    "parquet": _parquet,
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _jsonl,
    "conllu": _conllu,
}
