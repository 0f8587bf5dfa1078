"""The forecast of a study on a screen."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from scheduler.plan import Plan
from scheduler.progress import hours, table, unit


def plan_view(plan: Plan) -> RenderableType:
    """The forecast of a study as tables."""
    name = unit(plan.kind)
    money = table(plan.name, ("", f"{name}"))
    money.add_row("cap", hours(plan.cap))
    in_arms = f" in each of {len(plan.arms)} arms" if plan.arms else ""
    money.add_row(f"the control alone{in_arms}", hours(plan.least))
    money.add_row("forecast", hours(plan.spent))
    money.add_row("if every stage took its upper bound", hours(plan.spent_at_most))
    money.add_row("forecast without sharing stages", hours(plan.without_sharing))
    money.add_row("saved by sharing stages", hours(plan.saved))
    stages = table("stages", ("kind", "number", name))
    for stage in plan.stages:
        stages.add_row(stage.kind, str(stage.n), hours(stage.time))
    finished = (f"{n} finish rung {rung}" for rung, n in enumerate(plan.by_rung))
    looked_at = () if plan.n_merged is None else (f"{plan.n_merged} are looked at merged",)
    rungs = ", ".join((*looked_at, *finished))
    beside = "the control of each arm" if plan.arms else "the control"
    what = "mixes, counted in each arm where they are tried," if plan.arms else "mixes"
    mixes = f"{plan.n_trials} {what} (at least {plan.n_trials_at_least}) are tried beside {beside}"
    words = [
        *_arm_lines(plan),
        f"{mixes}: {rungs}",
        f"{plan.n_finals} repetitions of finalists and control on report cells",
        f"{_duration(plan.wall_s)} on {plan.devices} {'GPUs' if plan.kind == 'gpu' else 'CPU slots'}",
        f"ends because: {plan.reason}",
    ]
    beyond = [f"beyond the cap: {line}" for line in plan.beyond]
    return Group(money, stages, *(Text(line) for line in [*words, *beyond, *plan.notes]))


def _arm_lines(plan: Plan) -> list[str]:
    """What is done about the arms of a study, if it has several."""
    done = "every mix is tried in each" if plan.design == "factorial" else "a mix is tried in one"
    return [f"{len(plan.arms)} arms, {done}: {'; '.join(plan.arms)}"] if plan.arms else []


def _duration(wall_s: float) -> str:
    if wall_s < 120:
        return f"about {wall_s:.0f} s"
    return f"about {wall_s / 60:.0f} min" if wall_s < 7200 else f"about {wall_s / 3600:.1f} h"
