"""What is known of mixes before a study begins: published gains, or what a past study found.

    search.prior: FILE     a YAML of gains over the control in points, each with a standard deviation
    search.prior: FOLDER   the run folder of a past study; its journal says what its mixes gained

Each becomes a pseudo-observation of the surrogate at the top rung. One that names a task this study does
not mix says nothing here; it is left out and named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field

from budgets.account import Account
from budgets.errors import BudgetError, SpecError
from budgets.journal import SqlJournal
from budgets.spec import Number, SpecModel, parse, read_yaml
from scheduler.facts import STUDY_FACTS
from scheduler.mix import Mix
from scheduler.state import StudyState
from scheduler.surrogate import SCORE, Gain

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

_OTHER_STUDY_SD = 2.0  # points by which a gain may differ between two studies of the same tasks
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


class Prior(NamedTuple):
    """What a study starts from.

    Attributes:
        gains: over the control.
        notes: what is used and what is left out, a line each.
    """

    gains: tuple[Gain, ...] = ()
    notes: tuple[str, ...] = ()


def prior_of(spec: StudySpec) -> Prior:
    """What ``search.prior`` says of the mixes of ``spec``; nothing where it is not given.

    Raises:
        SpecError: it is no such file or folder; lists every problem.
    """
    if spec.search.prior is None:
        return Prior()
    path = Path(spec.search.prior).expanduser()
    published, where = (_of_study if path.is_dir() else _of_file)(path)
    mixed = set(spec.intermediate.tasks)
    used = [one for one in published if mixed.issuperset(one.tasks)]
    known = {task for one in used for task in one.tasks}
    foreign = sorted({task for one in published for task in one.tasks} - mixed)
    notes = [f"prior {path} ({where}): {len(used)} of {len(published)} gains are of mixes of this study"]
    if foreign:
        notes.append(
            f"{len(published) - len(used)} gains are left out: they are of {', '.join(foreign)}, which "
            "intermediate.tasks does not list"
        )
    if unknown := sorted(mixed - known):
        notes.append(f"nothing is known of {', '.join(unknown)}: expected to gain 0, as without a prior")
    return Prior(_gains(spec, used), tuple(notes))


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
            gains.append(of_mix[_EVERYTHING]._replace(of=SCORE))
    return tuple(gains)


def _of_file(path: Path) -> tuple[list[PriorGain], str]:
    mapping, _ = read_yaml(path)
    file = parse(PriorFile, mapping, str(path))
    return list(file.gains), file.source


def _of_study(folder: Path) -> tuple[list[PriorGain], str]:
    """What the tasks of each mix gained over the control at their last rung, on search cells."""
    try:
        with SqlJournal(f"sqlite:///{folder / 'journal.db'}", STUDY_FACTS, name=folder.name) as journal:
            state = StudyState.of(Account(journal).facts())
    except BudgetError as error:
        raise SpecError([str(error)], str(folder)) from error
    control = state.control
    if control is None or not control.scores:
        problem = "it has no scored control, so no gain can be told"
        raise SpecError([problem], str(folder))
    points: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for trial in state.searched:
        if (scores := trial.trained_scores) and trial.recipe.mix.count:
            points[trial.recipe.mix.tasks].append(scores[max(scores)] - control.best_score)
    gains = [
        PriorGain(tasks=tasks, points=fmean(found), sd=_OTHER_STUDY_SD)
        for tasks, found in points.items()
    ]
    return gains, f"study {folder.name}"
