"""Folders of a cache that several processes may make at once.

A folder is written beside its name and renamed into place, so one that exists is complete; who comes
second throws its own away.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def is_whole(folder: Path, files: Sequence[str]) -> bool:
    """Whether ``folder`` has all ``files``."""
    return all((folder / name).is_file() for name in files)


@contextmanager
def beside(folder: Path, files: Sequence[str]) -> Iterator[Path]:
    """A folder to write ``files`` in, which then takes the name of ``folder``.

    Raises:
        OSError: it cannot be made or renamed, and ``folder`` is not there as another made it.
    """
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not is_whole(folder, files):
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
