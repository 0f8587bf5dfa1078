"""Where a store lies: the file system behind its URL, and its path there."""

from __future__ import annotations

import fsspec
from fsspec.spec import AbstractFileSystem

from trainers.errors import StoreError


def opened(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a store, and the store's path in it.

    Args:
        url: a directory, or any fsspec URL.

    Raises:
        StoreError: the kind of URL is unknown, or its package is not installed.
    """
    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise StoreError(
            f"cannot use {url!r} as a store: {error}. Give a directory, or a URL whose fsspec "
            "package is installed."
        ) from error
    return filesystem, root
