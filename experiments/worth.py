"""What each intermediate task is worth: the figure of effects on the score and on every target group."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.drawing import BLUE, GREY, INK, Picture, draw
from experiments.wording import listed, signed
from scheduler.effects import Effect, Effects, TaskEffect
from scheduler.gain import SCORE


def task_effects(effects: Sequence[Effects]) -> Picture:
    """Points that a task adds to a mix, with intervals: a panel for the score and one for each group."""
    name, title = "effects", "What each intermediate task adds to a mix"
    if not effects:
        why = "No mix and control have been scored yet."
        return Picture(name, title, "", instead=why)
    order = sorted(effects[0].tasks, key=lambda task: task.added.points)
    tasks = [task.task for task in order]

    def paint(figure: Figure) -> None:
        widths = [1.5] + [1.0] * (len(effects) - 1)
        panels = figure.subplots(1, len(effects), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axes, of in zip(panels, effects, strict=True):
            by_name = {task.task: task for task in of.tasks}
            _panel(axes, [by_name[task] for task in tasks])
            axes.set_title("score" if of.of == SCORE else of.of)
        panels[0].set_yticks(range(len(tasks)), tasks)
        panels[0].set_ylim(-0.6, len(tasks) - 0.4)
        figure.supxlabel("points added at the top rung, search examples", fontsize=9.5)

    height = min(9.0, 1.3 + 0.25 * len(tasks))
    return Picture(name, title, _caption(effects[0]), draw(name, height, paint))


def _panel(axes: Axes, tasks: Sequence[TaskEffect]) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    for row, task in enumerate(tasks):
        low, high = task.added.interval
        axes.plot([low, high], [row, row], color=BLUE if task.n_mixes else GREY, linewidth=1.5)
        face = BLUE if task.n_mixes else "white"
        axes.plot(task.added.points, row, "o", markersize=5, color=BLUE, markerfacecolor=face)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)


def _caption(of_score: Effects) -> str:
    sure = [task for task in of_score.tasks if surely(task.added)]
    helps = [f"{t.task} ({signed(t.added.points)})" for t in sure if t.added.points > 0]
    hurts = [f"{t.task} ({signed(t.added.points)})" for t in sure if t.added.points < 0]
    said = f"Surely above zero on the score: {listed(helps) or 'none'}; below: {listed(hurts) or 'none'}"
    never = [task.task for task in of_score.tasks if not task.n_mixes]
    unseen = f"; {listed(never)} was in no mix (hollow)" if never else ""
    return (
        f"{said}{unseen}. Score of a mix with the task minus that without it, mean over mixes, by a "
        f"Bayesian regression on what {of_score.n_mixes} mixes scored at {of_score.n_observations} "
        "finished rungs, the control's among them; 95 % intervals are of this study's search examples "
        "and one seed, and not corrected for their number."
    )


def surely(effect: Effect) -> bool:
    """Whether the interval lies on one side of zero."""
    low, high = effect.interval
    return low > 0 or high < 0
