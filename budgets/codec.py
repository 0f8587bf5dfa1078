"""Facts as JSON and back, exactly, driven by type hints.

What comes back equals what was written: tuples stay tuples, enums enums, nested dataclasses
themselves. Members of a union of dataclasses carry their class name under ``"is"``, so that two
classes with the same fields are told apart. A hint or a value without an exact JSON form is
refused, never bent.

A field that a newer version added may be absent if it has a default; a key that no field reads is
refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

_TAG = "is"


@dataclass(frozen=True, slots=True)
class Codec:
    """The two directions for one type hint.

    Attributes:
        encode: value to plain JSON; TypeError with the path when the value does not fit.
        decode: plain JSON to value; ValueError with the path when the JSON does not fit.
    """

    encode: Callable[[object], object]
    decode: Callable[[object], object]


class FactCodec:
    """Facts of a closed set of frozen dataclasses, told apart by class name."""

    def __init__(self, fact_types: Iterable[type]) -> None:
        self._types: dict[str, type] = {}
        for fact_type in fact_types:
            known = self._types.setdefault(fact_type.__name__, fact_type)
            if known is not fact_type:
                raise TypeError(f"two facts are named {fact_type.__name__}: {known} and {fact_type}")
        self._codecs = {name: codec(fact_type) for name, fact_type in self._types.items()}

    def write(self, fact: object) -> tuple[str, str]:
        """The fact's kind and its payload.

        Raises:
            TypeError: it is not one of the facts, or holds a value without an exact form.
        """
        kind = type(fact).__name__
        if self._types.get(kind) is not type(fact):
            raise TypeError(f"{kind} is not one of the facts kept here: {', '.join(self._types)}")
        try:
            payload = self._codecs[kind].encode(fact)
        except TypeError as error:
            raise TypeError(f"{kind}.{error}") from error
        return kind, json.dumps(payload, allow_nan=False, separators=(",", ":"))

    def read(self, kind: str, payload: str) -> object:
        """The fact that was written.

        Raises:
            ValueError: the kind is unknown, or the payload is not one of its facts.
        """
        if kind not in self._codecs:
            raise ValueError(f"{kind!r} is not one of the facts known here: {', '.join(self._types)}")
        return self._codecs[kind].decode(json.loads(payload))


@cache
def codec(hint: object) -> Codec:
    """Both directions for a type hint.

    Raises:
        TypeError: values of this hint have no exact JSON form.
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _dataclass(hint)
    if origin in (Union, UnionType):
        return _union(args)
    if origin is tuple:
        return _tuple(args)
    if origin in (Mapping, dict):
        return _mapping(*args)
    raise TypeError(f"values of type {hint} have no exact JSON form")


def _dataclass(cls: type) -> Codec:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    codecs = {name: codec(hints[name]) for name in fields}
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def encode(value: object) -> object:
        _expect(value, cls)
        return {name: _encode_at(name, codecs[name], getattr(value, name)) for name in codecs}

    def decode(data: object) -> object:
        if not isinstance(data, dict):
            raise _misfit(f"the fields of {cls.__name__}", data)
        if unknown := data.keys() - codecs.keys():
            raise ValueError(f"{cls.__name__} has no field {sorted(unknown)[0]!r}")
        if missing := required - data.keys():
            raise ValueError(f"{cls.__name__} lacks {sorted(missing)[0]!r}")
        values = {name: _decode_at(name, codecs[name], item) for name, item in data.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error

    return Codec(encode, decode)


def _union(members: tuple[object, ...]) -> Codec:
    tagged = {m.__name__: m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m)}
    others = [m for m in members if m is not NoneType and m not in tagged.values()]
    if len(others) > 1 or len(tagged) + len(others) + (NoneType in members) != len(members):
        raise TypeError(f"members of the union {members} cannot be told apart")
    other = codec(others[0]) if others else Codec(_refuse_encode, _refuse_decode)
    codecs = {name: codec(cls) for name, cls in tagged.items()}

    def encode(value: object) -> object:
        if value is None and NoneType in members:
            return None
        name = type(value).__name__
        if tagged.get(name) is type(value):
            fields = codecs[name].encode(value)
            return {_TAG: name, **fields} if isinstance(fields, dict) else fields
        return other.encode(value)

    def decode(data: object) -> object:
        if data is None and NoneType in members:
            return None
        if isinstance(data, dict) and str(data.get(_TAG)) in codecs:
            return codecs[data[_TAG]].decode({k: v for k, v in data.items() if k != _TAG})
        return other.decode(data)

    return Codec(encode, decode)


