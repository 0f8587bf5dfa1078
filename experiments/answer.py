"""The answer of a study: the control against its finalists, with intervals.

Finalists were repeated over seeds and scored on examples that the search never saw. Where no final
has run yet, the best searched trials stand in, and every sentence says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import fmean

import numpy as np

from experiments.bootstrap import Array, CellSample, resample
from experiments.load import Study
from experiments.samples import Samples, read_samples
from experiments.stats import Interval, difference_intervals, holm, score_intervals
from experiments.trials import Cell, Standing, is_control, standings
from scheduler.race import Race, race
from scheduler.score import group_means
from scheduler.trial import Role, Trial
from trainers.stage import Half
from trainers.tasks.spec import RETRIEVAL_METRICS

SIGNIFICANT = 0.05  # of Holm's adjusted p
_STAND_INS = 3  # searched trials compared with the control while there are no finals

SCORE, WITHOUT_RETRIEVAL = "score", "without retrieval"
OTHER_GROUP = "other"


class Verdict(StrEnum):
    """What the comparison showed."""

    GAIN = "gain"
    NOT_SHOWN = "not shown"
    CONTROL_BEST = "control best"
    NOTHING = "nothing to compare"


@dataclass(frozen=True, slots=True)
class Contender:
    """The control or a finalist, over its seeds.

    Attributes:
        trial: the searched trial it repeats.
        rung: highest it was trained to.
        by_seed: score of each of its runs, points, from the journal.
        cells: mean over seeds of each cell, points, from the journal.
        scores: functional -> interval of the score; empty where there are no records.
        gains: functional -> interval of the difference to the control; functionals are ``score``,
            ``without retrieval``, ``group name``, ``language xx``, ``task name`` and
            ``cell name/xx``.
        groups: mean over the tasks of each group, over seeds, points, from the journal.
        adjusted_p: of the score's gain, by Holm over all that are compared.
    """

    trial: Trial
    rung: int
    by_seed: Mapping[int, float]
    cells: Mapping[Cell, float]
    groups: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, Interval] = field(default_factory=dict)
    gains: Mapping[str, Interval] = field(default_factory=dict)
    adjusted_p: float | None = None

    @property
    def score(self) -> float:
        """Mean over its own seeds, in points."""
        return fmean(self.by_seed.values())

    def over(self, other: Contender) -> float:
        """Mean difference to ``other`` on the seeds that both have, in points; of the means if none."""
        both = self.by_seed.keys() & other.by_seed.keys()
        if not both:
            return self.score - other.score
        return fmean(self.by_seed[seed] - other.by_seed[seed] for seed in both)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the study found.

    Attributes:
        half: whose examples it stands on.
        final: whether finals were run; otherwise searched trials stand in.
        contenders: best first, without the control.
        race: where they stand by scores paired by seed, which puts them in order.
        left_out: cell -> why it is in no interval.
        errors: records that contradict the journal.
    """

    verdict: Verdict
    half: Half
    final: bool
    control: Contender | None = None
    contenders: tuple[Contender, ...] = ()
    race: Race = field(default_factory=lambda: Race(()))
    left_out: Mapping[Cell, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    n_cells: int = 0

    @property
    def best(self) -> Contender | None:
        """The finalist that leads."""
        return self.contenders[0] if self.contenders else None


def answer_of(study: Study) -> Answer:
    """Compare the control with the finalists, or with the best of the search."""
    runs, final = _runs(study)
    half = Half.REPORT if final else Half.SEARCH
    by_name: dict[str, list[Standing]] = {}
    for run in runs:
        by_name.setdefault(name_of(run), []).append(run)
    bare = {name: _bare(study, name, its_own) for name, its_own in by_name.items()}
    control = next((one for one in bare.values() if is_control(one.trial)), None)
    if control is None or len(bare) < 2:
        return Answer(Verdict.NOTHING, half, final, control)
    samples = read_samples(runs)
    contenders = _with_intervals(study, bare, control.trial.name, samples, runs)
    standing = race({name: one.by_seed for name, one in contenders.items()}, control.trial.name)
    control = contenders.pop(control.trial.name)
    ranked = tuple(contenders[name] for name in standing.ranked)
    return Answer(
        verdict=_verdict(control, ranked),
        half=half,
        final=final,
        control=control,
        contenders=ranked,
        race=standing,
        left_out=samples.left_out,
        errors=tuple(samples.errors),
        n_cells=len(samples.cells),
    )


def contenders_sampled(study: Study, answers: Sequence[Answer]) -> tuple[Samples, list[tuple[str, int]]]:
    """Records of each answer's control and best mix, and (contender, seed) of every run."""
    half = Half.REPORT if all(answer.final for answer in answers) else Half.SEARCH
    runs = [run for answer in answers for run in runs_of(study, answer, half)]
    return read_samples(runs), [(name_of(run), run.trial.recipe.seed) for run in runs]


def runs_of(study: Study, answer: Answer, half: Half) -> list[Standing]:
    """Runs of an answer's control and best mix, finals where the half is the report's."""
    wanted = {one.trial.name for one in (answer.control, answer.best) if one is not None}
    return [
        run
        for run in _highest(standings(study, half))
        if name_of(run) in wanted and (run.trial.role is Role.FINAL) is (half is Half.REPORT)
    ]


def _runs(study: Study) -> tuple[list[Standing], bool]:
    """Runs to compare, and whether they are finals: one per contender and seed, at its highest rung."""
    finals = [s for s in _highest(standings(study, Half.REPORT)) if s.trial.role is Role.FINAL]
    names = {name_of(run) for run in finals}
    if len(names) > 1 and any(is_control(run.trial) for run in finals):
        return finals, True
    searched = [s for s in _highest(standings(study, Half.SEARCH)) if s.trial.role is not Role.FINAL]
    control = [s for s in searched if is_control(s.trial)]
    mixes = [s for s in searched if not is_control(s.trial)]
    mixes.sort(key=lambda s: (-s.rung, -s.score))
    return control[:1] + mixes[:_STAND_INS], False


def _highest(found: Sequence[Standing]) -> list[Standing]:
    """Of each contender and seed the highest rung: a grid repeats every rung as a final of its own."""
    top: dict[tuple[str, int], Standing] = {}
    for one in found:
        key = name_of(one), one.trial.recipe.seed
        if key not in top or one.rung > top[key].rung:
            top[key] = one
    return list(top.values())


def name_of(run: Standing) -> str:
    """The searched trial that a run repeats, or is."""
    return run.trial.finalist or run.trial.name


def _bare(study: Study, name: str, runs: list[Standing]) -> Contender:
    """A contender without intervals: means over seeds, from the journal."""
    cells = {cell for run in runs for cell in run.cells}
    means = {cell: fmean(r.cells[cell].value for r in runs if cell in r.cells) for cell in sorted(cells)}
    groups = groups_of(study)
    by_group = [group_means(run.cells.values(), groups) for run in runs]
    return Contender(
        trial=study.state.trials[name],
        rung=runs[0].rung,
        by_seed={run.trial.recipe.seed: run.score for run in runs},
        cells=means,
        groups={group: fmean(of_run[group] for of_run in by_group) for group in by_group[0]},
    )


def groups_of(study: Study) -> dict[str, str]:
    """The group of each target task; ``other`` of one that is no longer known here."""
    catalogue = study.spec.catalogue
    return {
        name: catalogue[name].group if name in catalogue else OTHER_GROUP
        for name in study.spec.target.tasks
    }


def _with_intervals(
    study: Study, bare: Mapping[str, Contender], control: str, samples: Samples, runs: Sequence[Standing]
) -> dict[str, Contender]:
    """The contenders with their intervals, as far as there are records."""
    if not samples.cells:
        return dict(bare)
    named = functionals(samples.cells, groups_of(study))
    weights_FC = np.stack(list(named.values()))
    seeds = [(name_of(run), run.trial.recipe.seed) for run in runs]
    replicates = resample(samples.cells, seeds, seed=study.spec.seed)
    gains = {
        name: _labelled(named, difference_intervals(replicates, name, control, weights_FC))
        for name in bare
        if name != control
    }
    adjusted = holm({name: its_own[SCORE].p_value or 0.0 for name, its_own in gains.items()})
    return {
        name: replace(
            one,
            scores=_labelled(named, score_intervals(replicates, name, weights_FC)),
            gains=gains.get(name, {}),
            adjusted_p=adjusted.get(name),
        )
        for name, one in bare.items()
    }


def _labelled(named: Mapping[str, Array], intervals: list[Interval]) -> dict[str, Interval]:
    return dict(zip(named, intervals, strict=True))


def functionals(cells: Sequence[CellSample], groups: Mapping[str, str]) -> dict[str, Array]:
    """Weights of cells for the score, without retrieval, and per group, language, task and cell.

    Args:
        cells: in the order of the weights.
        groups: of their tasks.
    """
    tasks = [cell.task for cell in cells]
    retrieval = {cell.task for cell in cells if cell.metric in RETRIEVAL_METRICS}
    rows = {SCORE: _mean_of_means(tasks, set(tasks))}
    if retrieval and retrieval != set(tasks):
        rows[WITHOUT_RETRIEVAL] = _mean_of_means(tasks, set(tasks) - retrieval)
    for group in dict.fromkeys(groups.values()):
        if of_group := {task for task in tasks if groups[task] == group}:
            rows[f"group {group}"] = _mean_of_means(tasks, of_group)
    for language in dict.fromkeys(cell.language for cell in cells):
        chosen = np.array([cell.language == language for cell in cells], dtype=np.float64)
        rows[f"language {language}"] = chosen / chosen.sum()
    for task in dict.fromkeys(tasks):
        rows[f"task {task}"] = _mean_of_means(tasks, {task})
    for cell, weights in zip(cells, np.eye(len(cells)), strict=True):
        rows[f"cell {cell.task}/{cell.language}"] = weights
    return rows


def _mean_of_means(tasks: Sequence[str], counted: set[str]) -> Array:
    return np.array([1 / (len(counted) * tasks.count(t)) if t in counted else 0.0 for t in tasks])


def _verdict(control: Contender, ranked: tuple[Contender, ...]) -> Verdict:
    best = ranked[0]
    if best.over(control) <= 0:
        return Verdict.CONTROL_BEST
    gain = best.gains.get(SCORE)
    if gain is None or gain.low <= 0 or (best.adjusted_p or 0.0) > SIGNIFICANT:
        return Verdict.NOT_SHOWN
    return Verdict.GAIN
