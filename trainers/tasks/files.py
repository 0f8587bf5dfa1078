"""Files of the user's own as a source, and the router that sends each split to where its rows are.

A file's identity is the digest of its bytes and how they are read, never its path: it may be moved or
renamed, and a stage that was trained on it is still found.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import EmptySplitError, MalformedDataError, MissingDataError, TaskError
from trainers.fingerprint import fingerprint
from trainers.tasks.formats import FORMATS, format_of, read_table
from trainers.tasks.hub import check_language
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import FileData
from trainers.tasks.translations import translated

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.source import Source
    from trainers.tasks.spec import Split

_FILES_KNOWN = 4096


class RoutedSource:
    """A study's rows: files of its own from where they lie, everything else from one source.

    Args:
        published: hub, mirror or toy world.
        files: for splits whose data is ``FileData``.
    """

    def __init__(self, published: Source, files: Source) -> None:
        self.published = published
        self.files = files

    def identity(self, split: Split, language: str) -> DataIdentity:
        """As the source that has the split."""
        return self._of(split).identity(split, language)

    def rows(self, split: Split, language: str) -> Dataset:
        """As the source that has the split."""
        return self._of(split).rows(split, language)

    def _of(self, split: Split) -> Source:
        return self.files if isinstance(split.data, FileData) else self.published


class FileSource:
    """Rows of splits whose data is ``FileData``."""

    def identity(self, split: Split, language: str) -> DataIdentity:
        """Digest of the files' bytes and formats, and their rows, counted once per file and process.

        Raises:
            UnknownLanguageError: the split does not have the language.
            MissingDataError: a file is not there.
            MalformedDataError: a file is not of its format, or not in UTF-8.
            EmptySplitError: no rows.
        """
        data = _own(split, language)
        known = [_known(data, file) for file in _existing(data, language)]
        n_rows = sum(n for _, n in known)
        if n_rows == 0:
            files = ", ".join(data.files[language])
            raise EmptySplitError(
                f"{files}: 0 rows. Give a file that has some, or leave {language!r} out.", file=files
            )
        if split.translations:
            n_rows = self.rows(split, language).num_rows
        return DataIdentity(split.place(language), _revision(data, language), n_rows)

    def rows(self, split: Split, language: str) -> Dataset:
        """The rows of all files of ``language``, one file after the other, in memory.

        Raises:
            UnknownLanguageError, MissingDataError, MalformedDataError: as ``identity``.
            MalformedDataError: the files of a language have different columns.
        """
        import pyarrow as pa
        from datasets import Dataset, Features

        data = _own(split, language)
        files = _existing(data, language)
        tables = [read_table(file, format_in(data, file), data.header) for file in files]
        features = [Features.from_arrow_schema(table.schema) for table in tables]
        for file, found in zip(files, features, strict=True):
            if found != features[0]:
                raise MalformedDataError(
                    f"{file} and {files[0]} are to be read as one and have different columns: "
                    f"{_shown(found)} and {_shown(features[0])}. Give them the same.",
                    file=str(file),
                )
        table = pa.concat_tables([table.cast(features[0].arrow_schema) for table in tables])
        if split.translations:
            table = translated(table, split, language, ", ".join(data.files[language]))
            table = table.cast(Features.from_arrow_schema(table.schema).arrow_schema)
        return Dataset(table, fingerprint=_revision(data, language)[:16])


def digests(split: Split, language: str) -> dict[str, str]:
    """The digest of each file of a split of the user's own, by path.

    Raises:
        MissingDataError, MalformedDataError: as ``FileSource.identity``.
    """
    data = _own(split, language)
    return {str(file): _known(data, file)[0] for file in _existing(data, language)}


def located(split: Split, language: str, row: int) -> str:
    """Where a row of a split of the user's own stands, for instance ``row 3 of /data/b.tsv``."""
    data = _own(split, language)
    for file in _existing(data, language):
        n_rows = _known(data, file)[1]
        if row < n_rows:
            return f"row {row:,} of {file}"
        row -= n_rows
    raise IndexError(f"{split.place(language)} has fewer than {row} rows more")


def format_in(data: FileData, file: Path) -> str:
    """The format a file is read in.

    Raises:
        TaskError: neither the data nor the file's ending says.
    """
    name = data.format or format_of(file)
    if name is None:
        raise TaskError(
            f"{file} does not say its format. End its name in one of {', '.join(FORMATS)} (.gz may "
            f"follow), or give the task a format."
        )
    return name


def _revision(data: FileData, language: str) -> str:
    digests = [_known(data, file)[0] for file in _existing(data, language)]
    return fingerprint({"files": digests, "header": data.header})


def _own(split: Split, language: str) -> FileData:
    check_language(split, language)
    if isinstance(split.data, FileData):
        return split.data
    raise TaskError(f"{split.data.repo} lies on the hub or in a mirror, not in files of its own")


def _existing(data: FileData, language: str) -> list[Path]:
    """The files of ``language``.

    Raises:
        MissingDataError: one is not there; says what lies beside it.
    """
    files = [Path(name) for name in data.files[language]]
    for file in files:
        if not file.is_file():
            folder = next(parent for parent in file.parents if parent.is_dir())
            beside = sorted(path.name for path in folder.iterdir() if path.is_file())[:8]
            raise MissingDataError(
                f"no file {file} for {language!r} of {data.name}. The folder {folder} has "
                f"{', '.join(beside) or 'no files'}. Add the file, or leave the language out.",
                file=str(file),
            )
    return files


def _known(data: FileData, file: Path) -> tuple[str, int]:
    """Digest and number of rows of a file, read again only where it has changed."""
    state = file.stat()
    return _read_once(file, format_in(data, file), data.header, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_FILES_KNOWN)
def _read_once(
    file: Path, format_name: str, header: tuple[str, ...], mtime_ns: int, n_bytes: int
) -> tuple[str, int]:
    del mtime_ns, n_bytes  # part of the key
    digest = hashlib.sha256(f"{format_name}\n".encode() + file.read_bytes()).hexdigest()
    return digest, read_table(file, format_name, header).num_rows


def _shown(features: object) -> str:
    return ", ".join(f"{name}: {kind}" for name, kind in dict(features).items())  # type: ignore[call-overload]
