"""Several runs side by side: on the cells and examples that all of them have, and on no others.

Of each run the control and the best mix of its leading arm are taken, all on report examples or, where
a run has no finals, all on search examples. The differences between runs come from one bootstrap: seeds
that runs have in common are drawn together, examples always. A task whose data had another revision in
one of the runs is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.answer import SCORE, Answer, functionals, groups_of, name_of, runs_of
from experiments.arms import ArmFindings, findings_of, label, leading
from experiments.bootstrap import Array, Replicates, resample
from experiments.load import Study, open_study
from experiments.samples import read_samples
from experiments.stats import Interval, contrast, contrast_intervals, holm, score_intervals
from experiments.trials import Cell, Standing
from scheduler.errors import StudyError
from trainers.stage import EvaluateStage, Half


class NothingCommonError(StudyError):
    """The runs have no cell that all of them were scored on."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs compared.

    Attributes:
        study: its records.
        arm: the leading arm's factors, as far as the run has several.
        answer: that arm's control and best mix.
        score: of the best mix, on the common cells.
        gain: of the best mix over the control, on the common cells.
        against_first: best mix minus the first run's; None for the first.
        gain_against_first: gain minus the first run's gain; None for the first.
        adjusted_p: of ``against_first``, by Holm over all runs but the first.
    """

    study: Study
    arm: str
    answer: Answer
    score: Interval
    gain: Interval
    against_first: Interval | None = None
    gain_against_first: Interval | None = None
    adjusted_p: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        half: whose examples they stand on.
        cells: scored in all of them.
        left_out: cells that some run lacks, and why.
        sides: in the order asked.
    """

    half: Half
    cells: tuple[Cell, ...]
    left_out: dict[Cell, str]
    sides: tuple[Side, ...]


def compare(places: Sequence[tuple[Path, str | None, str]]) -> Comparison:
    """Two runs or more on their common cells.

    Args:
        places: folder, journal and name of each run.

    Raises:
        NoRunError: one of them is none.
        NothingCommonError: they have no common cell, or one has nothing to compare.
    """
    studies = [open_study(*place) for place in places]
    leaders = [leading(findings_of(study)) for study in studies]
    answers = [one.answer for one in leaders]
    half = Half.REPORT if all(answer.final for answer in answers) else Half.SEARCH
    for study, answer in zip(studies, answers, strict=True):
        if answer.best is None or answer.control is None:
            raise NothingCommonError(
                f"{study.spec.name} has no mix and control scored yet; `interlude status` says where it "
                "stands. Leave it out, or wait"
            )
    by_run = [runs_of(one.study, one.answer, half) for one in leaders]
    other = _other_data(studies, by_run)
    samples = read_samples([_without(run, other) for runs in by_run for run in runs])
    for cell in {cell for runs in by_run for run in runs for cell in run.cells if cell[0] in other}:
        samples.left_out[cell] = "its data had another revision in one of the runs"
    if not samples.cells:
        raise NothingCommonError(_why_none(studies, by_run, samples.left_out, half))
    weights_FC = functionals(samples.cells, groups_of(studies[0]))[SCORE][None]
    seeds = [
        (_key(number, name_of(run)), run.trial.recipe.seed)
        for number, runs in enumerate(by_run)
        for run in runs
    ]
    bench = _Bench(resample(samples.cells, seeds, seed=studies[0].spec.seed), weights_FC, answers)
    sides = [
        Side(study, _arm(one), answer, *bench.judged(number))
        for number, (study, one, answer) in enumerate(zip(studies, leaders, answers, strict=True))
    ]
    cells = tuple((cell.task, cell.language) for cell in samples.cells)
    return Comparison(half, cells, dict(samples.left_out), tuple(_corrected(sides)))


def _other_data(studies: Sequence[Study], by_run: Sequence[Sequence[Standing]]) -> frozenset[str]:
    """Tasks whose evaluations read different revisions of the same data."""
    revisions: dict[tuple[str, str], set[str]] = {}
    for study, runs in zip(studies, by_run, strict=True):
        for name, task in (item for run in runs for item in run.stages.items()):
            stage = study.state.stages[name].config
            for data in stage.data if isinstance(stage, EvaluateStage) else ():
                revisions.setdefault((task, data.name), set()).add(data.revision)
    return frozenset(task for (task, _), known in revisions.items() if len(known) > 1)


def _without(run: Standing, tasks: frozenset[str]) -> Standing:
    return replace(run, cells={cell: told for cell, told in run.cells.items() if cell[0] not in tasks})


def _key(number: int, name: str) -> str:
    """A contender's name among those of all runs."""
    return f"{number}/{name}"


def _arm(one: ArmFindings) -> str:
    arms = one.study.spec.arms
    return label(one.arm, arms) if len(arms) > 1 else ""


class _Bench:
    """All contenders of all runs, resampled together."""

    def __init__(self, replicates: Replicates, weights_FC: Array, answers: Sequence[Answer]) -> None:
        self._replicates = replicates
        self._weights_FC = weights_FC
        self._names = [
            tuple(_key(number, one.trial.name) for one in (answer.best, answer.control) if one)
            for number, answer in enumerate(answers)
        ]

    def judged(self, number: int) -> tuple[Interval, Interval, Interval | None, Interval | None]:
        """Score and gain of one run's best mix, and both against the first run's."""
        best, control = self._names[number]
        (score,) = score_intervals(self._replicates, best, self._weights_FC)
        gain = self._contrast({best: 1.0, control: -1.0})
        if number == 0:
            return score, gain, None, None
        best_0, control_0 = self._names[0]
        return (
            score,
            gain,
            self._contrast({best: 1.0, best_0: -1.0}),
            self._contrast({best: 1.0, control: -1.0, best_0: -1.0, control_0: 1.0}),
        )

    def _contrast(self, coefficients: dict[str, float]) -> Interval:
        (interval,) = contrast_intervals(contrast(self._replicates, coefficients, self._weights_FC))
        return interval


def _corrected(sides: Sequence[Side]) -> Iterator[Side]:
    """With Holm's p-values of the differences to the first run."""
    p_values = {
        str(place): side.against_first.p_value or 0.0
        for place, side in enumerate(sides)
        if side.against_first is not None
    }
    adjusted = holm(p_values)
    for place, side in enumerate(sides):
        yield replace(side, adjusted_p=adjusted.get(str(place)))


def _why_none(
    studies: Sequence[Study],
    by_run: Sequence[Sequence[Standing]],
    left_out: Mapping[Cell, str],
    half: Half,
) -> str:
    """What each run was scored on, and why nothing is common."""
    scored = [
        f"{study.spec.name}: {len(cells)} cells of {', '.join(sorted({task for task, _ in cells}))}"
        for study, runs in zip(studies, by_run, strict=True)
        for cells in [{cell for run in runs for cell in run.cells}]
    ]
    reasons = ", ".join(sorted({reason.split(": ", 1)[-1] for reason in left_out.values()}))
    return (
        f"these runs have no cell in common on {half} examples ({'; '.join(scored)}): {reasons}. "
        "Compare runs that share target tasks, languages and data"
    )
