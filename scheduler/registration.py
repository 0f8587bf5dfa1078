"""Pre-registration: what a study says before its first stage that it will compare, and how.

The block ``preregistration`` of the spec names a hypothesis, one primary contrast, any secondary ones
and the analysis. With the cells they are judged on it goes into the journal, hashed, when the study
begins (``Preregistered``); a report calls a contrast confirmatory only if it is among them.

A contrast is a difference of means over arms. An arm is meant by some of its factors, ``{tuning: lora}``
by that alone, so that with three models it means three arms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from budgets.spec import Number, SpecModel
from scheduler.facts import Preregistered
from scheduler.trial import Arm

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

STATISTICS = (
    "Intervals of 95 % by a hierarchical paired bootstrap over seeds and examples (2,000 draws, "
    "deviations of seeds stretched by Student's t); the primary contrast is tested at 5 %, secondary "
    "ones at 5 % after Holm's correction among them; equivalence by two one-sided tests at 5 % each."
)
_MEANS = ("score", "without retrieval")
_PARTS = ("group", "task", "language")
INFERENCE = "inference "
FACTS = (
    *("latency_ms", "memory_bytes", "model_bytes", "tokens_per_sample", "plain_joules_per_sample"),
    *("plain_p50_ms", "plain_p90_ms", "plain_p99_ms", "plain_mean_ms", "plain_tokens_per_s"),
    *("plain_samples_per_s", "single_stream_p90_ms", "multi_stream_p99_ms", "server_p99_ms"),
    "offline_samples_per_s",
)


class ArmSelector(SpecModel):
    """The arms that have these factors; a factor that is left out may be any."""

    model: str | None = None
    tuning: str | None = None
    languages: str | None = None

    def means(self, arm: Arm) -> bool:
        """Whether an arm has these factors."""
        asked = self.model_dump(exclude_none=True)
        return all(getattr(arm, factor) == level for factor, level in asked.items())


class ContrastSpec(SpecModel):
    """One comparison, and what is claimed of it.

    Attributes:
        of: ``gain`` is the best mix minus the control, ``best`` and ``control`` are their scores,
            ``mixes`` is the mean over mixes that every arm has scored;
            ``gain-per-doubling`` is the slope of the gain against log2 of the model's weights.
        arms: of one item, the mean over the arms it means, of two the first minus the second; of none,
            the mean over all arms.
        on: ``score``, ``without retrieval``, or ``group …``, ``task …`` or ``language …``, in points; or
            ``inference …``, a fact of the inference stages, in percent.
        claim: that it is above or below 0, differs from it, or lies within ``margin`` of it.
        margin: in points or percent, for ``equivalent``.
    """

    of: Literal["gain", "best", "control", "mixes", "gain-per-doubling"] = "gain"
    arms: Annotated[tuple[ArmSelector, ...], Field(max_length=2)] = ()
    on: str = "score"
    claim: Literal["above", "below", "differs", "equivalent"] = "differs"
    margin: Annotated[Number, Field(gt=0)] | None = None

    @property
    def fact(self) -> str:
        """The fact of inference that it is on; empty where it is on scores."""
        return self.on.removeprefix(INFERENCE) if self.on.startswith(INFERENCE) else ""

    @property
    def unit(self) -> str:
        """Of its estimate."""
        return "%" if self.fact else "points"


class PreregistrationSpec(SpecModel):
    """What is said before the first stage.

    Attributes:
        hypothesis: in words.
        primary: the one contrast that answers the question.
        secondary: others, corrected for their number.
        analysis: what else is to be known of how they are judged.
    """

    hypothesis: Annotated[str, Field(min_length=1)]
    primary: ContrastSpec
    secondary: tuple[ContrastSpec, ...] = ()
    analysis: str = ""


def preregistered(spec: StudySpec) -> Preregistered | None:
    """The fact that a study begins with, None where it registers nothing."""
    block = spec.preregistration
    if block is None:
        return None
    plan: dict[str, object] = {
        **block.model_dump(mode="json"),
        "arms": [str(arm) for arm in spec.arms],
        "cells": {task: list(languages) for task, languages in spec.cells},
        "finals": spec.final.model_dump(mode="json"),
        "statistics": STATISTICS,
    }
    return Preregistered(plan, digest(plan))


def digest(plan: Mapping[str, object]) -> str:
    """SHA-256 of a plan, whatever the order of its keys."""
    text = json.dumps(plan, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def registration_problems(spec: StudySpec) -> Iterator[str]:
    """What keeps the contrasts of a spec from being computed, a line each."""
    block = spec.preregistration
    if block is None:
        return
    yield from _problems(spec, "preregistration.primary", block.primary)
    for i, contrast in enumerate(block.secondary):
        yield from _problems(spec, f"preregistration.secondary.{i}", contrast)
        if contrast in (block.primary, *block.secondary[:i]):
            yield f"preregistration.secondary.{i}: is listed twice; remove one"


def _problems(spec: StudySpec, path: str, contrast: ContrastSpec) -> Iterator[str]:
    if (contrast.margin is not None) is not (contrast.claim == "equivalent"):
        yield (
            f"{path}.margin: belongs to the claim 'equivalent' and to no other; the claim is "
            f"{contrast.claim!r}, the margin {contrast.margin}"
        )
    if contrast.of in ("best", "control", "mixes") and len(contrast.arms) != 2:
        yield f"{path}.arms: a contrast of {contrast.of!r} is between two; {len(contrast.arms)} given"
    for place, selector in enumerate(contrast.arms):
        if not any(selector.means(arm) for arm in spec.arms):
            arms = "; ".join(str(arm) for arm in spec.arms)
            yield f"{path}.arms.{place}: no arm of this study has these factors; its arms are: {arms}"
    if contrast.of == "mixes" and contrast.fact:
        yield f"{path}.on: mixes are compared by their scores; inference is measured of the best"
    if contrast.of == "gain-per-doubling" and len(spec.model.names) < 2:
        yield f"{path}.of: a slope over sizes needs two models or more; model.name lists one"
    if contrast.on not in _known(spec):
        part, _, name = contrast.on.partition(" ")
        offered = [known for known in _known(spec) if known.startswith(part) and name]
        yield (
            f"{path}.on: {contrast.on!r} is nothing this study measures; write one of "
            f"{', '.join(offered or [*_MEANS, *(f'{word} NAME' for word in _PARTS)])}"
        )


def _known(spec: StudySpec) -> list[str]:
    """Means over cells of the study that a contrast can be on."""
    catalogue = spec.catalogue
    tasks = [task for task in spec.target.tasks if task in catalogue]
    groups = dict.fromkeys(catalogue[task].group for task in tasks)
    names = {"group": groups, "task": tasks, "language": spec.languages}
    facts = FACTS if spec.inference is not None else ()
    scores = [*_MEANS, *(f"{part} {name}" for part in _PARTS for name in names[part])]
    return [*scores, *(f"{INFERENCE}{fact}" for fact in facts)]
