"""Where the data of a study's own task lies, part by part and language by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from scheduler.spec_tasks import CustomTaskSpec, Part
from trainers.tasks.spec import TaskSpec

PARTS: tuple[Part, ...] = get_args(Part)

Place = tuple[str, ...] | str  # files, or a split on the hub
Places = Mapping[str, Place]  # by language


_OTHER: Mapping[Part, Part] = {"search": "report", "report": "search"}


def places_of(given: CustomTaskSpec, part: Part) -> Places:
    """Where the data of a part lies, by language; empty where the spec gives none."""
    files = {code: absolute(paths) for code, paths in given.files.get(part, {}).items()}
    hub = given.hub
    if files or hub is None or part not in hub.splits:
        return files
    languages = hub.languages
    if isinstance(languages, Mapping):
        codes = languages.get(part) or languages.get(_OTHER.get(part, part), ())
    else:
        codes = languages
    return dict.fromkeys(codes, hub.splits[part])


def keeps(places: Mapping[Part, Places], base: TaskSpec) -> bool:
    """Whether some data of the task that it is like stays, beside that at ``places``."""
    return bool(
        (base.train and not places.get("train"))
        or ((base.search or base.report) and not (places.get("search") or places.get("report")))
        or (base.pool and not places.get("pool"))
    )


def absolute(paths: str | Sequence[str]) -> tuple[str, ...]:
    """Paths that workers in another folder find."""
    listed = (paths,) if isinstance(paths, str) else paths
    return tuple(str(Path(path).expanduser().absolute()) for path in listed)
