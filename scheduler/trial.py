"""A trial: one recipe's way up the rungs, and the only moves it may make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from scheduler.errors import MoveError
from scheduler.mix import Mix

MERGED = -1  # the rung below rung 0: the mix's task vectors are merged, nothing is trained


def rung_word(rung: int) -> str:
    """The number of a rung, or its name where it has none."""
    return "merged" if rung == MERGED else str(rung)


class Role(StrEnum):
    """Why a trial exists."""

    CONTROL = "control"  # k = 0, always among the trials
    SEARCH = "search"
    FINAL = "final"  # a finalist with one more seed, scored on report cells


class TrialState(StrEnum):
    """Where a trial is.

    PLANNED --> RUNNING --> DONE | PRUNED | FAILED | UNAFFORDABLE
                 |  ^
                 v  |
                PAUSED --> PRUNED | UNAFFORDABLE

    PAUSED waits at a rung for promotion and keeps its stages; DONE has the score of its last rung.
    """

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"
    UNAFFORDABLE = "unaffordable"


_S = TrialState
MOVES: Mapping[TrialState, frozenset[TrialState]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.RUNNING, _S.UNAFFORDABLE}),
        _S.RUNNING: frozenset({_S.PAUSED, _S.DONE, _S.PRUNED, _S.FAILED, _S.UNAFFORDABLE}),
        _S.PAUSED: frozenset({_S.RUNNING, _S.PRUNED, _S.UNAFFORDABLE}),
        _S.DONE: frozenset(),
        _S.PRUNED: frozenset(),
        _S.FAILED: frozenset(),
        _S.UNAFFORDABLE: frozenset(),
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One combination of the factors beside the mix.

    Attributes:
        model: the encoder, as the spec names it.
        tuning: which weights are trained.
        languages: the variant of the intermediate data's languages; empty where a study has but one.
    """

    model: str
    tuning: str = "full"
    languages: str = ""

    def __str__(self) -> str:
        return ", ".join(word for word in (self.model, self.tuning, self.languages) if word)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a trained result and differs between the trials of a study."""

    mix: Mix
    seed: int
    model: str
    tuning: str = "full"
    languages: str = ""

    @classmethod
    def of(cls, mix: Mix, seed: int, arm: Arm) -> Recipe:
        """``mix`` with a seed, in an arm."""
        return cls(mix, seed, arm.model, arm.tuning, arm.languages)

    @property
    def arm(self) -> Arm:
        """What is tried beside the mix."""
        return Arm(self.model, self.tuning, self.languages)


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe in progress.

    Attributes:
        name: ``t0007``, or ``f0002`` for a final.
        recipe: what is tried.
        role: why.
        finalist: for a final, the search trial it repeats with another seed.
        state: where it is.
        rung: the rung it is on or has finished, counted from 0; ``MERGED`` is below them.
        scores: score over search (or, for a final, report) cells by finished rung, in points.
        first_rung: the rung that it began at.
    """

    name: str
    recipe: Recipe
    role: Role
    finalist: str | None = None
    state: TrialState = TrialState.PLANNED
    rung: int = 0
    scores: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    first_rung: int = 0

    @property
    def over(self) -> bool:
        """Whether no move is left."""
        return not MOVES[self.state]

    @property
    def trained_scores(self) -> Mapping[int, float]:
        """Scores of what was trained: a merged encoder is a forecast of a recipe and not its result."""
        return {rung: score for rung, score in self.scores.items() if rung != MERGED}

    @property
    def best_rung(self) -> int:
        """The rung with the highest score, the cheaper of equals: how long this mix is worth training.

        Raises:
            ValueError: no rung that trains is finished.
        """
        scores = self.trained_scores
        return max(sorted(scores), key=lambda rung: scores[rung])

    @property
    def best_score(self) -> float:
        """The score at :attr:`best_rung`, in points."""
        return self.scores[self.best_rung]

    def to(self, state: TrialState) -> Trial:
        """This trial in another state.

        Raises:
            MoveError: the table of moves does not allow it.
        """
        if state not in MOVES[self.state]:
            allowed = ", ".join(sorted(MOVES[self.state])) or "nothing, it is over"
            raise MoveError(f"{self.name} is {self.state} and cannot become {state}; allowed: {allowed}")
        return replace(self, state=state)
