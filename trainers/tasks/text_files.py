"""Text files, plain or gzipped: UTF-8, with or without a byte-order mark, or refused."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from trainers.errors import MalformedDataError

_MARKS = {  # byte-order marks of other encodings; UTF-32 before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip


def read_bytes(file: Path) -> bytes:
    """The bytes of a file, unpacked.

    Raises:
        MalformedDataError: it ends in ``.gz`` and is not that, or is cut off.
    """
    if file.suffix != ".gz":
        return file.read_bytes()
    try:
        return gzip.decompress(file.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise malformed(file, f"cannot be unpacked: {error}. Pack it again, or take .gz off") from error


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, without byte-order mark.

    Raises:
        MalformedDataError: it is in another encoding; names the first byte that shows it.
    """
    data = read_bytes(file)
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            raise malformed(
                file,
                f"is {encoding}, by the mark in its first bytes (byte 0). Write it again in UTF-8, for "
                f"instance with: iconv -f {encoding} -t UTF-8",
            )
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise malformed(
            file,
            f"is not UTF-8: byte {error.start:,} (from 0, in line {line:,}), 0x{data[error.start]:02x}: "
            f"{error.reason}. Write it again in UTF-8, for instance with: iconv -f ENCODING -t UTF-8, "
            f"where ENCODING is what it was written in",
        ) from error


def read_lines(file: Path) -> list[str]:
    """Lines, ended by a line feed alone or after a carriage return: other marks stand inside texts."""
    lines = [line.removesuffix("\r") for line in read_text(file).split("\n")]
    return lines if lines[-1] else lines[:-1]


def refuse_lines(file: Path, bad: Sequence[tuple[int, str]], n_rows: int, expected: str) -> None:
    """Refuse a file with bad lines, saying how many and what stands in the first."""
    if bad:
        number, found = bad[0]
        lines = "line" if len(bad) == 1 else "lines"
        raise malformed(
            file,
            f"{len(bad):,} bad {lines} beside {n_rows:,} rows; the first, line {number:,}, has {found}. "
            f"Expected {expected}. Mend the file",
        )


def malformed(file: Path, what: str, column: str = "") -> MalformedDataError:
    """The error for a file that is not what it should be."""
    return MalformedDataError(f"{file}: {what}.", file=str(file), column=column)
