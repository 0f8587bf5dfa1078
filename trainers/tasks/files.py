"""Files of the user's own as a source, and the router that sends each split to where its rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.spec import FileData

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.source import DataIdentity, Source
    from trainers.tasks.spec import Split


class RoutedSource:
    """A study's rows: files of its own from where they lie, everything else from one source.

    Args:
        published: hub, mirror or toy world.
        files: for splits whose data is ``FileData``.
    """

    def __init__(self, published: Source, files: Source) -> None:
        self._published = published
        self._files = files

    def identity(self, split: Split, language: str) -> DataIdentity:
        """As the source that has the split."""
        return self._of(split).identity(split, language)

    def rows(self, split: Split, language: str) -> Dataset:
        """As the source that has the split."""
        return self._of(split).rows(split, language)

    def _of(self, split: Split) -> Source:
        return self._files if isinstance(split.data, FileData) else self._published
