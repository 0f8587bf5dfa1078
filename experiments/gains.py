"""The figure of gains over the control, by language and by task."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.answer import Answer, Contender
from experiments.drawing import GREY, INK, SERIES, Picture, draw
from experiments.load import Study
from experiments.wording import language_name, listed
from scheduler.asked import low_resource_of

_MARKERS = "osD^vP"
_MOST_ARMS = 4  # more would lie on each other


def gains_over_control(study: Study, answer: Answer) -> Picture:
    """Difference to k = 0 per language and per target task, with intervals."""
    name, title = "gains", "Gain over no intermediate task, by language and by target task"
    contenders = [one for one in answer.contenders if one.gains][:_MOST_ARMS]
    if not contenders:
        return Picture(
            name,
            title,
            "",
            instead="There are no two mixes with per-example records to compare yet.",
        )
    languages = _sorted_keys(contenders[0], "language ")
    tasks = _sorted_keys(contenders[0], "task ")
    poor = low_resource_of(study.spec)

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1), sharex=True)
        names = [language_name(code, study.spec.world) for code in languages]
        _rows(left, contenders, [f"language {code}" for code in languages], names)
        for label, code in zip(left.get_yticklabels(), languages, strict=True):
            label.set_fontweight("bold" if code in poor else "normal")
            label.set_color(INK if code in poor else GREY)
        _rows(right, contenders, [f"task {task}" for task in tasks], tasks)
        left.set_title("language")
        right.set_title("target task")
        for axes in (left, right):
            axes.set_xlabel("gain over k = 0, points")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(contenders))

    height = 1.4 + 0.125 * (1 + len(contenders)) * max(len(languages), len(tasks))
    return Picture(
        name,
        title,
        _caption(contenders, languages, poor, answer.final, study.spec.world),
        draw(name, min(height, 9), paint),
    )


def _sorted_keys(one: Contender, prefix: str) -> list[str]:
    """Names of one kind of functional, the greatest gain of the best finalist last (drawn on top)."""
    keys = [key for key in one.gains if key.startswith(prefix)]
    keys.sort(key=lambda key: one.gains[key].value)
    return [key.removeprefix(prefix) for key in keys]


def _rows(
    axes: Axes, contenders: Sequence[Contender], keys: Sequence[str], names: Sequence[str]
) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    step = 0.62 / max(1, len(contenders))
    for place, one in enumerate(contenders):
        offset = step * ((len(contenders) - 1) / 2 - place)
        gains = [one.gains[key] for key in keys]
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
            label=f"{one.trial.name}, k = {one.trial.recipe.mix.count}",
        )
    axes.set_yticks(range(len(keys)), names)
    axes.set_ylim(-0.6, len(keys) - 0.4)
    axes.grid(visible=False, axis="y")


def _where(codes: Sequence[str], n_languages: int, world: str) -> str:
    if len(codes) == n_languages:
        return "every language"
    return listed([language_name(code, world) for code in codes]) or "no language"


def _caption(
    contenders: Sequence[Contender],
    languages: Sequence[str],
    poor: frozenset[str],
    final: bool,
    world: str,
) -> str:
    best = contenders[0]
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
