"""The figure of where every device-hour went, and when."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from experiments.drawing import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, RED, SKY, Picture, draw
from experiments.load import Study
from experiments.sharing import without_sharing
from experiments.wording import hours

_COLOURS = {
    Purpose.LOAD: SKY,
    Purpose.TRAIN: BLUE,
    Purpose.EVALUATE: GREEN,
    Purpose.SAVE: PURPLE,
    Purpose.IDLE: ORANGE,
    Purpose.LOST: RED,
}
_WORKS = (
    *("pretrain", "intermediate", "merge", "target"),
    *("evaluate (search)", "evaluate (report)", "no stage"),
)


def by_work(study: Study) -> dict[str, dict[Purpose, DeviceTime]]:
    """Device time charged by kind of stage and purpose; kinds that cost nothing are absent."""
    sums: dict[str, dict[Purpose, DeviceTime]] = {}
    for work in _WORKS:
        for charge in study.charges:
            if charge.work == work and charge.amount:
                of_work = sums.setdefault(work, {})
                of_work[charge.purpose] = of_work.get(charge.purpose, DeviceTime(0)) + charge.amount
    return sums


def spending(study: Study) -> Picture:
    """Bars by kind of stage and purpose, and the burn-down of the cap."""
    name, title = "spending", f"{study.unit} by stage and purpose, and over time"
    sums = by_work(study)
    if not sums:
        return Picture(name, title, "", instead="Nothing has been charged yet.")

    def paint(figure: Figure) -> None:
        left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1), squeeze=False)[0]
        _bars(left.subplots(), study, sums)
        _burn_down(right.subplots(), study)
        left.legend(loc="outside lower center", ncols=6, columnspacing=0.9, handlelength=1.1)
        right.legend(loc="outside lower center", ncols=4, columnspacing=0.9, handlelength=1.1)

    useful = sum(
        amount.ms
        for of_work in sums.values()
        for purpose, amount in of_work.items()
        if purpose in (Purpose.TRAIN, Purpose.EVALUATE)
    )
    share = 100 * useful / study.balance.spent.ms
    caption = (
        f"Of {hours(study.balance.spent)} {study.unit} charged, {share:.1f} % were training or "
        f"evaluation; without sharing stages the same trials would have cost "
        f"{hours(without_sharing(study))}. On the right the cap of {hours(study.balance.cap)} "
        f"{study.unit} over the study's wall-clock time."
    )
    return Picture(name, title, caption, draw(name, 3.2, paint))


def _bars(axes: Axes, study: Study, sums: dict[str, dict[Purpose, DeviceTime]]) -> None:
    works = list(reversed(sums))
    left = [0.0] * len(works)
    for purpose in Purpose:
        widths = [sums[work].get(purpose, DeviceTime(0)).hours for work in works]
        if any(widths):
            axes.barh(works, widths, left=left, color=_COLOURS[purpose], label=purpose, height=0.62)
            left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, work in enumerate(works):
        total = DeviceTime.total(sums[work].values())
        axes.annotate(
            hours(total), (left[row], row), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.set_xlabel(f"charged, {study.unit}")
    axes.set_title("by stage and purpose")
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")


def _burn_down(axes: Axes, study: Study) -> None:
    moments = study.timeline
    long = moments[-1].hours >= 1
    times = [moment.hours * (1 if long else 60) for moment in moments]
    stack = [
        [moment.spent.hours for moment in moments],
        [moment.held.hours for moment in moments],
        [moment.free.hours for moment in moments],
    ]
    colours = (BLUE, ORANGE, PALE)
    axes.stackplot(
        times, *stack, colors=colours, labels=("spent", "held", "free"), step="post", linewidth=0
    )
    axes.step(times, [m.cap.hours for m in moments], where="post", color=INK, linewidth=1.3, label="cap")
    if times[-1] > times[0]:
        axes.set_xlim(times[0], times[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"wall-clock {'hours' if long else 'minutes'} since the study began")
    axes.set_ylabel(study.unit)
    axes.set_title("spent, held and free")
