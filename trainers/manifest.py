"""The record of a stage's folder: what the stage is, every file in it, where and when it was made.

A folder that does not hold what its record or its name says is an error, never a warning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainers.errors import ManifestMismatchError
from trainers.fingerprint import canonical
from trainers.provenance import environment
from trainers.stage import Stage, stage_name

MANIFEST = "manifest.json"
_SMALL_BYTES = 1 << 20  # files up to this size are checked by content each time, larger ones by size
_BLOCK_BYTES = 1 << 20
_REMEDY = "Drop that folder and run the stage again, or restore it from a copy."


def read_manifest(text: bytes, where: str, fingerprint: str) -> dict[str, Any]:
    """The record that ``text`` is, of the stage ``fingerprint``.

    Raises:
        ManifestMismatchError: it is no record, or not of that stage.
    """
    try:
        record: dict[str, Any] = json.loads(text)
    except ValueError as unreadable:
        raise ManifestMismatchError(f"{where} is not JSON ({unreadable}). {_REMEDY}") from unreadable
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise ManifestMismatchError(f"{where} is not the record of a stage. {_REMEDY}")
    named = _digest_of_config(record.get("config"))
    if not fingerprint == record.get("fingerprint") == named:
        raise ManifestMismatchError(
            f"{where} describes stage {record.get('fingerprint')!r} with a config that hashes to "
            f"{named!r}, not {fingerprint!r}. {_REMEDY}"
        )
    return record


def _digest_of_config(config: object) -> str:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_manifest(folder: Path, stage: Stage) -> dict[str, Any]:
    """The record of what lies in ``folder``, which is ``stage``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "fingerprint": stage_name(stage),
        "kind": str(stage.kind),
        "config": canonical(stage),
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in files
        },
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
    }


def as_text(record: Mapping[str, object]) -> str:
    """The record as it lies in its file."""
    return json.dumps(record, indent=1, sort_keys=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, n_bytes: int, sha256: str, *, thorough: bool) -> None:
    """Refuse a file that is not the one in the manifest; large ones by size unless ``thorough``.

    Raises:
        ManifestMismatchError: it is missing or differs.
    """
    if not path.is_file():
        raise ManifestMismatchError(f"{path} is in the manifest and not in the folder. {_REMEDY}")
    found = path.stat().st_size
    if found != n_bytes:
        raise ManifestMismatchError(f"{path} has {found} bytes, {n_bytes} in the manifest. {_REMEDY}")
    if (thorough or n_bytes <= _SMALL_BYTES) and _sha256(path) != sha256:
        raise ManifestMismatchError(f"{path} differs from its SHA-256 in the manifest. {_REMEDY}")
