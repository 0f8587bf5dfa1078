"""What finished models take to answer: figures by arm, and their contrasts in percent.

A figure of a model is the mean over its tasks of its logarithm, so differences are ratios; of several
seeds the models are repetitions. With d_s the weighted sum of log figures over contenders at seed s,

    difference = 100 (exp(mean_s d_s) - 1) %,   mean_s d_s ~ Student's t with n - 1 degrees of freedom

which is judged by 20,000 draws of that distribution like any other contrast. One seed has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from experiments.arms import ArmFindings, label
from experiments.bootstrap import Array
from experiments.evidence import Json
from experiments.load import Study
from experiments.stats import Drawn
from scheduler.answered import Answered, answered_in
from scheduler.trial import Arm

_DRAWS = 20_000
_FARTHEST = 12.0  # a ratio of 160,000 either way is as good as none known
_DIGITS = 12  # equal figures differ by the rounding of their logarithms
_FORMS = ("folded", "beside")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the models of one arm took, the control's and the best mix's together.

    Attributes:
        form: how their adapters were run, ``folded`` or ``beside``; empty without adapter.
        n_models: models asked, over tasks and seeds.
        means: of every fact over those models; a language's under ``fact/language``.
        valid: scenario -> share of LoadGen's runs that it calls valid.
        texts: ``task, scenario`` -> LoadGen's summary of one run.
        devices: that they ran on.
    """

    arm: Arm
    form: str
    n_models: int
    means: Mapping[str, float]
    valid: Mapping[str, float]
    texts: Mapping[str, str]
    devices: tuple[str, ...]


def figures_of(study: Study, findings: Sequence[ArmFindings]) -> tuple[Figures, ...]:
    """One for each arm and form of adapter that was asked; none where inference was not measured."""
    rows = answered_in(study.state)
    adapted = {row.trial.recipe.tuning for row in rows if row.folded}
    found = []
    for one in findings:
        names = {c.trial.name for c in (one.answer.control, one.answer.best) if c is not None}
        own = [row for row in _once(rows) if row.trial.recipe.arm == one.arm and _name(row) in names]
        for folded in (True, False):
            of_form = [row for row in own if row.folded is folded]
            if of_form:
                form = _FORMS[not folded] if one.arm.tuning in adapted else ""
                found.append(_figures(one.arm, form, of_form))
    return tuple(found)


def _figures(arm: Arm, form: str, rows: Sequence[Answered]) -> Figures:
    facts = dict.fromkeys(name for row in rows for name in row.facts)
    means = {name: fmean(r.facts[name] for r in rows if name in r.facts) for name in facts}
    texts = {f"{row.task}, {name}": text for row in reversed(rows) for name, text in row.texts.items()}
    return Figures(
        arm,
        form,
        len(rows),
        {name: mean for name, mean in means.items() if not name.endswith("_valid")},
        {name.removesuffix("_valid"): mean for name, mean in means.items() if name.endswith("_valid")},
        texts,
        tuple(sorted({row.device for row in rows if row.device})),
    )


def _once(rows: Sequence[Answered]) -> Iterator[Answered]:
    """Each measurement once: a final shares its first seed's with the trial that it repeats."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (key := (_name(row), row.stage)) not in seen:
            seen.add(key)
            yield row


def _name(row: Answered) -> str:
    return row.trial.finalist or row.trial.name


def figures_json(found: Sequence[Figures], arms: Sequence[Arm]) -> list[Json]:
    """Figures by arm and form, and the tokens of a sample by language."""
    prefix = "tokens_per_sample/"
    return [
        {
            "arm": label(one.arm, arms),
            "form": one.form,
            "n_models": one.n_models,
            "facts": {name: mean for name, mean in one.means.items() if "/" not in name},
            "tokens_by_language": {
                name.removeprefix(prefix): mean
                for name, mean in one.means.items()
                if name.startswith(prefix)
            },
            "loadgen_valid": dict(one.valid),
            "loadgen": dict(one.texts),
            "devices": list(one.devices),
        }
        for one in found
    ]


def timings_of(study: Study) -> Timings:
    """What the journal of ``study`` says of inference."""
    part = study.spec.inference
    folded = part is None or part.adapters[0] == "folded"
    return Timings(answered_in(study.state), folded=folded, seed=study.spec.seed)


class Timings:
    """Log figures of contenders by seed and task, of each the first form in which it was asked."""

    def __init__(self, rows: Sequence[Answered], *, folded: bool, seed: int) -> None:
        """What was measured.

        Args:
            rows: of all contenders.
            folded: whether adapters that were run in both forms count as folded.
            seed: of the draws.
        """
        self._seed = seed
        self._facts: dict[str, dict[int, dict[str, Mapping[str, float]]]] = {}
        for row in sorted(rows, key=lambda row: row.folded is folded):
            by_seed = self._facts.setdefault(_name(row), {})
            by_seed.setdefault(row.trial.recipe.seed, {})[row.task] = row.facts

    def contrast(self, fact: str, coefficients: Mapping[str, float]) -> Drawn | str:
        """The difference in percent, or why there is none.

        Args:
            fact: as the stage measured it.
            coefficients: of contenders, by name.
        """
        known = {name: self._logs(name, fact) for name in coefficients}
        if missing := [name for name, by_seed in known.items() if not by_seed]:
            return f"{missing[0]} was not asked for {fact}"
        seeds = sorted(set.intersection(*(set(by_seed) for by_seed in known.values())))
        tasks = set.intersection(*(set(of) for by_seed in known.values() for of in by_seed.values()))
        if not tasks:
            return f"no task was asked for {fact} in all of {', '.join(known)}"
        if len(seeds) < 2:
            return f"{fact} was measured on {len(seeds) or 'no'} common seed; an interval needs two"
        logs = [
            sum(c * fmean(known[name][seed][t] for t in tasks) for name, c in coefficients.items())
            for seed in seeds
        ]
        error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
        rng = np.random.default_rng([self._seed, 6])
        middle = round(fmean(logs), _DIGITS)
        draws = middle + error * rng.standard_t(len(logs) - 1, _DRAWS)
        return Drawn(_percent(np.array([middle])), _percent(draws)[:, None], len(seeds))

    def _logs(self, name: str, fact: str) -> dict[int, dict[str, float]]:
        """By seed and task; seeds on which nothing was measured are left out."""
        found = {
            seed: {t: math.log(facts[fact]) for t, facts in by_task.items() if facts.get(fact, 0) > 0}
            for seed, by_task in self._facts.get(name, {}).items()
        }
        return {seed: by_task for seed, by_task in found.items() if by_task}


def _percent(logs: Array) -> Array:
    percent: Array = 100 * np.expm1(np.clip(logs, -_FARTHEST, _FARTHEST))
    return percent
