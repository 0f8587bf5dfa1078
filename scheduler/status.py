"""Where a study stands, as numbers that a program can read."""

from __future__ import annotations

from collections import Counter

from budgets.bill import Purpose
from budgets.ledger import Balance
from scheduler.arms import arm_names
from scheduler.state import StudyState
from scheduler.trial import Trial


def status_json(state: StudyState, balance: Balance) -> dict[str, object]:
    """Balance, trials and best score, in each arm where there are several; device time in whole ms."""
    best = state.best()
    control = state.control_of(best.recipe.arm) if best else state.control
    names = arm_names([one.recipe.arm for one in state.controls])
    return {
        "name": state.begun.name if state.begun else None,
        "state": _phase(state),
        "reason": state.ended,
        "cap_ms": balance.cap.ms,
        "spent_ms": balance.spent.ms,
        "held_ms": balance.held.ms,
        "free_ms": balance.free.ms,
        "overdrawn_ms": balance.overdrawn.ms,
        "saved_by_sharing_ms": state.saved.ms,
        "by_purpose": {str(p): balance.by_purpose[p].ms for p in Purpose if p in balance.by_purpose},
        "trials": dict(Counter(str(t.state) for t in state.trials.values())),
        "stages": {"done": sum(s.done for s in state.stages.values()), "in_flight": len(state.leases)},
        "worn_workers": list(state.worn),
        "best": _shown(best),
        "control": _shown(control),
        "arms": [
            {
                "arm": names[arm],
                "best": _shown(state.best(arm)),
                "control": _shown(state.control_of(arm)),
            }
            for arm in (names if len(names) > 1 else ())
        ],
    }


def _phase(state: StudyState) -> str:
    if state.begun is None:
        return "empty"
    if state.ended is not None:
        return "stopped" if state.stopped else "ended"
    return "finals" if state.finals else "search"


def _shown(trial: Trial | None) -> dict[str, object] | None:
    if trial is None:
        return None
    return {
        "trial": trial.name,
        "model": trial.recipe.model,
        "tuning": trial.recipe.tuning,
        "languages": trial.recipe.languages,
        "tasks": list(trial.recipe.mix.tasks),
        "count": trial.recipe.mix.count,
        "cap": trial.recipe.mix.cap,
        "temperature": trial.recipe.mix.temperature,
        "text": trial.recipe.mix.text,
        "rung": trial.best_rung if trial.trained_scores else None,
        "score": round(trial.best_score, 3) if trial.trained_scores else None,
        "state": str(trial.state),
    }
