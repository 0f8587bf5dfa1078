"""Contrasts and the registration in words and as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from experiments.arms import ArmFindings, label, leading, short
from experiments.contrasts import EXPLORATORY, PRIMARY, Contrast
from experiments.evidence import Json, interval_json
from experiments.load import Study
from experiments.wording import p_value, plain, seeds_of, span_of
from scheduler.registration import ArmSelector, ContrastSpec
from scheduler.trial import Arm

_MEANS = {
    "gain": "gain of the best mix over no intermediate task",
    "best": "score of the best mix",
    "control": "score without intermediate task",
    "mixes": "mean score of mixes tried in all these arms",
    "gain-per-doubling": "gain per doubling of the model's weights",
}
_TIMED = {
    "gain": "of the best mix's models against the control's",
    "best": "of the best mix's models",
    "control": "of the control's models",
    "gain-per-doubling": "of the best mix's models against the control's, per doubling of the weights",
}


def contrast_words(asked: ContrastSpec) -> str:
    """What is compared: ``gain of …: lora minus full, on task xnli``."""
    words = (_TIMED if asked.fact else _MEANS)[asked.of]
    if asked.arms:
        words += f": {' minus '.join(_selected(one) for one in asked.arms)}"
    if asked.fact:
        return f"{asked.fact} {words}"
    return words if asked.on == "score" else f"{words}, on {asked.on}"


def claim_words(asked: ContrastSpec) -> str:
    """What is claimed of it."""
    if asked.claim == "equivalent":
        return f"within {plain(asked.margin or 0.0)} {asked.unit} of 0"
    return {"above": "above 0", "below": "below 0", "differs": "not 0"}[asked.claim]


def _selected(selector: ArmSelector) -> str:
    return ", ".join(map(short, selector.model_dump(exclude_none=True).values())) or "all arms"


def verdict_words(one: Contrast) -> str:
    """What came of a contrast."""
    if one.estimate is None:
        return f"cannot be told: {one.why_not}"
    if one.shown:
        return "shown" if one.asked.claim != "equivalent" else "equivalent"
    if one.asked.claim == "equivalent":
        differs = one.estimate.excludes_zero
        return "not shown to be equivalent" + (", and it differs" if differs else "")
    return "not shown"


def contrast_json(one: Contrast, arms: Sequence[Arm]) -> Json:
    """A contrast, what it rests on, and what it may be called."""
    estimate = one.estimate
    return {
        "contrast": contrast_words(one.asked),
        "claim": claim_words(one.asked),
        "kind": one.kind,
        "asked": one.asked.model_dump(mode="json", exclude_none=True),
        "arms": [[label(a, arms) for a in arms if each.means(a)] for each in one.asked.arms],
        "estimate": interval_json(estimate),
        "unit": one.asked.unit,
        "p": one.p,
        "adjusted_p": one.adjusted_p,
        "verdict": verdict_words(one),
        "confirmatory": one.confirmatory,
        "why_not": one.why_not,
    }


def registration_json(study: Study) -> Json | None:
    """What was said beforehand, and whether it counts."""
    said = study.registration
    if said is None:
        return None
    at = said.at.isoformat(timespec="seconds")
    return {**said.plan, "sha256": said.sha256, "at": at, "problem": said.problem}


def headline(
    study: Study, findings: Sequence[ArmFindings], contrasts: Sequence[Contrast]
) -> Iterator[str]:
    """The registered primary contrast first; then, of several arms, in which a gain was shown."""
    primary = next((one for one in contrasts if one.kind == PRIMARY), None)
    if primary is not None:
        yield _primary_sentence(primary)
    if len(findings) > 1:
        yield _arms_sentence(study, findings)


def _primary_sentence(one: Contrast) -> str:
    what = f"Primary contrast, {contrast_words(one.asked)}, claimed {claim_words(one.asked)}"
    if one.estimate is None or one.adjusted_p is None:
        return f"{what}: {verdict_words(one)}."
    called = "confirmatory" if one.confirmatory else f"not confirmatory, since {one.why_not}"
    sureness = f"{span_of(one.estimate, one.asked.unit)}; p {p_value(one.adjusted_p)}"
    n = one.estimate.n_seeds
    rest_on = f"{n} mixes" if one.asked.of == "mixes" else seeds_of(n)
    return f"{what}: {verdict_words(one)} ({sureness}; {rest_on}; {called})."


def _arms_sentence(study: Study, findings: Sequence[ArmFindings]) -> str:
    arms = study.spec.arms
    shown = [label(one.arm, arms) for one in findings if one.answer.verdict == "gain"]
    judged = sum(one.answer.best is not None for one in findings)
    if not judged:
        return "No arm has a mix and a control that were scored yet."
    named = f" ({'; '.join(shown)})" if shown else ""
    lead = label(leading(findings).arm, arms)
    return (
        f"A gain over no intermediate task was shown in {len(shown)} of {judged} arms{named}. In the "
        f"arm with the highest score, {lead}:"
    )


def threats_of(contrasts: Sequence[Contrast]) -> Iterator[str]:
    """What limits the comparison of arms."""
    explored = sum(one.kind == EXPLORATORY for one in contrasts)
    if explored:
        yield (
            f"{explored} contrasts were not registered: they are exploratory, with p-values corrected "
            "by Holm's method among themselves."
        )
    if any(one.asked.of in ("gain", "best") and one.estimate for one in contrasts):
        yield (
            "Each arm's best mix is the one that scored best in it, so arms may be compared with "
            "different mixes; the contrast of controls has no such choice in it."
        )
    if any(one.asked.fact and one.estimate for one in contrasts):
        yield (
            "Models were asked one after another, once for each seed: what else the machine did "
            "meanwhile is in their differences, and that it did more for one arm than for another is "
            "not in the intervals."
        )
    if any(one.asked.of == "gain-per-doubling" and one.estimate for one in contrasts):
        yield (
            "The slope over model sizes is of these models: they differ in more than their weights, "
            "and how far they lie from a line is not in its interval."
        )
