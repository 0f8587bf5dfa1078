"""The files that a spec reads, data and model: what a mirror for it holds, and where each comes from."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scheduler.needs import check_there, needs_of, unpinned_repos
from scheduler.spec import StudySpec
from trainers.errors import MissingDataError, ModelError
from trainers.model_files import CONFIG, download, files_of
from trainers.models import ModelEntry, entry, locate, revision_of
from trainers.tasks import mirror_path, open_source
from trainers.tasks.fetching import Entry, read_index, write_parquet
from trainers.tasks.hub import published, refusal
from trainers.tasks.mirror import MirrorSource
from trainers.tasks.source import DataIdentity, Source
from trainers.tasks.spec import FileData, Split


@dataclass(frozen=True, slots=True)
class File:
    """One file that the mirror is to have.

    Attributes:
        path: below the mirror.
        source: ``org/name@commit``.
        fill: writes it and returns its rows.
    """

    path: str
    source: str
    fill: Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Model:
    """The model that the mirror is to have.

    Attributes:
        folder: below the mirror.
        source: ``org/name@commit``.
        files: finds or downloads its files, the config as the last.
    """

    folder: str
    source: str
    files: Callable[[], Sequence[Path]]

    def has(self, entry: Entry) -> bool:
        """Whether a file of the mirror is one of this model."""
        return entry.source == self.source and entry.path.startswith(f"{self.folder}/")


def files_wanted(spec: StudySpec) -> tuple[File, ...]:
    """The files of data that a study reads, each once, whole, in the order of first use.

    Raises:
        MissingDataError: some are not pinned or on no hub, or the source is a mirror without them.
    """
    if unpinned := unpinned_repos(spec):
        raise MissingDataError(refusal(*unpinned), file=unpinned[0])
    check_published(spec)
    known = read_index(Path(mirror)) if (mirror := _mirror(spec)) else {}
    files: dict[str, File] = {}
    for need in needs_of(spec):
        path = f"hub/{need.split.place(need.language)}.parquet"
        if isinstance(need.split.data, FileData) or path in files:
            continue
        whole = replace(need.split, language_field=(), translations="")
        if mirror:
            files[path] = _copy(MirrorSource(mirror), known, path, whole, need.language)
        else:
            files[path] = _download(
                open_source("hub", None, spec.data.revisions), path, whole, need.language
            )
    return tuple(files.values())


def check_published(spec: StudySpec) -> None:
    """Ask the data source for all that a study reads but files of its own.

    Raises:
        MissingDataError: some is not there; names every file, and the lines to do without them.
    """
    source = open_source(spec.data.source, spec.data.path, spec.data.revisions)

    def identity(split: Split, language: str) -> DataIdentity:
        if isinstance(split.data, FileData):
            return DataIdentity(split.place(language), "", 0)
        return source.identity(split, language)

    check_there(spec, identity)


def _download(source: Source, path: str, split: Split, language: str) -> File:
    """A file of the hub, with all its languages."""
    revision = source.identity(split, language).revision

    def fill(part: Path) -> int:
        rows = source.rows(split, language)
        write_parquet(rows, part)
        return len(rows)

    return File(path, f"{published(split).repo}@{revision}", fill)


def _copy(
    origin: MirrorSource, known: Mapping[str, Entry], path: str, split: Split, language: str
) -> File:
    """A file of a mirror, byte for byte: its identity, and every stage that read it, stay known."""
    identity = origin.identity(split, language)
    source = known[path].source if path in known else f"{published(split).repo}@{identity.revision}"
    return File(path, source, copy_of(origin.file(split, language), n_rows=identity.n_rows))


def copy_of(file: Path, n_rows: int = 0) -> Callable[[Path], int]:
    """What fills a new file with the bytes of ``file``."""

    def fill(part: Path) -> int:
        shutil.copyfile(file, part)
        return n_rows

    return fill


def models_wanted(spec: StudySpec) -> tuple[Model, ...]:
    """The models of a study, but for random weights and folders of the user's own.

    Raises:
        ModelError: a model is neither in the mirror nor pinned on the hub.
    """
    models = (entry(name).at(spec.model.revision) for name in spec.model.names)
    return tuple(_wanted(spec, one) for one in models if one.shape is None and not _is_own(one))


def _wanted(spec: StudySpec, model: ModelEntry) -> Model:
    mirror = _mirror(spec)
    place, folder = locate(model, mirror), f"models/{model.name}"
    if place != model.hub_id:
        known = read_index(Path(mirror or "")).get(f"{folder}/{CONFIG}")
        source = known.source if known else f"{model.name}@{revision_of(model, mirror)}"
        return Model(folder, source, partial(files_of, Path(place)))
    if not model.revision:
        raise ModelError(
            f"{model.hub_id} has no pinned commit. Set model.revision in the spec to one of "
            f"https://huggingface.co/{model.hub_id}/commits/main."
        )
    return Model(folder, f"{model.hub_id}@{model.revision}", partial(download, model))


def _is_own(model: ModelEntry) -> bool:
    return Path(model.hub_id).is_absolute()


def own_of(spec: StudySpec) -> Iterator[str]:
    """What a study reads that no mirror holds: files and models of the user's own, by path."""
    files = {
        file: None
        for need in needs_of(spec)
        if isinstance(need.split.data, FileData)
        for file in need.split.data.files[need.language]
    }
    yield from files
    yield from (model.hub_id for model in map(entry, spec.model.names) if _is_own(model))


def _mirror(spec: StudySpec) -> str | None:
    return mirror_path(spec.data.path) if spec.data.source == "mirror" else None
