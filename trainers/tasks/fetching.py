"""Files of a mirror, each written whole or not at all, and the index of what each one is.

    DIR/index.tsv      path, rows, bytes, sha256, source; the last line of a path counts
    DIR/.fetch.lock    held by whoever writes, freed by the kernel when it dies

A file is written beside its name, synced, entered in the index and only then renamed: one that has its
name is whole, and one that the index does not know was put there by somebody else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from trainers.disk import free_space, is_full
from trainers.errors import MirrorError

if TYPE_CHECKING:
    from datasets import Dataset

INDEX = "index.tsv"
_COMPRESSION = "zstd"
_BATCH_ROWS = 10_000  # a row group
_LOCK = ".fetch.lock"
_LINE = re.compile(r"([^\t]+)\t(\d+)\t(\d+)\t([0-9a-f]{64})\t([^\t]+@[0-9a-f]{40})")
_COLUMNS = ("path", "rows", "bytes", "sha256", "source")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a mirror.

    Attributes:
        path: below the mirror.
        n_rows: 0 for a file of a model.
        n_bytes: its size.
        sha256: of its bytes.
        source: ``org/name@commit``; of a mirror that knows no commit, the digest of what was copied.
    """

    path: str
    n_rows: int
    n_bytes: int
    sha256: str
    source: str

    def line(self) -> str:
        """As it lies in the index."""
        fields = (self.path, self.n_rows, self.n_bytes, self.sha256, self.source)
        return "\t".join(map(str, fields)) + "\n"


class FileState(StrEnum):
    """What is found under the name of a file that is wanted."""

    MISSING = "missing"
    WHOLE = "whole"
    DAMAGED = "damaged"  # not the bytes that the index says
    OTHER = "other"  # from another source, as the index says
    UNKNOWN = "unknown"  # not in the index: nobody's to replace


def read_index(root: Path) -> Mapping[str, Entry]:
    """The files that a mirror's index names, by path; a line that was cut off is left out."""
    index = root / INDEX
    entries = {}
    for line in (
        index.read_text(encoding="utf-8", errors="replace").splitlines() if index.is_file() else ()
    ):
        if found := _LINE.fullmatch(line):
            path, rows, size, sha256, source = found.groups()
            entries[path] = Entry(path, int(rows), int(size), sha256, source)
    return entries


@contextmanager
def writing(root: Path, waiting: Callable[[], None]) -> Iterator[MirrorWriter]:
    """Be the only writer of a mirror for the block.

    Args:
        root: its folder; made if it is not there.
        waiting: called once where another writer must end first.

    Raises:
        MirrorError: the folder cannot be written, or its file system has no locks.
    """
    try:
        (root / "hub").mkdir(parents=True, exist_ok=True)
        lock = (root / _LOCK).open("a")
    except OSError as error:
        raise MirrorError(f"cannot write a mirror in {root}: {error}. Name another folder.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise MirrorError(
                f"cannot lock {root / _LOCK}: {error}. Name a folder on a file system with locks."
            ) from error
        yield MirrorWriter(root)


class MirrorWriter:
    """Adds files to a mirror; see ``writing``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries = dict(read_index(root))

    def state(self, path: str, source: str) -> FileState:
        """What lies at ``path``, its bytes compared with the index."""
        file, entry = self._root / path, self._entries.get(path)
        if not file.is_file():
            return FileState.MISSING
        if entry is None:
            return FileState.UNKNOWN
        if entry.source != source:
            return FileState.OTHER
        whole = file.stat().st_size == entry.n_bytes and _sha256(file) == entry.sha256
        return FileState.WHOLE if whole else FileState.DAMAGED

    def entries(self) -> tuple[Entry, ...]:
        """Every file that the index knows."""
        return tuple(self._entries.values())

    def entry(self, path: str) -> Entry:
        """What the index says about a file that is in it."""
        return self._entries[path]

    def add(self, path: str, source: str, fill: Callable[[Path], int]) -> Entry:
        """Write the file at ``path``, in place of one that is damaged.

        Args:
            path: below the mirror.
            source: ``org/name@commit``.
            fill: writes the file it is given and returns its rows.

        Raises:
            MirrorError: it cannot be written, for instance on a full disk; nothing is left of it.
        """
        file = self._root / path
        part = file.with_name(f".{file.name}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            n_rows = fill(part)
            _sync(part)
            entry = Entry(path, n_rows, part.stat().st_size, _sha256(part), source)
            self._enter(entry)
            part.replace(file)
            _sync(file.parent)
        except OSError as error:
            raise _unwritten(file, part, error) from error
        finally:
            part.unlink(missing_ok=True)
        return entry

    def _enter(self, entry: Entry) -> None:
        """Append a line; before the file has its name, so that it knows every file that is there."""
        with (self._root / INDEX).open("ab+") as index:
            if index.tell() == 0:
                index.write(("\t".join(_COLUMNS) + "\n").encode())
            else:
                index.seek(-1, os.SEEK_END)
                if index.read(1) != b"\n":
                    index.write(b"\n")
            index.write(entry.line().encode())
            index.flush()
            os.fsync(index.fileno())
        self._entries[entry.path] = entry


def write_parquet(rows: Dataset, file: Path) -> None:
    """All rows as one parquet file, their features (class names among them) in its schema."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, rows.features.arrow_schema, compression=_COMPRESSION) as writer:
        for batch in rows.with_format("arrow").iter(_BATCH_ROWS):
            writer.write_table(batch)


def _unwritten(file: Path, part: Path, error: OSError) -> MirrorError:
    if not is_full(error):
        return MirrorError(f"cannot write {file}: {error}.")
    written = part.stat().st_size if part.is_file() else 0
    return MirrorError(
        f"the disk is full: {written / 1e6:.1f} MB of {file} written, and {free_space(file.parent)}. "
        f"Nothing was left half-written. Make room and run the same command: it goes on from here."
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
