"""The figure of gains over the control, by language and by task."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.answer import Answer, Arm
from experiments.drawing import GREY, INK, SERIES, Picture, draw
from experiments.load import Study
from experiments.wording import language_name, listed
from scheduler.asked import low_resource_of

_MARKERS = "osD^vP"
_MOST_ARMS = 4  # more would lie on each other


def gains_over_control(study: Study, answer: Answer) -> Picture:
    """Difference to k = 0 per language and per target task, with intervals."""
    name, title = "gains", "Gain over no intermediate task, by language and by target task"
    arms = [arm for arm in answer.arms if arm.gains][:_MOST_ARMS]
    if not arms:
        return Picture(
            name, title, "", instead="There are no two arms with per-example records to compare yet."
        )
    languages = _sorted_keys(arms[0], "language ")
    tasks = _sorted_keys(arms[0], "task ")
    poor = low_resource_of(study.spec)

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1), sharex=True)
        names = [language_name(code, study.spec.world) for code in languages]
        _rows(left, arms, [f"language {code}" for code in languages], names)
        for label, code in zip(left.get_yticklabels(), languages, strict=True):
            label.set_fontweight("bold" if code in poor else "normal")
            label.set_color(INK if code in poor else GREY)
        _rows(right, arms, [f"task {task}" for task in tasks], tasks)
        left.set_title("language")
        right.set_title("target task")
        for axes in (left, right):
            axes.set_xlabel("gain over k = 0, points")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(arms))

    height = 1.4 + 0.125 * (1 + len(arms)) * max(len(languages), len(tasks))
    return Picture(
        name,
        title,
        _caption(arms, languages, poor, answer.final, study.spec.world),
        draw(name, min(height, 9), paint),
    )


def _sorted_keys(arm: Arm, prefix: str) -> list[str]:
    """Names of one kind of functional, the greatest gain of the best finalist last (drawn on top)."""
    keys = [key for key in arm.gains if key.startswith(prefix)]
    keys.sort(key=lambda key: arm.gains[key].value)
    return [key.removeprefix(prefix) for key in keys]


def _rows(axes: Axes, arms: Sequence[Arm], keys: Sequence[str], names: Sequence[str]) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    step = 0.62 / max(1, len(arms))
    for place, arm in enumerate(arms):
        offset = step * ((len(arms) - 1) / 2 - place)
        gains = [arm.gains[key] for key in keys]
        axes.errorbar(
            [gain.value for gain in gains],
            [row + offset for row in range(len(keys))],
            xerr=[
                [max(0.0, gain.value - gain.low) for gain in gains],
                [max(0.0, gain.high - gain.value) for gain in gains],
            ],
            fmt=_MARKERS[place % len(_MARKERS)],
            color=SERIES[place % len(SERIES)],
            markersize=5,
            linewidth=1.5,
            label=f"{arm.trial.name}, k = {arm.trial.recipe.mix.count}",
        )
    axes.set_yticks(range(len(keys)), names)
    axes.set_ylim(-0.6, len(keys) - 0.4)
    axes.grid(visible=False, axis="y")


def _where(codes: Sequence[str], n_languages: int, world: str) -> str:
    if len(codes) == n_languages:
        return "every language"
    return listed([language_name(code, world) for code in codes]) or "no language"


def _caption(
    arms: Sequence[Arm], languages: Sequence[str], poor: frozenset[str], final: bool, world: str
) -> str:
    best = arms[0]
    sure = [code for code in reversed(languages) if best.gains[f"language {code}"].low > 0]
    n_poor = sum(code in poor for code in languages)
    lost = [code for code in languages if best.gains[f"language {code}"].high < 0]
    said = (
        f"The 95 % interval of {best.trial.name} is above zero in {_where(sure, len(languages), world)}"
    )
    said += f" and below zero in {_where(lost, len(languages), world)}" if lost else ""
    if n_poor == len(languages):
        marked = "all languages are low-resource"
    else:
        marked = f"low-resource languages are bold ({n_poor} of {len(languages)})"
    whose = "report examples" if final else "search examples, one seed"
    return f"{said}; intervals are paired, on {whose}, not corrected for their number; {marked}."
