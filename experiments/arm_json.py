"""What one arm found, as plain JSON: its answer, contenders, groups, cells, rungs and effects."""

from __future__ import annotations

import math
from collections.abc import Mapping

from experiments.allotment import Allotment, allotments
from experiments.answer import SCORE, WITHOUT_RETRIEVAL, Answer, Contender, groups_of
from experiments.arms import ArmFindings, label, weights_of
from experiments.best_count import surface_json
from experiments.evidence import Json, effects_json, interval_json, rungs_json
from experiments.load import Study
from experiments.sentences import answer_sentences
from experiments.stats import Interval
from experiments.wording import language_name
from scheduler.asked import low_resource_of
from trainers.tasks.spec import RETRIEVAL_METRICS


def arm_json(one: ArmFindings, *, leads: bool) -> Json:
    """All that the report says of one arm.

    Args:
        one: what it found.
        leads: whether no other arm has a higher score.
    """
    study, answer = one.study, one.answer
    return {
        "arm": {
            "label": label(one.arm, study.spec.arms),
            "model": one.arm.model,
            "tuning": one.arm.tuning,
            "languages": one.arm.languages,
            "n_weights": weights_of(one.arm),
            "charged_ms": one.charged.ms,
            "leads": leads,
        },
        "answer": _answer(one),
        "contenders": [_contender(study, each) for each in _contenders(answer)],
        "groups": _groups(study, answer),
        "cells": _cells(study, answer),
        "finals": [_allotment(each) for each in allotments(study, answer)],
        "rungs": rungs_json(study),
        "effects": effects_json(one.effects),
        "surface": surface_json(one.surface),
    }


def _answer(one: ArmFindings) -> Json:
    answer = one.answer
    best = answer.best
    return {
        "verdict": str(answer.verdict),
        "sentences": list(answer_sentences(one.study, answer, one.found)),
        "examples": str(answer.half),
        "final": answer.final,
        "best": best.trial.name if best else None,
        "control": answer.control.trial.name if answer.control else None,
        "gain": interval_json(best.gains.get(SCORE)) if best else None,
        "adjusted_p": best.adjusted_p if best else None,
        "cells_in_intervals": answer.n_cells,
    }


def _contenders(answer: Answer) -> list[Contender]:
    """The control first, then best to worst."""
    return [*([answer.control] if answer.control else []), *answer.contenders]


def _contender(study: Study, one: Contender) -> Json:
    mix = one.trial.recipe.mix
    return {
        "trial": one.trial.name,
        "k": mix.count,
        "tasks": list(mix.tasks),
        "cap": mix.cap,
        "temperature": mix.temperature,
        "text": mix.text,
        "tokens": study.spec.intermediate.rungs[one.rung] if mix.count else 0,
        "seeds": sorted(one.by_seed),
        "mean_score": one.score,
        "score": interval_json(one.scores.get(SCORE)),
        "score_without_retrieval": interval_json(one.scores.get(WITHOUT_RETRIEVAL)),
        "gain": interval_json(one.gains.get(SCORE)),
        "gain_without_retrieval": interval_json(one.gains.get(WITHOUT_RETRIEVAL)),
        "adjusted_p": one.adjusted_p,
        "gain_by_group": _by(one.gains, "group "),
        "gain_by_language": _by(one.gains, "language "),
        "gain_by_task": _by(one.gains, "task "),
        "gain_by_cell": _by(one.gains, "cell "),
    }


def _allotment(one: Allotment) -> Json:
    """As plain JSON; an interval without ends has none."""
    gap = one.behind
    behind = None
    if gap is not None:
        known = math.isfinite(gap.low)
        behind = {"points": gap.points, "low": gap.low if known else None}
        behind["high"] = gap.high if known else None
    return {"trial": one.trial, "n_seeds": one.n_seeds, "behind": behind, "why": one.why}


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
            "scores": {one.trial.name: _mean(one, key) for one in _contenders(answer)},
            "gains": {one.trial.name: interval_json(one.gains.get(key)) for one in answer.contenders},
        }
        for key, names in named.items()
    ]


def _retrieves(study: Study, name: str) -> bool:
    task = study.spec.catalogue.get(name)
    return task is not None and task.metric in RETRIEVAL_METRICS


def _mean(one: Contender, key: str) -> Json:
    """A mean of cells of a contender: from the journal, and its interval where there are records."""
    known = one.score if key == SCORE else one.groups.get(key.removeprefix("group "))
    return {"mean": known, "interval": interval_json(one.scores.get(key))}


def _cells(study: Study, answer: Answer) -> Json:
    """Language by task: means over seeds of the control and of the best."""
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
