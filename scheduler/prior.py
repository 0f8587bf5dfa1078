"""What is known of mixes before a study begins: published gains, or what a past study found.

    search.prior: FILE     a YAML of gains over the control in points, each with a standard deviation
    search.prior: FOLDER   the run folder of a past study; its journal says what its mixes gained

Each becomes a pseudo-observation of the surrogate at the top rung. One that names a task this study does
not mix, or a group that it has no target of, says nothing here; it is left out and named. The study
keeps what it read in its journal (``PriorRead``) and goes on with that, whatever the file says later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field

from budgets.account import Account
from budgets.errors import BudgetError, SpecError
from budgets.journal import SqlJournal
from budgets.spec import Number, SpecModel, parse, read_yaml
from scheduler.errors import StudyError
from scheduler.facts import STUDY_FACTS, PriorRead
from scheduler.gain import SCORE, Gain
from scheduler.mix import Mix
from scheduler.places import journal_url
from scheduler.state import StudyState

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

_OTHER_STUDY_SD = 2.0  # points by which a gain may differ between two studies of the same tasks
_OTHER_QUESTION_SD = 4.0  # and where the model, the targets or the longest stage differ
_EVERYTHING = "all"


class PriorGain(SpecModel):
    """One published figure.

    Attributes:
        tasks: of the mix, by their names in the catalogue.
        group: of target tasks that the figure is a mean of; ``all`` for the mean over all.
        points: gained over no intermediate task.
        sd: how far the gain in another study may lie from it, a standard deviation.
    """

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    group: str = _EVERYTHING
    points: Number
    sd: Annotated[Number, Field(gt=0)]


class PriorFile(SpecModel):
    """Published figures.

    Attributes:
        source: where they are from.
        gains: the figures.
    """

    source: str
    gains: tuple[PriorGain, ...]


class Source(NamedTuple):
    """What a file or a folder says.

    Attributes:
        name: who says it.
        gains: all of them.
        notes: where it does not fit this study, a line each.
    """

    name: str
    gains: tuple[PriorGain, ...]
    notes: tuple[str, ...] = ()


def prior_of(spec: StudySpec) -> PriorRead | None:
    """What ``search.prior`` says now of the mixes of ``spec``, None where it is not given.

    Raises:
        SpecError: it is no such file or folder; lists every problem.
    """
    if spec.search.prior is None:
        return None
    path = Path(spec.search.prior).expanduser()
    source = _of_study(path, spec) if path.is_dir() else _of_file(path)
    mixed = set(spec.intermediate.tasks)
    used = [one for one in source.gains if mixed.issuperset(one.tasks)]
    gains = _gains(spec, used)
    return PriorRead(spec.search.prior, gains, tuple(_notes(spec, path, source, used, gains)))


def prior_begun(spec: StudySpec) -> PriorRead | None:
    """What the run of ``spec`` read when it began; None before that."""
    try:
        with SqlJournal(journal_url(spec), STUDY_FACTS, name=spec.name) as journal:
            return StudyState.of(Account(journal).facts()).prior
    except (BudgetError, StudyError):
        return None


def notes_of(spec: StudySpec) -> tuple[str, ...]:
    """What a user should know of the prior that ``spec`` is run with, a line each.

    Raises:
        SpecError: as :func:`prior_of`, of a run that has not begun.
    """
    begun = prior_begun(spec)
    if begun is None:
        now = prior_of(spec)
        return now.notes if now else ()
    try:
        now = prior_of(spec)
        change = "says something else now" if now is None or now.gains != begun.gains else ""
    except SpecError:
        change = "cannot be read any more"
    changed = f"{begun.place} {change}: the study goes on with what it read when it began"
    return (*begun.notes, *([changed] if change else []))


def _notes(
    spec: StudySpec,
    path: Path,
    source: Source,
    used: Sequence[PriorGain],
    gains: Sequence[Gain],
) -> Iterator[str]:
    """What is used of a prior and what is not, and what counts instead."""
    mixed, n = set(spec.intermediate.tasks), len(source.gains)
    yield f"prior {path} ({source.name}): {len(used)} of {n} gains are of mixes of this study"
    yield from source.notes
    if foreign := sorted({task for one in source.gains for task in one.tasks} - mixed):
        yield (
            f"{n - len(used)} gains are left out: they are of {', '.join(foreign)}, which "
            "intermediate.tasks does not list"
        )
    groups = {spec.catalogue[task].group for task in spec.target.tasks}
    if others := sorted({one.group for one in used} - groups - {_EVERYTHING}):
        n_others = sum(one.group in others for one in used)
        yield (
            f"{n_others} gains are left out: they are of target tasks of the group {', '.join(others)}, "
            f"this study's are of {', '.join(sorted(groups))}"
        )
    low, high = spec.intermediate.count
    if n_outside := sum(not low <= len(one.tasks) <= high for one in used):
        yield (
            f"{n_outside} gains are of mixes of fewer or more than {low} to {high} tasks: they speak "
            "for their tasks, such mixes are not tried"
        )
    if unknown := sorted(mixed - {task for gain in gains for task in gain.mix.tasks}):
        yield f"nothing is known of {', '.join(unknown)}: expected to gain 0, as without a prior"
    if all(gain.of != SCORE for gain in gains):
        yield "nothing is known of the score as a whole: the first mixes are chosen as without a prior"


def _gains(spec: StudySpec, used: list[PriorGain]) -> tuple[Gain, ...]:
    """Gains of target groups as they are; of the score, the mean of groups or else the figure for all.

    The mean counts a group as often as it has target tasks, and needs a figure for each of them.
    """
    known = spec.catalogue
    counts = Counter(known[task].group for task in spec.target.tasks if task in known)
    found = [Gain(Mix.of(one.tasks), one.points, one.sd, one.group) for one in used]
    gains = [gain for gain in found if gain.of in counts]
    for mix in dict.fromkeys(gain.mix for gain in found):
        of_mix = {gain.of: gain for gain in found if gain.mix == mix}
        if counts.keys() <= of_mix.keys():
            shares = {group: n / counts.total() for group, n in counts.items()}
            points = sum(share * of_mix[group].points for group, share in shares.items())
            sd = sum((share * of_mix[group].sd) ** 2 for group, share in shares.items()) ** 0.5
            gains.append(Gain(mix, points, sd, SCORE))
        elif _EVERYTHING in of_mix:
            gains.append(replace(of_mix[_EVERYTHING], of=SCORE))
    return tuple(gains)


def _of_file(path: Path) -> Source:
    mapping, _ = read_yaml(path)
    file = parse(PriorFile, mapping, str(path))
    return Source(file.source, file.gains)


def _of_study(folder: Path, spec: StudySpec) -> Source:
    """What the tasks of each mix gained over the control at their last rung, on search cells."""
    try:
        with SqlJournal(f"sqlite:///{folder / 'journal.db'}", STUDY_FACTS, name=folder.name) as journal:
            state = StudyState.of(Account(journal).facts())
    except BudgetError as error:
        raise SpecError([str(error)], str(folder)) from error
    control = state.control
    if control is None or not control.trained_scores:
        problem = "it has no scored control, so no gain can be told"
        raise SpecError([problem], str(folder))
    points: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for trial in state.searched:
        if trial.trained_scores and trial.recipe.mix.count:
            last = max(trial.trained_scores)
            points[trial.recipe.mix.tasks].append(trial.scores[last] - control.best_score)
    differences = tuple(_differences(state.begun.spec if state.begun else {}, spec))
    sd = _OTHER_QUESTION_SD if differences else _OTHER_STUDY_SD
    gains = [PriorGain(tasks=tasks, points=fmean(found), sd=sd) for tasks, found in points.items()]
    notes = (
        [f"{one}: its gains count with a standard deviation of {sd:g} points" for one in differences]
        if gains
        else []
    )
    return Source(f"study {folder.name}", tuple(gains), tuple(notes))


def _differences(past: Mapping[str, Any], spec: StudySpec) -> Iterator[str]:
    """Where a past study asked something else."""
    model = past.get("model", {}).get("name")
    if model not in (spec.model.name, *spec.model.names):
        yield f"that study was of the model {model}, this one is of {', '.join(spec.model.names)}"
    targets = set(past.get("target", {}).get("tasks", ()))
    if targets != set(spec.target.tasks):
        added = ", ".join(sorted(targets - set(spec.target.tasks))) or "none"
        lacking = ", ".join(sorted(set(spec.target.tasks) - targets)) or "none"
        yield f"that study scored other target tasks (more: {added}; fewer: {lacking})"
    rungs = tuple(past.get("intermediate", {}).get("rungs", ()))
    if rungs[-1:] != spec.intermediate.rungs[-1:]:
        longest = f"{rungs[-1]:,}" if rungs else "no"
        yield (
            f"that study trained up to {longest} tokens, this one up to {spec.intermediate.rungs[-1]:,}"
        )
