"""The store of stages: content-addressed folders on a local path or any fsspec URL.

    <store>/stages/<fingerprint>/manifest.json     written last: without it the folder is not there
    <store>/stages/<fingerprint>/...               what the stage left
    <store>/stages/<fingerprint>.partial/...       what a stopped stage left to continue from: a
                                                   manifest and the folder that it names

The manifest names the stage's whole config, its fingerprint, every file with size and SHA-256, and
where and when it was made. Opening checks the config against the name and every size; a mismatch is
an error, never a warning. Of two writers of one stage the first to finish wins and the other's work
is discarded: equal names mean equal results. A partial state is replaced by the newer one, whoever
wrote it: where a stage stands follows from its config and its step.

A local stage is written beside its place and renamed into it. A partial state, and all of a remote
store, gets its files under a folder of their own and then the manifest, which points to that folder.
On a local store a lock that the system frees when its process dies keeps a reader's partial state in
place until it has been read. Safe against a killed process; against a power cut as far as the file
system is.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError

from trainers.disk import free_space, is_full
from trainers.errors import ManifestMismatchError, StoreError
from trainers.filesystem import opened
from trainers.manifest import MANIFEST, as_text, make_manifest, read_manifest, verify
from trainers.stage import Stage, stage_name

PARTIAL = ".partial"


class StageStore:
    """Stages by fingerprint.

    Args:
        url: a directory, or any fsspec URL.
        cache_dir: where stages of a remote store are kept for reading; a temporary folder if None.

    Raises:
        StoreError: the kind of URL is unknown, or its package is not installed.
    """

    def __init__(self, url: str, cache_dir: Path | None = None) -> None:
        self.url = url
        self._fs, root = opened(url)
        self._local = "file" in _protocols(self._fs)
        self._root = str(PurePosixPath(root) / "stages")
        self._cache = cache_dir

    def has(self, name: str) -> bool:
        """Whether the stage is there, complete."""
        self._fs.invalidate_cache()
        return bool(self._fs.exists(f"{self._root}/{name}/{MANIFEST}"))

    def manifest(self, name: str) -> dict[str, Any]:
        """The record of a stage: config, fingerprint, files, provenance, creation time.

        Raises:
            StoreError: there is no such stage.
            ManifestMismatchError: the record does not belong to that name.
        """
        where = f"{self._root}/{name}/{MANIFEST}"
        try:
            return read_manifest(self._fs.cat_file(where), where, name.removesuffix(PARTIAL))
        except FileNotFoundError as missing:
            raise StoreError(
                f"{self.url} has no stage {name} (no {where}). It was never finished there or has "
                "been dropped: run the stage that makes it, or name the store that has it."
            ) from missing

    def open(self, name: str, *, thorough: bool = False) -> Path:
        """The stage's folder, on this machine, for reading only.

        Args:
            name: fingerprint, or ``<fingerprint>.partial``.
            thorough: compare the SHA-256 of large files too.

        Raises:
            StoreError: there is no such stage.
            ManifestMismatchError: a file is missing, or differs from the manifest.
        """
        record = self.manifest(name)
        folder = self._folder(name, record)
        for file, expected in record["files"].items():
            verify(folder / file, expected["bytes"], expected["sha256"], thorough=thorough)
        return folder

    @contextmanager
    def reading(self, name: str) -> Iterator[Path | None]:
        """A stage's folder, which nobody replaces or drops before the block ends; None if not there.

        Raises:
            StoreError: another worker keeps replacing it.
            ManifestMismatchError: a file is missing, or differs from the manifest.
        """
        with self._locked(name):
            yield self._newest(name)

    @contextmanager
    def write(self, name: str, stage: Stage) -> Iterator[Path]:
        """Give an empty folder; on clean exit what lies in it becomes the stage ``name``.

        After an exception nothing is kept. A name that ends in ``.partial`` replaces what was there.

        Raises:
            StoreError: the store cannot be written.
        """
        self._claim(name, stage)
        with self._told_apart(name):
            scratch = self._scratch(name)
        try:
            with self._told_apart(name):
                yield scratch
                record = make_manifest(scratch, stage)
                if self._local and name.endswith(PARTIAL):
                    self._replace_partial(scratch, name, record)
                elif self._local:
                    self._rename_into_place(scratch, name, record)
                else:
                    self._upload(scratch, name, record)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def drop(self, name: str) -> None:
        """Forget a stage; nothing happens when it is not there. The manifest goes first."""
        folder = f"{self._root}/{name}"
        with self._told_apart(name), self._locked(name):
            if self._fs.exists(f"{folder}/{MANIFEST}"):
                self._fs.rm_file(f"{folder}/{MANIFEST}")
            if self._fs.exists(folder):
                self._fs.rm(folder, recursive=True)

    def _newest(self, name: str) -> Path | None:
        for more_tries in (True, True, False):
            if not self.has(name):
                return None
            try:
                return self.open(name)
            except ManifestMismatchError:
                raise
            except StoreError:  # in a remote store it may be replaced between manifest and files
                if not more_tries:
                    raise
        return None

    def _claim(self, name: str, stage: Stage) -> None:
        if name.removesuffix(PARTIAL) != stage_name(stage):
            raise ManifestMismatchError(f"a stage called {stage_name(stage)} cannot be stored as {name}")

    def _scratch(self, name: str) -> Path:
        """A new folder of this process; those of writers that were killed are removed first."""
        base = Path(self._root) if self._local else self._cache_dir()
        for left in base.glob(f".*.{platform.node()}.*"):
            if not _alive(int(left.name.rpartition(".")[2])):
                shutil.rmtree(left, ignore_errors=True)
        scratch = base / f".{name}.{uuid.uuid4().hex[:8]}.{platform.node()}.{os.getpid()}"
        scratch.mkdir(parents=True)
        return scratch

    def _rename_into_place(self, scratch: Path, name: str, record: Mapping[str, object]) -> None:
        (scratch / MANIFEST).write_text(as_text(record))
        place = Path(self._root) / name
        with self._locked(name):
            if self.has(name):
                return
            if place.exists():  # the rest of a killed drop
                shutil.rmtree(place)
            scratch.rename(place)

    def _replace_partial(self, scratch: Path, name: str, record: dict[str, Any]) -> None:
        place = Path(self._root) / name
        record["folder"] = uuid.uuid4().hex[:8]
        (scratch / MANIFEST).write_text(as_text(record))
        with self._locked(name):
            place.mkdir(exist_ok=True)
            scratch.rename(place / record["folder"])
            os.replace(place / record["folder"] / MANIFEST, place / MANIFEST)
            for left in place.iterdir():
                if left.name not in (MANIFEST, record["folder"]):
                    shutil.rmtree(left)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Among all workers on a local store, be the only one to change or read ``name`` for a moment.

        Names share 256 locks that are never removed, so there is no moment at which two hold one.
        """
        if not self._local:
            yield
            return
        file = Path(self._root) / ".locks" / name[:2]
        with ExitStack() as held:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                fcntl.flock(held.enter_context(file.open("a")), fcntl.LOCK_EX)
            except OSError as error:
                raise StoreError(
                    f"cannot lock {file}: {error}. Use a store on a file system that can be written and "
                    "has file locks, or an object store."
                ) from error
            yield

    def _upload(self, scratch: Path, name: str, record: dict[str, Any]) -> None:
        place = f"{self._root}/{name}"
        older = self.manifest(name) if self.has(name) else None
        if older is not None and not name.endswith(PARTIAL):
            return
        record["folder"] = uuid.uuid4().hex[:8]
        for file in record["files"]:
            target = f"{place}/{record['folder']}/{file}"
            self._fs.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
            self._fs.put_file(str(scratch / file), target)
        if not name.endswith(PARTIAL) and self.has(name):
            self._fs.rm(f"{place}/{record['folder']}", recursive=True)
            return
        self._fs.pipe_file(f"{place}/{MANIFEST}", as_text(record).encode())
        if older is not None:
            with suppress(FileNotFoundError):  # another worker has replaced it, too
                self._fs.rm(f"{place}/{older['folder']}", recursive=True)

    def _cache_dir(self) -> Path:
        if self._cache is None:
            self._cache = Path(tempfile.mkdtemp(prefix="interlude-stages-"))
        self._cache.mkdir(parents=True, exist_ok=True)
        return self._cache

    def _folder(self, name: str, record: Mapping[str, Any]) -> Path:
        if self._local:
            return Path(self._root) / name / str(record.get("folder", ""))
        folder = self._cache_dir() / f"{name}-{record['folder']}"
        if not folder.exists():
            arriving = self._scratch(name)
            try:
                self._fetch(f"{self._root}/{name}/{record['folder']}", record["files"], arriving)
                arriving.rename(folder)
            except OSError as error:
                if not folder.exists():  # else another process was first
                    raise StoreError(
                        f"cannot fetch stage {name} of {self.url} into {self._cache}: {error}. "
                        f"{free_space(folder)}."
                    ) from error
            finally:
                shutil.rmtree(arriving, ignore_errors=True)
        return folder

    def _fetch(self, place: str, files: Iterable[str], folder: Path) -> None:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            self._fs.get_file(f"{place}/{file}", str(folder / file))

    @contextmanager
    def _told_apart(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not (isinstance(error, OSError | SafetensorError) or is_full(error)):
                raise
            room = f" {free_space(Path(self._root))}." if self._local else ""
            raise StoreError(
                f"cannot write stage {name} under {self.url}: {error}.{room} Free space or make the "
                "place writable, then run the same command again; finished stages are kept."
            ) from error


def _protocols(fs: Any) -> tuple[str, ...]:  # noqa: ANN401 - fsspec is untyped
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
