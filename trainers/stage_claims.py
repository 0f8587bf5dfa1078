"""Claims on stages in a store: who runs one now, so that two studies never run it at the same time.

    <store>/claims/<fingerprint>/1, 2, 3, …        holder and deadline; the highest number counts

A number is created once and only if it is not there, which decides between two that want it; it holds
from then on until its deadline or until its holder writes a deadline of 0 into it. An expired number is
never removed to make room: the next one is created beside it. Once the stage is done all are removed,
since whoever claims it then finds its result.

Deadlines are in seconds of the clocks of the machines that share a store: a margin covers clocks that
differ by less. A local file is linked into its place with its content. A remote file system takes part
if fsspec can create a file exclusively there; where it cannot, every claim is granted, and two studies
that want one stage at the same moment both pay for it.
"""

from __future__ import annotations

import inspect
import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from trainers.errors import StoreError
from trainers.filesystem import opened

MARGIN_S = 60.0  # for clocks that differ, and for the end of a lease to reach its driver


class StoreClaims:
    """The claims of one holder.

    Args:
        url: of the store, a directory or any fsspec URL.
        holder: no other study has this name; the same study has it again after a restart.
        now_s: seconds since 1970.

    Raises:
        StoreError: the kind of URL is unknown, or its package is not installed.
    """

    def __init__(self, url: str, holder: str, now_s: Callable[[], float] = time.time) -> None:
        self._fs, root = opened(url)
        self._root = str(PurePosixPath(root) / "claims")
        self._holder = holder
        self._now_s = now_s
        self._local = isinstance(self._fs, LocalFileSystem)
        self._protects = self._local or _creates_exclusively(self._fs)

    def claim(self, stage: str, for_s: float) -> bool:
        """Take ``stage`` for so long, again where it is ours already; False while another has it.

        Raises:
            StoreError: the store cannot be written.
        """
        if not self._protects:
            return True
        try:
            number, holder, until_s = self._newest(stage)
            if holder != self._holder and self._now_s() < until_s:
                return False
            return self._create(f"{self._root}/{stage}/{number + 1}", self._now_s() + for_s + MARGIN_S)
        except OSError as error:
            raise StoreError(
                f"cannot claim stage {stage} under {self._root}: {error}. Make the store writable, on a "
                "file system that has hard links, then run the same command again."
            ) from error

    def release(self, stage: str, *, done: bool) -> None:
        """Let go of a stage, whose result exists now if it is ``done``; another's claim stays."""
        if not self._protects:
            return
        number, holder, _ = self._newest(stage)
        if holder != self._holder:
            return
        with suppress(OSError):  # what cannot be let go ends at its deadline
            if done:
                self._fs.rm(f"{self._root}/{stage}", recursive=True)
            else:
                self._write(f"{self._root}/{stage}/{number}", 0.0)

    def _newest(self, stage: str) -> tuple[int, str, float]:
        """The highest number, its holder and its deadline; 0 where nobody ever claimed the stage."""
        self._fs.invalidate_cache()
        try:
            names = [
                place.rpartition("/")[2] for place in self._fs.ls(f"{self._root}/{stage}", detail=False)
            ]
            number = max((int(name) for name in names if name.isdigit()), default=0)
            if not number:
                return 0, "", 0.0
            record = json.loads(self._fs.cat_file(f"{self._root}/{stage}/{number}"))
            return number, str(record["holder"]), float(record["until_s"])
        except FileNotFoundError:
            return 0, "", 0.0

    def _create(self, place: str, until_s: float) -> bool:
        """Whether the file was not there and is now."""
        content = self._record(until_s)
        try:
            if not self._local:
                self._fs.pipe_file(place, content, mode="create")
                return True
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            partial = Path(f"{place}.{uuid.uuid4().hex[:8]}")
            partial.write_bytes(content)
            try:
                os.link(partial, place)
            finally:
                partial.unlink(missing_ok=True)
        except (FileExistsError, FileNotFoundError):  # another was first, or has done it and removed all
            return False
        return True

    def _write(self, place: str, until_s: float) -> None:
        """Replace a file that is ours."""
        if not self._local:
            self._fs.pipe_file(place, self._record(until_s))
            return
        partial = Path(f"{place}.{uuid.uuid4().hex[:8]}")
        partial.write_bytes(self._record(until_s))
        partial.replace(place)

    def _record(self, until_s: float) -> bytes:
        return json.dumps({"holder": self._holder, "until_s": until_s}).encode()


def _creates_exclusively(fs: Any) -> bool:  # noqa: ANN401 - fsspec is untyped
    """Whether the file system's own way to write a whole file can insist that it is new.

    What fsspec offers every file system looks first and then writes, which two can do at once.
    """
    kind = type(fs)
    write = kind._pipe_file if isinstance(fs, AsyncFileSystem) else kind.pipe_file
    if write in (AsyncFileSystem._pipe_file, AbstractFileSystem.pipe_file):
        return False
    return "mode" in inspect.signature(write).parameters
