"""Contrasts between arms: what was registered beforehand, and what else a study can compare.

A contrast is a weighted sum of contenders: of each arm, its control and its best mix. It is judged in
one bootstrap over all of them, so that what they share (examples, seeds) cancels. The slope of the gain
against x = log2 of the model's weights is one too:

    slope = sum over arms a of (x_a - mean x) / sum_b (x_b - mean x)^2 * gain_a

It speaks of these models; how far they lie from a line is not in its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np

from experiments.answer import SIGNIFICANT, contenders_sampled, functionals, groups_of
from experiments.arms import ArmFindings, weights_of
from experiments.bootstrap import Array, CellSample, resample
from experiments.inference import timings_of
from experiments.load import Study
from experiments.matched import matched
from experiments.stats import (
    Drawn,
    Interval,
    contrast,
    contrast_intervals,
    equivalence_p,
    holm,
    one_sided_p,
)
from scheduler.registration import INFERENCE, ArmSelector, ContrastSpec
from scheduler.trial import Arm

PRIMARY, SECONDARY, EXPLORATORY = "primary", "secondary", "exploratory"
_FACTORS = ("model", "tuning", "languages")
_TIMED = ("plain_p50_ms", "memory_bytes")


@dataclass(frozen=True, slots=True)
class Contrast:
    """One comparison and what came of it.

    Attributes:
        asked: what is compared.
        kind: whether it was registered as the primary or a secondary one, or is exploratory.
        estimate: with its interval of 95 %, in the unit asked; None where it cannot be computed.
        p: of the claim, before any correction.
        adjusted_p: after Holm's correction among those of its kind; of the primary one the same.
        confirmatory: whether it may be called that; ``why_not`` says why it may not.
    """

    asked: ContrastSpec
    kind: str
    estimate: Interval | None = None
    p: float | None = None
    adjusted_p: float | None = None
    confirmatory: bool = False
    why_not: str = ""

    @property
    def shown(self) -> bool:
        """Whether the claim holds at 5 %."""
        return self.adjusted_p is not None and self.adjusted_p <= SIGNIFICANT


class MissingError(Exception):
    """A contrast has nothing to stand on yet; the message says what is missing."""


def contrasts_of(study: Study, findings: Sequence[ArmFindings]) -> tuple[Contrast, ...]:
    """Those registered, the primary first, then those that a study with several arms offers."""
    block = study.spec.preregistration
    asked = [(block.primary, PRIMARY), *((one, SECONDARY) for one in block.secondary)] if block else []
    known = {(one.of, one.arms, one.on) for one, _ in asked}
    timed = study.spec.inference is not None
    offered = [
        one for one in _offered(study.spec.arms, timed=timed) if (one.of, one.arms, one.on) not in known
    ]
    asked += [(one, EXPLORATORY) for one in offered]
    if not asked:
        return ()
    judge = _Judge(study, findings)
    judged = [judge.judged(one, kind) for one, kind in asked]
    return tuple(_corrected(judged))


def _corrected(judged: Sequence[Contrast]) -> Iterator[Contrast]:
    """With Holm's p-values among the secondary and among the exploratory contrasts."""
    families: dict[str, dict[str, float]] = {}
    for place, one in enumerate(judged):
        if one.p is not None and one.kind != PRIMARY:
            families.setdefault(one.kind, {})[str(place)] = one.p
    adjusted = {kind: holm(of_kind) for kind, of_kind in families.items()}
    for place, one in enumerate(judged):
        p = one.p if one.kind == PRIMARY else adjusted.get(one.kind, {}).get(str(place))
        yield replace(one, adjusted_p=p)


def _offered(arms: Sequence[Arm], *, timed: bool) -> Iterator[ContrastSpec]:
    """For each factor its levels in pairs, averaged over the other factors; and the slope over sizes."""
    for factor in _FACTORS:
        levels = list(dict.fromkeys(getattr(arm, factor) for arm in arms))
        for first, second in combinations(levels, 2):
            pair = (ArmSelector(**{factor: second}), ArmSelector(**{factor: first}))
            for of in ("control", "best", "gain", "mixes"):
                yield ContrastSpec.model_validate({"of": of, "arms": pair})
            for fact in _TIMED if timed else ():
                yield ContrastSpec(of="best", arms=pair, on=f"{INFERENCE}{fact}")
    if len({weights_of(arm) for arm in arms} - {None}) > 1:
        yield ContrastSpec(of="gain-per-doubling")


