"""As plain JSON: what sharing saved, how rungs foretell the next, what tasks are worth."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.load import Study
from experiments.search import rung_links
from experiments.sharing import sharing, without_sharing
from experiments.stats import Interval
from experiments.wording import rung_name
from experiments.worth import surely
from scheduler.effects import Effect, Effects
from scheduler.policies.trust import RungTrust

Json = dict[str, object]


def interval_json(interval: Interval | None) -> Json | None:
    """An estimate with its interval."""
    if interval is None:
        return None
    made: Json = {"value": interval.value, "low": interval.low, "high": interval.high}
    made["n_seeds"] = interval.n_seeds
    if interval.p_value is not None:
        made["p_value"] = interval.p_value
    return made


def sharing_json(study: Study) -> Json:
    """Device time spent, and what the same trials would have cost without sharing."""
    spent, without = study.balance.spent, without_sharing(study)
    return {
        "spent_ms": spent.ms,
        "without_ms": without.ms,
        "factor": without.ms / spent.ms if spent else None,
        "by_stage": [
            {
                "work": of.work,
                "n_run": of.n_run,
                "n_shared": of.n_shared,
                "n_stored": of.n_stored,
                "saved_ms": of.saved.ms,
                "stored_ms": of.stored.ms,
            }
            for of in sharing(study)
        ],
    }


def rungs_json(study: Study) -> list[Json]:
    """Rungs against the next: as found among the mixes scored at both, and what was made of it."""
    rungs = study.spec.intermediate.rungs
    return [
        {
            "lower": rung_name(link.lower, rungs),
            "higher": rung_name(link.higher, rungs),
            "n_trials": len(link.pairs),
            "kendall_tau": interval_json(link.tau),
            "tau_among_all": _among_all(link.trust),
            "pays_from": link.trust.worth,
            "verdict": str(link.trust.verdict),
            "words": str(link.trust),
        }
        for link in rung_links(study)
    ]


def _among_all(trust: RungTrust) -> Json | None:
    """With an interval of 90 %, on which the verdict stands."""
    if trust.tau is None:
        return None
    return {"value": trust.tau, "low": trust.low, "high": trust.high}


def effects_json(effects: Sequence[Effects]) -> list[Json]:
    """What tasks are worth for the score and each group, in points with 95 % intervals."""
    return [_effects(of) for of in effects]


def _effects(of: Effects) -> Json:
    return {
        "of": of.of,
        "n_observations": of.n_observations,
        "n_mixes": of.n_mixes,
        "tasks": [
            {
                "task": task.task,
                "n_mixes": task.n_mixes,
                "alone": _effect(task.alone),
                "added": _effect(task.added),
                "growth": _effect(task.growth) if task.growth else None,
            }
            for task in of.tasks
        ],
        "pairs": [
            {
                "tasks": list(pair.tasks),
                "n_mixes": pair.n_mixes,
                "together": _effect(pair.together),
                "sure": surely(pair.together),
            }
            for pair in of.pairs
        ],
    }


def _effect(effect: Effect) -> Json:
    low, high = effect.interval
    return {"value": effect.points, "low": low, "high": high}
