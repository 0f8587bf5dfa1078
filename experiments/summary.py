"""The report as plain JSON. The page is made from this and the figures, so the two cannot differ."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.allotment import Allotment, allotments
from experiments.answer import SCORE, WITHOUT_RETRIEVAL, Answer, Arm, groups_of
from experiments.best_count import surface_json
from experiments.evidence import Json, effects_json, interval_json, rungs_json, sharing_json
from experiments.load import Study, work_of
from experiments.rates import rates_of
from experiments.recipe import recipe_yaml, why
from experiments.search import untried
from experiments.sentences import answer_sentences, threats
from experiments.spending import by_work
from experiments.stats import Interval
from experiments.surface import surface_of
from experiments.trials import Standing, TrialRow, trial_rows
from experiments.wording import language_name
from scheduler.asked import low_resource_of
from scheduler.trial import MERGED
from trainers.order import Outcome
from trainers.tasks.spec import RETRIEVAL_METRICS


def summarise(
    study: Study, answer: Answer, found: Sequence[Standing], finals: Sequence[Standing]
) -> Json:
    """All that the report says.

    Args:
        study: its records.
        answer: the comparison with the control.
        found: standings on search examples.
        finals: standings on report examples.
    """
    return {
        "study": study.spec.name,
        "question": study.spec.question,
        "model": ", ".join(study.spec.model.names),
        "interim": study.interim,
        "began": study.began.isoformat(timespec="seconds"),
        "as_of": study.as_of.isoformat(timespec="seconds"),
        "unit": study.unit,
        "answer": _answer(study, answer, found),
        "arms": [_arm(study, arm) for arm in _arms(answer)],
        "groups": _groups(study, answer),
        "cells": _cells(study, answer),
        "finals_rule": study.spec.final.seeds,
        "finals": [_allotment(one) for one in allotments(study, answer)],
        "money": _money(study),
        "sharing": sharing_json(study),
        "trials_by_state": dict(Counter(str(t.state) for t in study.state.trials.values())),
        "mixing_rule": study.spec.intermediate.mixing.rule,
        "trials": [_trial(study, row) for row in trial_rows(study, (*found, *finals))],
        "rungs": rungs_json(study),
        "effects": effects_json(study),
        "surface": surface_json(surface_of(study)),
        "recipe": {"why": why(answer), "yaml": recipe_yaml(study, answer)},
        "not_tried": _untried(study, answer, found),
        "without_result": _without_result(study),
        "threats": list(threats(study, answer)),
        "errors": [*study.mismatches, *answer.errors],
        "environment": dict(study.begun.environment),
        "spec": dict(study.begun.spec),
        "spec_text": study.begun.spec_text,
    }


def _answer(study: Study, answer: Answer, found: Sequence[Standing]) -> Json:
    best = answer.best
    return {
        "verdict": str(answer.verdict),
        "sentences": list(answer_sentences(study, answer, found)),
        "examples": str(answer.half),
        "final": answer.final,
        "best": best.trial.name if best else None,
        "control": answer.control.trial.name if answer.control else None,
        "gain": interval_json(best.gains.get(SCORE)) if best else None,
        "adjusted_p": best.adjusted_p if best else None,
        "cells_in_intervals": answer.n_cells,
    }


def _arms(answer: Answer) -> list[Arm]:
    """The control first, then best to worst."""
    return [*([answer.control] if answer.control else []), *answer.arms]


def _arm(study: Study, arm: Arm) -> Json:
    mix = arm.trial.recipe.mix
    return {
        "trial": arm.trial.name,
        "k": mix.count,
        "tasks": list(mix.tasks),
        "cap": mix.cap,
        "temperature": mix.temperature,
        "text": mix.text,
        "tokens": study.spec.intermediate.rungs[arm.rung] if mix.count else 0,
        "seeds": sorted(arm.by_seed),
        "mean_score": arm.score,
        "score": interval_json(arm.scores.get(SCORE)),
        "score_without_retrieval": interval_json(arm.scores.get(WITHOUT_RETRIEVAL)),
        "gain": interval_json(arm.gains.get(SCORE)),
        "gain_without_retrieval": interval_json(arm.gains.get(WITHOUT_RETRIEVAL)),
        "adjusted_p": arm.adjusted_p,
        "gain_by_group": _by(arm.gains, "group "),
        "gain_by_language": _by(arm.gains, "language "),
        "gain_by_task": _by(arm.gains, "task "),
        "gain_by_cell": _by(arm.gains, "cell "),
    }


def _allotment(one: Allotment) -> Json:
    """As plain JSON; an interval without ends has none."""
    gap = one.behind
    behind = None
    if gap is not None:
        known = math.isfinite(gap.low)
        behind = {"points": gap.points, "low": gap.low if known else None}
        behind["high"] = gap.high if known else None
    return {"arm": one.arm, "n_seeds": one.n_seeds, "behind": behind, "why": one.why}


def _by(intervals: Mapping[str, Interval], prefix: str) -> Json:
    return {
        key.removeprefix(prefix): interval_json(interval)
        for key, interval in intervals.items()
        if key.startswith(prefix)
    }


def _groups(study: Study, answer: Answer) -> list[Json]:
    """The score, the score without retrieval and each group's mean: of the control, and gains."""
    groups, control = groups_of(study), answer.control
    tasks = {group: [t for t, g in groups.items() if g == group] for group in groups.values()}
    named = {SCORE: list(groups), **{f"group {group}": names for group, names in tasks.items()}}
    if control and WITHOUT_RETRIEVAL in control.scores:
        others = [task for task in groups if not _retrieves(study, task)]
        named = {SCORE: named.pop(SCORE), WITHOUT_RETRIEVAL: others, **named}
    return [
        {
            "mean": key.removeprefix("group "),
            "tasks": names,
            "scores": {arm.trial.name: _mean(arm, key) for arm in _arms(answer)},
            "gains": {arm.trial.name: interval_json(arm.gains.get(key)) for arm in answer.arms},
        }
        for key, names in named.items()
    ]


