"""Names that depend only on what a thing is.

Two stages share a checkpoint exactly when their fingerprints are equal, so a fingerprint must not
depend on key order, process, path or machine, and a value without a stable form is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum

_HEX_DIGITS = 16
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_PLAIN = {type(None), bool, int, str}  # what most values are
_FIELDS: dict[type, tuple[str, ...] | None] = {}


def canonical(value: object) -> object:
    """``value`` as plain JSON types, mappings sorted, dataclasses with their class name.

    Raises:
        TypeError: some value has no stable form, for instance a function or a set.
        ValueError: a float is NaN or infinite.
    """
    if type(value) in _PLAIN or (isinstance(value, int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in a fingerprint")
        return repr(value)
    if (names := _field_names(type(value))) is not None:
        fields = {name: canonical(getattr(value, name)) for name in names}
        return {"is": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("only text keys have a stable order")
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    raise TypeError(f"{type(value).__name__} {value!r} has no stable form")


def _field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass; None for anything else."""
    if kind not in _FIELDS:
        is_one = dataclasses.is_dataclass(kind)
        _FIELDS[kind] = tuple(field.name for field in dataclasses.fields(kind)) if is_one else None
    return _FIELDS[kind]


def fingerprint(config: object) -> str:
    """The first 16 hex digits of the SHA-256 of ``config`` as canonical JSON.

    Raises:
        TypeError: some value has no stable form, for instance a function.
    """
    text = _JSON.encode(canonical(config))
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX_DIGITS]
