"""The facts of a study, beside the ledger's entries in the same journal.

Past tense, frozen, tiny. The state of a study is a fold over them (``scheduler/state.py``); MLflow,
``status`` and the report are views of them. Optuna's and Ray's own state is disposable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.gain import Gain
from scheduler.trial import Recipe, Role, TrialState
from trainers.order import Measurement
from trainers.stage import Stage


@dataclass(frozen=True, slots=True)
class StudyBegun:
    """A study started.

    Attributes:
        name: of the study.
        spec: the budget spec as plain JSON, complete with defaults.
        spec_text: the YAML as the user wrote it.
        environment: versions, commit, machine, devices (``trainers/provenance.py``).
    """

    name: str
    spec: Mapping[str, object]
    spec_text: str
    environment: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PriorRead:
    """What ``search.prior`` said when the study began. It goes by this, whatever becomes of the file.

    Attributes:
        place: the file or folder.
        gains: over the control, as far as they are of this study.
        notes: what is used and what is left out, a line each.
    """

    place: str
    gains: tuple[Gain, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preregistered:
    """What the study said before its first stage that it would compare.

    Attributes:
        plan: the spec's ``preregistration`` with cells, finals and statistics, as plain JSON.
        sha256: of the plan (``scheduler.registration.digest``).
    """

    plan: Mapping[str, object]
    sha256: str


@dataclass(frozen=True, slots=True)
class TrialProposed:
    """A recipe joined the study.

    Attributes:
        origin: ``control``, ``final``, or the sampler that proposed it (``tpe``, ``random``, …).
    """

    trial: str
    recipe: Recipe
    role: Role
    finalist: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class TrialMoved:
    """A trial changed state or rung.

    Attributes:
        score: over its cells in points, when a rung was finished.
        reason: why, in a few words.
    """

    trial: str
    state: TrialState
    rung: int
    score: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A lease was granted; its ``Reserved`` entry is written with it.

    Attributes:
        expected_ms: forecast device time.
        expected_load_ms: the part of it that is loading; 0 in journals that are older.
        granted: ``budgets.clock.moment`` of the grant, empty in simulations.
    """

    trial: str
    hold: str
    stage: str
    config: Stage
    attempt: int
    expected_ms: int
    granted: str = ""
    expected_load_ms: int = 0


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A lease came back; its ``Charged`` and ``Released`` entries are written with it."""

    trial: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class StageShared:
    """A trial needed a stage that was already done: nothing was charged."""

    trial: str
    stage: str
    saved_ms: int


@dataclass(frozen=True, slots=True)
class StudyEnded:
    """The driver has no more to do, and why.

    Attributes:
        stopped: with work left, by the user or since an account that others draw on has too little
            free: the same command goes on.
    """

    reason: str
    stopped: bool = False


StudyFact = (
    StudyBegun
    | PriorRead
    | Preregistered
    | TrialProposed
    | TrialMoved
    | StageStarted
    | StageEnded
    | StageShared
    | StudyEnded
)
STUDY_FACTS = StudyFact.__args__  # for the journal, which keeps them beside the ledger's entries
