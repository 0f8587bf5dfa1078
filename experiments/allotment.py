"""Who got how many seeds in the finals, and why no more."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.answer import Answer, Contender
from experiments.load import Study
from experiments.wording import seeds_of
from scheduler.race import Gap


@dataclass(frozen=True, slots=True)
class Allotment:
    """The seeds of the control or a finalist.

    Attributes:
        behind: its distance to the leader on paired seeds, None for the leader itself.
        why: it got no more.
    """

    trial: str
    n_seeds: int
    behind: Gap | None
    why: str


def allotments(study: Study, answer: Answer) -> tuple[Allotment, ...]:
    """One for the control and each finalist; none before there are finals."""
    if not answer.final or answer.control is None:
        return ()
    n_most = max(len(one.by_seed) for one in (answer.control, *answer.contenders))
    return tuple(
        Allotment(
            one.trial.name,
            len(one.by_seed),
            answer.race.gaps.get(one.trial.name),
            _why(study, answer, one, n_most),
        )
        for one in (answer.control, *answer.contenders)
    )


def _why(study: Study, answer: Answer, one: Contender, n_most: int) -> str:
    final, n, name = study.spec.final, len(one.by_seed), one.trial.name
    if n >= final.max_seeds:
        return f"has all {seeds_of(n)} of final.max_seeds"
    if one is answer.control:
        return "is repeated with a finalist, and no other pair fitted in the cap"
    if final.seeds == "race" and answer.race.out(name) and n < n_most:
        return f"surely below {answer.race.leader} after {seeds_of(n)}"
    if study.interim:
        return "the study goes on"
    if n < n_most:
        return "others were closer to the best, and what was left did not pay for one more"
    return "what was left of the cap did not pay for one more"