def _tuple(members: tuple[object, ...]) -> Codec:
    if len(members) != 2 or members[1] is not Ellipsis:
        raise TypeError("only tuples of one type and any length (tuple[X, ...]) have a form here")
    item = codec(members[0])

    def encode(value: object) -> object:
        if not isinstance(value, tuple):
            raise TypeError(f"expected a tuple, got {value!r}")
        return [_encode_at(str(index), item, one) for index, one in enumerate(value)]

    def decode(data: object) -> object:
        if not isinstance(data, list):
            raise _misfit("a list", data)
        return tuple(_decode_at(str(index), item, one) for index, one in enumerate(data))

    return Codec(encode, decode)


def _mapping(key_hint: object, value_hint: object) -> Codec:
    keys = codec(key_hint)
    values = codec(value_hint)

    def encode(value: object) -> object:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a mapping, got {value!r}")
        return {str(keys.encode(k)): _encode_at(str(k), values, v) for k, v in value.items()}

    def decode(data: object) -> object:
        if not isinstance(data, dict):
            raise _misfit("a mapping", data)
        read_key = (lambda key: keys.decode(int(key))) if key_hint is int else keys.decode
        return {read_key(k): _decode_at(k, values, v) for k, v in data.items()}

    return Codec(encode, decode)


def _enum(cls: type[Enum]) -> Codec:
    def encode(value: object) -> object:
        _expect(value, cls)
        return value.value if isinstance(value, Enum) else value

    return Codec(encode, cls)


def _encode_float(value: object) -> object:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"expected a number, got {value!r}")
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def _decode_float(data: object) -> object:
    if data in ("nan", "inf", "-inf") or (isinstance(data, int | float) and not isinstance(data, bool)):
        return float(data)
    raise _misfit("a number", data)


def _encode_int(value: object) -> object:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return int(value)


def _decode_int(data: object) -> object:
    if not isinstance(data, int) or isinstance(data, bool):
        raise _misfit("a whole number", data)
    return data


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"{value!r} has no exact JSON form")


def _exactly(cls: type) -> Codec:
    def encode(value: object) -> object:
        _expect(value, cls)
        return value

    def decode(data: object) -> object:
        if not isinstance(data, cls):
            raise _misfit(cls.__name__, data)
        return data

    return Codec(encode, decode)


def _misfit(expected: str, data: object) -> ValueError:
    return ValueError(f"expected {expected}, got {data!r}")


def _expect(value: object, cls: type) -> None:
    if not isinstance(value, cls):
        raise TypeError(f"expected {cls.__name__}, got {value!r}")


def _refuse_encode(value: object) -> object:
    raise TypeError(f"{value!r} is no member of the union")


def _refuse_decode(data: object) -> object:
    raise ValueError(f"{data!r} is no member of the union")


def _encode_at(step: str, item: Codec, value: object) -> object:
    try:
        return item.encode(value)
    except TypeError as error:
        raise TypeError(f"{step}: {error}") from error


def _decode_at(step: str, item: Codec, data: object) -> object:
    try:
        return item.decode(data)
    except ValueError as error:
        raise ValueError(f"{step}: {error}") from error


_SCALARS: Mapping[object, Codec] = {
    str: _exactly(str),
    bool: _exactly(bool),
    int: Codec(_encode_int, _decode_int),
    float: Codec(_encode_float, _decode_float),
    object: Codec(_plain, lambda data: data),
}
