"""Problems of how a study's encoders are tuned: adapters, and the learning rates that go with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trainers.adapter_places import FULL, places_of
from trainers.errors import ModelError
from trainers.models import entry

if TYPE_CHECKING:
    from scheduler.spec import StudySpec


def tuning_problems(spec: StudySpec) -> Iterator[str]:
    """Everything about ``model.tuning`` that keeps ``spec`` from being carried out."""
    adapters = [tuning for tuning in spec.model.tunings if tuning != FULL]
    if adapters:
        yield from _unknown_places(spec)
    if adapters and spec.intermediate.merged is not None:
        yield (
            f"intermediate.merged: only encoders that were tuned in full are merged, and model.tuning "
            f"has {', '.join(adapters)}. Remove the key, or tune in full alone"
        )
    for part in ("intermediate", "target"):
        given = getattr(spec, part).learning_rate
        if isinstance(given, Mapping):
            yield from _rates(f"{part}.learning_rate", given, spec)


def _unknown_places(spec: StudySpec) -> Iterator[str]:
    for name in spec.model.names:
        try:
            architecture = entry(name).architecture
        except ModelError:
            continue  # told under model.name
        try:
            places_of(architecture, name)
        except ModelError as error:
            yield f"model.tuning: {error}"


def _rates(path: str, given: Mapping[str, float], spec: StudySpec) -> Iterator[str]:
    for tuning in spec.model.tunings:
        if tuning not in given:
            yield f"{path}: has none for tuning {tuning!r} of model.tuning; add it"
    for extra in given.keys() - set(spec.model.tunings):
        yield f"{path}.{extra}: model.tuning does not have {extra!r}; remove the key"
