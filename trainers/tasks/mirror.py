"""A folder as a source: ``hub/<org>/<dataset>/<config>/<split>.parquet``, laid out as on the hub.

A file's identity is the digest of its parquet footer: schema, sizes, offsets and statistics of
every column chunk. Reading it takes a millisecond and never touches the rows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import EmptySplitError, MalformedDataError, MissingDataError
from trainers.tasks.hub import check_language, data_name, language_mask, of_language, published
from trainers.tasks.source import DataIdentity
from trainers.tasks.translations import n_translated

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from trainers.tasks.spec import Split

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # footer length, 4 bytes little endian, then the magic
_DIGITS = 40


class MirrorSource:
    """Rows from a local folder.

    Args:
        path: the folder that holds ``hub/``.

    Raises:
        MissingDataError: it is no folder or has no ``hub/``.
    """

    def __init__(self, path: str | Path) -> None:
        self._root = Path(path).expanduser()
        if not (self._root / "hub").is_dir():
            state = "has no hub/ folder" if self._root.is_dir() else "is no folder"
            raise MissingDataError(
                f"the mirror {self._root} {state}. Name one laid out as "
                f"hub/<org>/<dataset>/<config>/<split>.parquet with data.path or INTERLUDE_MIRROR.",
                file=str(self._root),
            )

    def file(self, split: Split, language: str) -> Path:
        """Where the split of a language lies, whether or not it is there."""
        data = published(split)
        return self._root / "hub" / data.repo / data.config_for(language) / f"{split.name}.parquet"

    def identity(self, split: Split, language: str) -> DataIdentity:
        """Name, digest of the footer and number of rows.

        In a file that has several languages the column that tells them apart is read too, to count.

        Raises:
            UnknownLanguageError: the split does not have the language.
            MissingDataError: no such file, or no row of ``language`` in it.
            MalformedDataError: the file is not parquet, or its end is cut off.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        check_language(split, language)
        file = self._existing(split, language)
        digest = _footer_digest(file)
        try:
            n_rows = pq.read_metadata(file).num_rows
            told_apart = [name for name in (*split.language_field[:1], split.translations) if name]
            if told_apart:
                n_rows = _n_rows_of(
                    pq.read_table(file, columns=told_apart, partitioning=None),
                    split,
                    language,
                    str(file),
                )
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error
        if split.language_field and n_rows == 0:
            raise MissingDataError(
                f"{file} has no row in {language!r} (by its column {split.language_field[0]!r}). Leave "
                f"the language out for this task, or give a file that has it.",
                file=str(file),
            )
        return DataIdentity(data_name(split, language), digest, n_rows)

    def rows(self, split: Split, language: str) -> Dataset:
        """The rows of ``language``, decoded from parquet straight into memory.

        No copy is left in any cache: what is trained on is tokenised once and then memory-mapped
        (``trainers/features.py``), so the text is needed for a moment only.

        Raises:
            UnknownLanguageError: the split does not have the language.
            MissingDataError: no such file.
            MalformedDataError: the file cannot be read, or lacks the language column.
            EmptySplitError: no rows, or none of ``language``.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq
        from datasets import Dataset, Features

        check_language(split, language)
        file = self._existing(split, language)
        try:
            table = pq.read_table(file, memory_map=True, partitioning=None)
            features = Features.from_arrow_schema(table.schema)
            dataset = Dataset(table.cast(features.arrow_schema), fingerprint=_footer_digest(file)[:16])
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            raise _unreadable(file, error) from error
        if dataset.num_rows == 0:
            raise EmptySplitError(
                f"{file} has 0 rows. Fetch the file again, or leave the task out.", file=str(file)
            )
        return of_language(dataset, split, language, str(file))

    def _existing(self, split: Split, language: str) -> Path:
        file = self.file(split, language)
        if file.is_file():
            return file
        folder = file.parent
        beside = sorted(path.stem for path in folder.glob("*.parquet")) if folder.is_dir() else []
        if beside:
            found = f"That folder has {', '.join(beside)}"
        else:
            nearest = next(parent for parent in folder.parents if parent.is_dir())
            found = f"The folder above it that exists is {nearest}"
        raise MissingDataError(
            f"no file {file} for {language!r}. {found}. Add the file, or leave out the task or the "
            f"language.",
            file=str(file),
        )


def _n_rows_of(columns: pa.Table, split: Split, language: str, file: str) -> int:
    """Rows of ``language`` in a file of several, from the columns that tell them apart."""
    if split.language_field:
        columns = columns.filter(language_mask(columns, split, language, file))
    return n_translated(columns, split, language, file) if split.translations else columns.num_rows


def _footer_digest(file: Path) -> str:
    """The first 40 hex digits of the SHA-256 of the footer's bytes.

    Raises:
        MalformedDataError: the file does not end as parquet files do.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read(_TAIL_BYTES)
        n_footer = int.from_bytes(tail[:4], "little") + _TAIL_BYTES
        if tail[4:] != _MAGIC or n_footer > size:
            raise MalformedDataError(
                f"{file} ({size} bytes) does not end as a parquet file: expected the footer and "
                f"{_MAGIC.decode()}, found {tail[-4:]!r}. The file is cut off or of another kind; fetch "
                f"it again.",
                file=str(file),
            )
        stream.seek(size - n_footer)
        return hashlib.sha256(stream.read(n_footer)).hexdigest()[:_DIGITS]


def _unreadable(file: Path, error: BaseException) -> MalformedDataError:
    reason = (str(error).strip().splitlines() or [""])[0][:200]
    return MalformedDataError(
        f"{file} ends as a parquet file and cannot be read: {type(error).__name__}: {reason}. "
        f"Fetch the file again.",
        file=str(file),
    )