def _retrieves(study: Study, name: str) -> bool:
    task = study.spec.catalogue.get(name)
    return task is not None and task.metric in RETRIEVAL_METRICS


def _mean(arm: Arm, key: str) -> Json:
    """A mean of cells of one arm: from the journal, and its interval where there are records."""
    known = arm.score if key == SCORE else arm.groups.get(key.removeprefix("group "))
    return {"mean": known, "interval": interval_json(arm.scores.get(key))}


def _cells(study: Study, answer: Answer) -> Json:
    """Language by task: means over seeds of the control and of the best arm."""
    control, best = answer.control, answer.best
    either = control or best
    scored = sorted(either.cells) if either else []
    poor = low_resource_of(study.spec)
    tasks = [task for task in study.spec.target.tasks if any(task == t for t, _ in scored)]
    languages = list(dict.fromkeys(language for _, language in scored))
    rows = []
    for language in sorted(languages, key=lambda code: (code not in poor, code)):
        rows.append(
            {
                "language": language,
                "name": language_name(language, study.spec.world),
                "low_resource": language in poor,
                "control": {t: control.cells.get((t, language)) if control else None for t in tasks},
                "best": {t: best.cells.get((t, language)) if best else None for t in tasks},
                "gain": interval_json(best.gains.get(f"language {language}")) if best else None,
                "gains": {
                    t: interval_json(best.gains.get(f"cell {t}/{language}")) if best else None
                    for t in tasks
                },
            }
        )
    return {"tasks": tasks, "rows": rows}


def _money(study: Study) -> Json:
    balance = study.balance
    return {
        "cap_ms": balance.cap.ms,
        "spent_ms": balance.spent.ms,
        "held_ms": balance.held.ms,
        "free_ms": balance.free.ms,
        "overdrawn_ms": balance.overdrawn.ms,
        "used_percent": 100 * balance.spent.ms / balance.cap.ms if balance.cap else 0.0,
        "saved_ms": study.state.saved.ms,
        "reason": study.state.ended,
        "by_purpose": {str(purpose): amount.ms for purpose, amount in balance.by_purpose.items()},
        "by_stage": {
            work: {str(purpose): amount.ms for purpose, amount in of_work.items()}
            for work, of_work in by_work(study).items()
        },
    }


def _trial(study: Study, row: TrialRow) -> Json:
    trial, mix = row.trial, row.trial.recipe.mix
    return {
        "trial": trial.name,
        "role": str(trial.role),
        "finalist": trial.finalist,
        "origin": row.origin,
        "k": mix.count,
        "tasks": list(mix.tasks),
        "cap": mix.cap,
        "temperature": mix.temperature,
        "text": mix.text,
        "rates": [
            {"task": rate.task, "planned": rate.planned, "drawn": rate.drawn}
            for rate in rates_of(study, trial.name)
        ],
        "seed": trial.recipe.seed,
        "rung": row.rung,
        "tokens": study.spec.intermediate.rungs[row.rung] if row.rung is not None and mix.count else 0,
        "score": row.score,
        "merged_score": trial.scores.get(MERGED),
        "charged_ms": row.charged.ms,
        "alone_ms": row.alone.ms if row.alone else None,
        "state": str(trial.state),
        "reason": row.reason,
    }


def _without_result(study: Study) -> list[Json]:
    """Leases that came back without the stage's result, and why."""
    return [
        {
            "hold": measurement.hold,
            "trial": started.trial,
            "work": work_of(started.config),
            "outcome": str(measurement.outcome),
            "charged_ms": measurement.cost.total.ms,
            "error": measurement.error,
        }
        for started, measurement in study.state.measurements()
        if measurement.outcome is not Outcome.DONE
    ]


def _untried(study: Study, answer: Answer, found: Sequence[Standing]) -> Json:
    gaps = untried(study, found)
    return {
        "subsets_allowed": gaps.n_subsets,
        "subsets_tried": gaps.n_tried,
        "rungs_not_reached": list(gaps.rungs),
        "cut_by_cap": list(gaps.cut),
        "failed": list(gaps.failed),
        "skipped": list(study.spec.target.skip),
        "no_data": {task: list(languages) for task, languages in gaps.no_data.items()},
        "left_out_of_intervals": {
            f"{t}/{lang}": reason for (t, lang), reason in answer.left_out.items()
        },
    }
