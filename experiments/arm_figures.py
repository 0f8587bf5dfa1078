"""The figures that compare arms: each arm's gain, contrasts between them, gain against model size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.answer import SCORE
from experiments.arms import ArmFindings, label, weights_of
from experiments.contrast_words import contrast_words
from experiments.contrasts import EXPLORATORY, Contrast
from experiments.drawing import BLUE, GREY, INK, ORANGE, SERIES, Picture, draw
from experiments.stats import Interval
from experiments.wording import span_of, tokens
from scheduler.arms import arm_names
from scheduler.trial import Arm

_MARKERS = "osD^vP"
_WRAP = 46  # letters of a contrast's name on one line


def gain_by_arm(findings: Sequence[ArmFindings]) -> Picture:
    """The gain of each arm's best mix over its own control, against model size where sizes differ."""
    name, title = "arms", "Gain of the best mix over no intermediate task, by arm"
    arms = [one.arm for one in findings]
    gains = dict(_gains(findings))
    if not gains:
        return Picture(name, title, "", instead="No arm has a mix and a control with records yet.")
    sized = len({weights_of(arm) for arm in gains} - {None}) > 1

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _against_size(axes, gains) if sized else _rows(axes, gains, arms)

    height = 3.4 if sized else 0.9 + 0.36 * len(gains)
    what = "Against the number of the encoder's weights" if sized else "Points"
    most = max(gains, key=lambda arm: gains[arm].value)
    caption = (
        f"{what}, with 95 % intervals that are not corrected for their number; the largest gain is "
        f"{span_of(gains[most])} ({label(most, arms)})."
    )
    return Picture(name, title, caption, draw(name, height, paint))


def _gains(findings: Sequence[ArmFindings]) -> Iterator[tuple[Arm, Interval]]:
    for one in findings:
        best = one.answer.best
        if best is not None and SCORE in best.gains:
            yield one.arm, best.gains[SCORE]


def _rows(axes: Axes, gains: dict[Arm, Interval], arms: Sequence[Arm]) -> None:
    axes.axvline(0, color=INK, linewidth=1)
    for row, gain in enumerate(reversed(gains.values())):
        axes.plot([gain.low, gain.high], [row, row], color=BLUE, linewidth=1.6)
        axes.plot(gain.value, row, "o", color=BLUE, markersize=6)
    axes.set_yticks(range(len(gains)), [label(arm, arms) for arm in reversed(gains)])
    axes.set_ylim(-0.6, len(gains) - 0.4)
    axes.set_xlabel("gain over k = 0, points")
    axes.grid(visible=False, axis="y")


def _against_size(axes: Axes, gains: dict[Arm, Interval]) -> None:
    """One line for each combination of the other factors, least squares on log2 of the weights."""
    axes.axhline(0, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
    series: dict[tuple[str, str], list[tuple[float, Interval]]] = {}
    for arm, gain in gains.items():
        if size := weights_of(arm):
            series.setdefault((arm.tuning, arm.languages), []).append((math.log2(size), gain))
    names = list(arm_names([Arm("", tuning, languages) for tuning, languages in series]).values())
    for place, points in enumerate(series.values()):
        colour, shift = SERIES[place % len(SERIES)], 0.02 * (place - (len(series) - 1) / 2)
        xs = [x + shift for x, _ in points]
        ys = [gain.value for _, gain in points]
        ends = [[g.value - g.low for _, g in points], [g.high - g.value for _, g in points]]
        spread = sum((x - fmean(xs)) ** 2 for x in xs)
        if spread:
            slope = sum((x - fmean(xs)) * y for x, y in zip(xs, ys, strict=True)) / spread
            line = [fmean(ys) + slope * (x - fmean(xs)) for x in (min(xs), max(xs))]
            axes.plot((min(xs), max(xs)), line, color=colour, linewidth=1.2, alpha=0.7)
        marker = _MARKERS[place % len(_MARKERS)]
        axes.errorbar(xs, ys, yerr=ends, fmt=marker, color=colour, markersize=6, label=names[place])
    sizes = sorted({size for arm in gains if (size := weights_of(arm))})
    axes.set_xticks([math.log2(size) for size in sizes], [tokens(_rounded(size)) for size in sizes])
    axes.set_xlabel("weights of the encoder (log scale)")
    axes.set_ylabel("gain over k = 0, points")
    axes.margins(x=0.12)
    if len(series) > 1:
        axes.figure.legend(loc="outside upper left", ncols=5)


def _rounded(size: int) -> int:
    """Three digits are enough for a tick."""
    return int(float(f"{size:.3g}"))


def contrast_forest(contrasts: Sequence[Contrast]) -> Picture:
    """Every contrast with its interval; those registered filled, exploratory ones hollow."""
    name, title = "contrasts", "Contrasts, points"
    told = [(c, c.estimate) for c in contrasts if c.estimate is not None and c.asked.unit == "points"]
    if not told:
        why = contrasts[0].why_not if contrasts else "nothing was to be compared"
        return Picture(name, title, "", instead=f"No contrast can be computed: {why}.")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for row, (one, estimate) in enumerate(reversed(told)):
            registered = one.kind != EXPLORATORY
            colour = ORANGE if registered else BLUE
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=1.6)
            face = colour if registered else "white"
            axes.plot(estimate.value, row, "o", color=colour, markerfacecolor=face, markersize=6)
            if one.asked.margin:
                ends = [-one.asked.margin, one.asked.margin]
                axes.plot(ends, [row, row], "|", color=GREY, markersize=13, markeredgewidth=1.5)
        names = [_wrapped(contrast_words(one.asked)) for one, _ in reversed(told)]
        axes.set_yticks(range(len(told)), names)
        axes.set_ylim(-0.6, len(told) - 0.4)
        axes.set_xlabel("points (slope: points per doubling)")
        axes.grid(visible=False, axis="y")

    caption = (
        "Registered contrasts are filled, exploratory ones hollow; intervals of 95 %, not corrected for "
        "their number; grey bars are the margins within which a difference counts as none."
    )
    return Picture(name, title, caption, draw(name, 0.9 + 0.42 * len(told), paint))


def _wrapped(words: str) -> str:
    """Broken after the colon, where a name is long."""
    return words.replace(": ", ":\n", 1) if len(words) > _WRAP else words
