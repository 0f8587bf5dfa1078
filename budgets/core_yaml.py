"""YAML by the core schema of YAML 1.2.

PyYAML reads 1.1, where ``1e-5`` is text, ``no`` is False and ``12:30`` is 750. Here a number is what
looks like one, only ``true`` and ``false`` are truth values, and dates, clock times and merge keys
are text. A key written twice is refused, not overwritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from budgets.errors import SpecError


def read_yaml(path: str | Path) -> tuple[dict[str, object], str]:
    """A YAML file as a mapping, and its text as it was written.

    Raises:
        SpecError: there is no such file, or it is not a mapping in YAML; with line and column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 text, {error.reason}"
        raise SpecError([f"cannot be read: {reason}. Name a YAML file."], str(path)) from error
    loader = _CoreLoader(text)
    try:
        root = loader.get_single_node()
        if root is None or not isinstance(root, yaml.MappingNode):
            raise SpecError(
                ["expected 'key: value' lines, as in experiments/quickstart.yaml"], str(path)
            )
        if doubles := list(_doubles(root)):
            raise SpecError(doubles, str(path))
        return loader.construct_document(root), text
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError([f"not YAML: {_one_line(error)}"], str(path)) from error
    finally:
        loader.dispose()


class _CoreLoader(yaml.SafeLoader):
    """Scalars of the YAML 1.2 core schema; everything else is text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def whole(self, node: yaml.ScalarNode) -> int:
        """A decimal, octal (``0o17``) or hexadecimal (``0xff``) number."""
        text = str(self.construct_scalar(node))
        if _INT.fullmatch(text) is None:
            raise yaml.constructor.ConstructorError(
                None, None, f"{text!r} is no whole number", node.start_mark
            )
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)

    def number(self, node: yaml.ScalarNode) -> float:
        """A floating-point number, ``.inf`` and ``.nan`` included."""
        text = str(self.construct_scalar(node))
        if _FLOAT.fullmatch(text) is None:
            raise yaml.constructor.ConstructorError(
                None, None, f"{text!r} is no number", node.start_mark
            )
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
for _tag, _form, _starts in (
    ("bool", _BOOL, "tTfF"),
    ("null", _NULL, ["~", "n", "N", ""]),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
):
    _whole_scalar = re.compile(f"(?:{_form.pattern})\\Z")
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole_scalar, list(_starts))
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _CoreLoader.whole)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _CoreLoader.number)


def _doubles(root: yaml.Node) -> Iterator[str]:
    """Keys that stand twice in one mapping, anywhere below ``root``."""
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop(0)
        if id(node) in seen:  # an alias: the same node again
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        if isinstance(node, yaml.MappingNode):
            yield from _doubles_here(node)
            waiting.extend(value for _, value in node.value)


def _doubles_here(node: yaml.MappingNode) -> Iterator[str]:
    first_lines: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in first_lines:
                first = first_lines[key.value]
                yield f"line {line}: key {key.value!r} is already on line {first}; keep one"
            first_lines.setdefault(key.value, line)


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
