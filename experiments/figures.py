"""The figures of the search: score by number of tasks, Pareto front, rung against rung."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.drawing import BLUE, INK, PALE, RED, SERIES, Picture, draw, explain, label_right
from experiments.load import Study
from experiments.search import best_by_count, control_of, mixes, pareto_front, rung_links
from experiments.trials import Standing, is_control
from experiments.wording import at_rung, hours, mix_name, plain, points, rung_name, tasks_of, tokens

_MARKERS = "osD^vP"


def score_by_count(study: Study, found: Sequence[Standing]) -> Picture:
    """Score against the number of tasks k, a panel per rung, the control as a line."""
    name, title = "score-by-count", "Score against number of intermediate tasks"
    rungs = sorted({one.rung for one in mixes(found)})
    if not rungs:
        return Picture(name, title, "", instead="No mix has been scored yet.")
    control = control_of(found)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(rungs), sharey=True, squeeze=False)[0]
        for axes, rung in zip(panels, rungs, strict=True):
            _count_panel(axes, [one for one in mixes(found) if one.rung == rung], control)
            axes.set_title(f"{tokens(study.spec.intermediate.rungs[rung])} tokens")
            axes.set_xlim(-0.6, study.spec.intermediate.count[1] + 0.6)
            axes.set_xlabel("intermediate tasks, k")
        panels[0].set_ylabel("score, points (search examples)")
        if control is not None:
            label_right(panels[-1], control.score, "k = 0", INK)

    return Picture(name, title, _count_caption(study, found, rungs[-1]), draw(name, 3.1, paint))


def _count_panel(axes: Axes, found: Sequence[Standing], control: Standing | None) -> None:
    counts = sorted({one.trial.recipe.mix.count for one in found})
    by_count = {k: [one for one in found if one.trial.recipe.mix.count == k] for k in counts}
    for k, here in by_count.items():
        scores = [one.score for one in here]
        circles = axes.scatter(
            [k] * len(here), scores, s=26, facecolor="none", edgecolor=BLUE, linewidth=1.1
        )
        explain(circles, [_said(one) for one in here])
    means = [fmean(one.score for one in here) for here in by_count.values()]
    axes.plot(counts, means, color=BLUE, linewidth=1.6, marker="_", markersize=11, markeredgewidth=2.2)
    if control is not None:
        axes.axhline(control.score, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.plot([0], [control.score], marker="s", color=INK, markersize=6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.1)


def _said(one: Standing) -> str:
    return f"{one.trial.name}: {mix_name(one.trial.recipe.mix)}, {points(one.score)} points"


def _count_caption(study: Study, found: Sequence[Standing], rung: int) -> str:
    best = best_by_count(found, rung)
    k = max(best, key=lambda k: best[k].score)
    what = (
        "Circles are mixes, bars and line their mean at each k, the dashed line is the control (k = 0)"
    )
    return (
        f"{what}; at {tokens(study.spec.intermediate.rungs[rung])} tokens the best mix has "
        f"{tasks_of(k)} and {points(best[k].score)} points, one seed each, and higher rungs hold only "
        "the mixes that were promoted."
    )


def pareto(study: Study, found: Sequence[Standing]) -> Picture:
    """Score against what a recipe costs on its own, with the front."""
    name, title = "pareto", f"Score against cost of the recipe, {study.unit}"
    if len(mixes(found)) < 2:
        return Picture(
            name, title, "", instead="Fewer than two mixes have been scored: no trade-off yet."
        )
    front = pareto_front(found)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for rung in sorted({one.rung for one in mixes(found)}):
            here = [one for one in mixes(found) if one.rung == rung]
            shown = axes.scatter(
                [one.alone.hours for one in here],
                [one.score for one in here],
                s=34,
                marker=_MARKERS[rung % len(_MARKERS)],
                color=SERIES[rung % len(SERIES)],
                edgecolor="white",
                linewidth=0.6,
                label=f"{tokens(study.spec.intermediate.rungs[rung])} tokens",
                zorder=3,
            )
            explain(shown, [f"{_said(one)}, {hours(one.alone)} {study.unit}" for one in here])
        control = control_of(found)
        if control is not None:
            axes.scatter(
                control.alone.hours,
                control.score,
                marker="s",
                s=46,
                color=INK,
                label="control, k = 0",
                zorder=3,
            )
        _front_line(axes, front)
        axes.set_xlabel(f"cost of the recipe on its own, {study.unit}")
        axes.set_ylabel("score, points (search examples)")
        axes.margins(x=0.07, y=0.12)
        figure.legend(loc="outside upper left", ncols=5)

    ends = f"from {points(front[0].score)} points at {hours(front[0].alone)} {study.unit} to "
    caption = (
        f"The front (red) runs {ends}{points(front[-1].score)} at {hours(front[-1].alone)}; cost is "
        "all intermediate, target and evaluation stages of a recipe as if it shared none, without "
        "pretraining and without loading, which depends on the worker and the order of stages."
    )
    return Picture(name, title, caption, draw(name, 3.9, paint))


def _front_line(axes: Axes, front: Sequence[Standing]) -> None:
    xs, ys = [one.alone.hours for one in front], [one.score for one in front]
    axes.step(xs, ys, where="post", color=RED, linewidth=1.4, zorder=2)
    axes.scatter(xs, ys, s=95, facecolor="none", edgecolor=RED, linewidth=1.4, zorder=4)
    # Labels of neighbours would lie on each other: a point gets one if the last labelled is far off.
    left, right = axes.get_xlim()
    last = float("-inf")
    for one in reversed(front):
        if abs(one.alone.hours - last) < 0.11 * (right - left):
            continue
        last = one.alone.hours
        text = (
            "k = 0" if is_control(one.trial) else f"{one.trial.name}, k = {one.trial.recipe.mix.count}"
        )
        axes.annotate(
            text,
            *((one.alone.hours, one.score), (0, 9)),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=INK,
            zorder=5,
        )


def rung_against_rung(study: Study) -> Picture:
    """Scores at each rung against the next, with Kendall's tau."""
    name, title = "rungs", "Does a cheaper look foretell a dearer one?"
    links = [link for link in rung_links(study) if len(link.pairs) >= 3]
    if not links:
        most = max((len(link.pairs) for link in rung_links(study)), default=0)
        return Picture(
            name,
            title,
            "",
            instead=f"Mixes scored at two neighbouring rungs: {most}; three are needed.",
        )
    rungs = study.spec.intermediate.rungs

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, max(2, len(links)), squeeze=False)[0]
        for axes in panels[len(links) :]:
            axes.set_axis_off()
        for axes, link in zip(panels, links, strict=False):
            xs, ys = zip(*link.pairs.values(), strict=True)
            axes.axline((xs[0], xs[0]), slope=1, color=PALE, linewidth=1.4, zorder=1)
            shown = axes.scatter(xs, ys, s=34, color=BLUE, edgecolor="white", linewidth=0.6, zorder=3)
            explain(
                shown, [f"{t}: {points(x)} → {points(y)} points" for t, (x, y) in link.pairs.items()]
            )
            axes.set_xlabel(f"score {at_rung(link.lower, rungs)}, points")
            axes.set_ylabel(f"score {at_rung(link.higher, rungs)}, points")
            said = "too few for τ" if link.tau is None else f"τ = {plain(link.tau.value)}"
            axes.set_title(f"{said}, {len(link.pairs)} mixes{link.left_out and f', {link.left_out}'}")
            axes.margins(0.12)
            axes.locator_params(nbins=5)

    said = [
        f"{rung_name(link.lower, rungs)} → {rung_name(link.higher, rungs)}: {plain(link.tau.value)} "
        f"({plain(link.tau.low)} to {plain(link.tau.high)})"
        for link in links
        if link.tau is not None
    ]
    taus = "Too few mixes for Kendall's τ, which needs five with different scores"
    if said:
        taus = f"Kendall's τ with 95 % interval, {'; '.join(said)}"
    caption = (
        f"{taus}; only promoted mixes have a next rung, which tends to lower τ; the grey line is "
        "equality."
    )
    return Picture(name, title, caption, draw(name, 3.1, paint))
