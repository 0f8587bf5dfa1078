"""Tasks: what they are, where their rows come from, and the canonical columns of an example."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainers.errors import MissingDataError, TaskError, nearest

if TYPE_CHECKING:
    from trainers.tasks.source import Source

SOURCE_KINDS = ("hub", "mirror", "toy")
MIRROR_VARIABLE = "INTERLUDE_MIRROR"
_TOY_SEED = 0


def mirror_path(path: str | None) -> str | None:
    """The mirror that is meant: ``path``, else what ``INTERLUDE_MIRROR`` names, else None."""
    return path or os.environ.get(MIRROR_VARIABLE) or None


def open_source(
    kind: str, path: str | None = None, revisions: Mapping[str, str] | None = None
) -> Source:
    """The source of a kind, and of files of the user's own beside it.

    Args:
        kind: ``hub``, ``mirror`` or ``toy``.
        path: the mirror's folder; None for the one that ``INTERLUDE_MIRROR`` names.
        revisions: for the hub, commits that go before the catalogue's pins.

    Raises:
        MissingDataError: a mirror that is not named, or is none.
        TaskError: no source of that kind.
    """
    from trainers.tasks.files import FileSource, RoutedSource

    return RoutedSource(_published(kind, path, revisions), FileSource())


def _published(kind: str, path: str | None, revisions: Mapping[str, str] | None) -> Source:
    match kind:
        case "hub":
            from trainers.tasks.hub import HubSource

            return HubSource(revisions)
        case "mirror":
            from trainers.tasks.mirror import MirrorSource

            folder = mirror_path(path)
            if folder is None:
                raise MissingDataError(
                    f"the data source is a mirror and none is named. Set data.path in the spec, or "
                    f"{MIRROR_VARIABLE}, to a folder with hub/<org>/<dataset>/<config>/<split>.parquet."
                )
            return MirrorSource(folder)
        case "toy":
            from trainers.tasks.toy.source import ToySource

            return ToySource(_TOY_SEED)
        case _:
            raise TaskError(f"no data source {kind!r}. {nearest(kind, SOURCE_KINDS)}")
