"""YAML to typed objects, once, at the door: every problem at once, with its path.

``budgets/core_yaml.py`` reads the file, :func:`parse` makes the object.

A model that is parsed here subclasses :class:`SpecModel`; its numbers are :data:`Whole`,
:data:`Number` or :data:`Count`, so that ``true`` is never 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails

from budgets.amount import DeviceTime
from budgets.core_yaml import read_yaml
from budgets.errors import SpecError

__all__ = [
    "ACCOUNT_NAME",
    "BudgetSpec",
    "Count",
    "DeviceSpec",
    "Number",
    "SpecModel",
    "Whole",
    "parse",
    "read_yaml",
]

Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

_COUNT = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)([kKmMbB]?)")
_WORDS = re.compile(r"[a-z0-9]+")
_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
_LARGEST_COUNT = 10**15  # beyond every corpus; keeps "1e99" from becoming a number nobody meant


def _count(value: object) -> object:
    """``16M``, ``"131072"`` or ``1e6`` as a whole number."""
    text = repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    found = _COUNT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError("Input should be a whole number such as 131072, 4K, 16M or 1B")
    number = Decimal(found[1].replace("_", "")) * _SUFFIXES[found[2].upper()]
    if number != number.to_integral_value() or number > _LARGEST_COUNT:
        raise ValueError(f"Input should be a whole number, at most {_LARGEST_COUNT}")
    return int(number)


Count = Annotated[
    int,
    BeforeValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": _LARGEST_COUNT},
                {"type": "string", "pattern": f"^{_COUNT.pattern}$"},
            ],
            "description": "a whole number; K, M and B stand for thousand, million and billion",
        }
    ),
]


class SpecModel(BaseModel):
    """Part of a spec: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ACCOUNT_NAME = r"^[a-z0-9][a-z0-9-]*$"

Rate = Annotated[Number, Field(gt=0, le=10)]
DeviceKind = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]


class DeviceSpec(SpecModel):
    """The devices a study holds.

    Attributes:
        kind: ``gpu``, or ``cpu`` where one CPU slot counts as one device.
        count: devices in all.
        per_trial: devices each trial holds at a time.
        rates: what an hour of a kind of device costs, in hours of the cap; 1 for kinds not named.
    """

    kind: Literal["gpu", "cpu"]
    count: Annotated[Whole, Field(ge=1)] = 1
    per_trial: Annotated[Whole, Field(ge=1)] = 1
    rates: Mapping[DeviceKind, Rate] = Field(default_factory=dict)

    def rate(self, device: str) -> float:
        """What an hour of a device costs, in hours of the cap.

        Args:
            device: its name as the driver tells it, such as ``NVIDIA A100-SXM4-80GB``; the rate of
                ``a100-80gb`` counts before that of ``a100``.
        """
        words = set(_WORDS.findall(device.lower()))
        named = [kind for kind in self.rates if words.issuperset(kind.split("-"))]
        nearest = max(named, key=lambda kind: (kind.count("-"), len(kind), kind), default=None)
        return 1.0 if nearest is None else self.rates[nearest]

    @property
    def highest_rate(self) -> float:
        """What an hour costs at most, as long as nobody knows on which device it will be spent."""
        return self.rate("cpu") if self.kind == "cpu" else max([1.0, *self.rates.values()])

    @model_validator(mode="after")
    def _a_trial_fits(self) -> Self:
        if self.per_trial > self.count:
            raise ValueError(f"per_trial is {self.per_trial} of only {self.count} devices; lower it")
        return self


class BudgetSpec(SpecModel):
    """What one study may spend.

    Attributes:
        gpu_hours: the hard cap in device-hours, all devices together.
        devices: what those hours are spent on.
        final_share: part of the cap kept for finalists and their seeds, 0 to below 1.
        account: the shared account this study draws on, besides its own cap; none by default.
        charge: ``held`` charges a device while a stage holds it; ``allocated`` charges all devices
            from the study's first to its last moment, empty ones as ``idle``, as a fixed
            allocation is billed.
    """

    gpu_hours: Annotated[Number, Field(gt=0)]
    devices: DeviceSpec
    final_share: Annotated[Number, Field(ge=0, lt=1)] = 0.25
    account: Annotated[str, Field(pattern=ACCOUNT_NAME, max_length=80)] | None = None
    charge: Literal["held", "allocated"] = "held"

    @property
    def cap(self) -> DeviceTime:
        """The cap in the ledger's unit."""
        return DeviceTime.from_hours(self.gpu_hours)


Model = TypeVar("Model", bound=BaseModel)


def parse(model_class: type[Model], mapping: Mapping[str, object], source: str) -> Model:
    """The typed object a mapping describes.

    Args:
        model_class: what it should be.
        mapping: what :func:`read_yaml` read.
        source: the file's name, for the error.

    Raises:
        SpecError: lists every problem with its path, the value found, and for an unknown key the
            nearest known one.
    """
    try:
        return model_class.model_validate(dict(mapping))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise SpecError(_problems(model_class, mapping, details), source) from None


def _problems(
    model_class: type[BaseModel], mapping: Mapping[str, object], details: Sequence[ErrorDetails]
) -> list[str]:
    """One line per path; what the members of a union say about one value is joined by *or*."""
    by_path: dict[str, list[str]] = {}
    endings: dict[str, str] = {}
    for detail in details:
        steps = _steps(mapping, detail["loc"])
        path = ".".join(str(step) for step in steps) or "the whole"
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            message = "unknown key"
            endings[path] = _nearest(model_class, steps)
        elif detail["type"] == "missing":
            message = "is missing"
        elif not (detail["type"] == "value_error" and isinstance(detail["input"], Mapping)):
            endings[path] = f", got {_short(detail['input'])}"
        said = by_path.setdefault(path, [])
        message = message.removeprefix("Input should be ") if said else message
        if not said or message not in (said[0].removeprefix("Input should be "), *said):
            said.append(message)
    return [f"{path}: {' or '.join(said)}{endings.get(path, '')}" for path, said in by_path.items()]


def _steps(mapping: Mapping[str, object], loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """``loc`` without pydantic's names for members of a union."""
    steps: list[int | str] = []
    here: object = mapping
    for position, step in enumerate(loc):
        if isinstance(here, Mapping) and (step in here or position == len(loc) - 1):
            here = here.get(step)
        elif isinstance(here, Sequence) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            continue
        steps.append(step)
    return tuple(steps)


def _nearest(model_class: type[BaseModel], steps: tuple[int | str, ...]) -> str:
    models = {model_class}
    for step in steps[:-1]:
        below = [m.model_fields[step].annotation for m in models if step in m.model_fields]
        models = {found for annotation in below for found in _models(annotation)} or models
    known = sorted({name for model in models for name in model.model_fields})
    close = get_close_matches(str(steps[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
