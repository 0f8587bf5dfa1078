"""A full disk, known for what it is, and how much room there is."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: BaseException) -> bool:
    """Whether the error says that nothing more can be written.

    The tokenizers and safetensors libraries have no class for it, only the system's words.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) for number in _FULL)


def free_space(place: Path) -> str:
    """What is free on the disk of a path that need not be there yet, as part of a sentence."""
    there = next(path for path in (place, *place.absolute().parents) if path.is_dir())
    return f"{shutil.disk_usage(there).free / 1e9:.3f} GB are free at {there}"