class _Judge:
    """All contenders of a study, resampled once."""

    def __init__(self, study: Study, findings: Sequence[ArmFindings]) -> None:
        self._study = study
        self._by_arm = {one.arm: one.answer for one in findings}
        self._final = all(one.answer.final for one in findings)
        self._interim = study.interim
        self._missing = _incomplete(findings)
        self._weights: Mapping[str, Array] = {}
        self._timings = timings_of(study)
        self._found = {one.arm: one.found for one in findings}
        if self._missing:
            return
        answers = list(self._by_arm.values())
        samples, seeds = contenders_sampled(study, answers)
        if not samples.cells:
            self._missing = "there is no cell that every arm has per-example records of"
            return
        self._cells: Sequence[CellSample] = samples.cells
        self._weights = functionals(samples.cells, groups_of(study))
        self._replicates = resample(samples.cells, seeds, seed=study.spec.seed)

    def judged(self, asked: ContrastSpec, kind: str) -> Contrast:
        """A contrast with its estimate, as far as there is one."""
        try:
            drawn = self._drawn(asked)
        except MissingError as missing:
            return Contrast(asked, kind, why_not=str(missing))
        (estimate,) = contrast_intervals(drawn)
        why_not = self._why_not(kind, on_search=asked.of == "mixes")
        return Contrast(asked, kind, estimate, _p(asked, drawn, estimate), None, not why_not, why_not)

    def _why_not(self, kind: str, *, on_search: bool) -> str:
        """Why a contrast may not be called confirmatory; empty where it may."""
        registration = self._study.registration
        if kind == EXPLORATORY:
            return "it was not registered before the first stage"
        if registration is None:
            return "the journal holds no registration"
        if registration.problem:
            return f"the registration does not count: {registration.problem}"
        if on_search:
            return "it stands on the search's own examples"
        if not self._final:
            return "no finals were run: it stands on the search's own examples"
        return "the study goes on" if self._interim else ""

    def _drawn(self, asked: ContrastSpec) -> Drawn:
        if self._missing:
            raise MissingError(self._missing)
        if asked.fact:
            timed = self._timings.contrast(asked.fact, self._weighed(asked))
            if isinstance(timed, str):
                raise MissingError(timed)
            return timed
        if asked.of == "mixes":
            mixed = matched(self._study, self._found, self._by_share(asked), asked.on)
            if isinstance(mixed, str):
                raise MissingError(mixed)
            return mixed
        if asked.on not in self._weights:
            raise MissingError(f"no cell of {asked.on!r} has records in every arm")
        return contrast(self._replicates, self._weighed(asked), self._weights[asked.on][None])

    def _weighed(self, asked: ContrastSpec) -> dict[str, float]:
        return {name: c for name, c in self._coefficients(asked).items() if c}

    def _coefficients(self, asked: ContrastSpec) -> dict[str, float]:
        """Of contenders, by name."""
        total: dict[str, float] = {}
        for arm, share in self._by_share(asked).items():
            for name, coefficient in self._of_arm(asked, arm).items():
                total[name] = total.get(name, 0.0) + share * coefficient
        return total

    def _by_share(self, asked: ContrastSpec) -> dict[Arm, float]:
        """What each arm counts; the second selector's arms count against the first's."""
        total: dict[Arm, float] = {}
        for selector, sign in zip(asked.arms or (ArmSelector(),), (1.0, -1.0), strict=False):
            chosen = [arm for arm in self._by_arm if selector.means(arm)]
            if not chosen:
                raise MissingError("the study has no such arm")
            for arm, share in shares(asked, chosen).items():
                total[arm] = total.get(arm, 0.0) + sign * share
        return total

    def _of_arm(self, asked: ContrastSpec, arm: Arm) -> dict[str, float]:
        answer = self._by_arm[arm]
        best, control = answer.best, answer.control
        if best is None or control is None:
            raise MissingError(f"{arm} has no mix and control scored")
        if asked.of == "best":
            return {best.trial.name: 1.0}
        if asked.of == "control":
            return {control.trial.name: 1.0}
        return {best.trial.name: 1.0, control.trial.name: -1.0}


def _incomplete(findings: Sequence[ArmFindings]) -> str:
    """Why arms cannot be compared yet; empty where they can."""
    lacking = [str(one.arm) for one in findings if one.answer.best is None or one.answer.control is None]
    if lacking:
        return f"no mix and control were scored in {'; '.join(lacking)}"
    if len({one.answer.final for one in findings}) > 1:
        without = [str(one.arm) for one in findings if not one.answer.final]
        return f"no finals were run in {'; '.join(without)}, so arms have no examples in common"
    return ""


def shares(asked: ContrastSpec, arms: Sequence[Arm]) -> dict[Arm, float]:
    """What each arm counts: the same for all, or its place on the line against log2 of its weights."""
    if asked.of != "gain-per-doubling":
        return dict.fromkeys(arms, 1 / len(arms))
    sizes = {arm: weights_of(arm) for arm in arms}
    if unknown := [arm.model for arm, size in sizes.items() if size is None]:
        raise MissingError(f"nothing says how many weights {unknown[0]} has")
    x = {arm: math.log2(size) for arm, size in sizes.items() if size}
    middle = fmean(x.values())
    spread = sum((value - middle) ** 2 for value in x.values())
    if not spread:
        raise MissingError("a slope needs models of two sizes")
    return {arm: (value - middle) / spread for arm, value in x.items()}


def _p(asked: ContrastSpec, drawn: Drawn, estimate: Interval) -> float:
    draws: Array = np.asarray(drawn.drawn[:, 0])
    match asked.claim:
        case "above":
            return one_sided_p(draws, 0.0, above=True)
        case "below":
            return one_sided_p(draws, 0.0, above=False)
        case "equivalent":
            return equivalence_p(draws, asked.margin or 0.0)
        case _:
            return estimate.p_value if estimate.p_value is not None else 1.0
