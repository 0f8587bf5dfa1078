"""How many tasks at each compute: the figure of the response surface, and it as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.drawing import INK, SERIES, Picture, draw
from experiments.surface import At
from experiments.wording import counts_of, listed, tokens

_MARKERS = "osD^vP"


def best_count(surface: Sequence[At], name: str = "surface") -> Picture:
    """Expected gain against k for each length of training, and the chance that k tasks are best."""
    title = "How many tasks, at each length of training"
    if not surface:
        return Picture(name, title, "", instead="No mix and control have been scored yet.")

    def paint(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        _gains(left, surface)
        _chances(right, surface)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(surface))

    return Picture(name, title, _caption(surface), draw(name, 3.3, paint))


def _gains(axes: Axes, surface: Sequence[At]) -> None:
    axes.axhline(0, color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
    for place, at in enumerate(surface):
        colour = SERIES[place % len(SERIES)]
        ks = list(at.gain)
        mean, low, high = zip(*at.gain.values(), strict=True)
        axes.fill_between(ks, low, high, color=colour, alpha=0.13, linewidth=0)
        label = f"{tokens(at.tokens)} tokens"
        marker = _MARKERS[place % len(_MARKERS)]
        axes.plot(ks, mean, color=colour, marker=marker, markersize=5, linewidth=1.6, label=label)
    axes.set_xlabel("intermediate tasks, k")
    axes.set_ylabel("gain of a mix over k = 0, points")
    axes.set_title("mean over mixes of k tasks")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _chances(axes: Axes, surface: Sequence[At]) -> None:
    counts = list(surface[0].best)
    chances = [[at.best[k] for k in counts] for at in surface]
    axes.imshow(chances, cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="lower")
    for row, of_row in enumerate(chances):
        for column, chance in enumerate(of_row):
            colour = "white" if chance > 0.55 else INK
            text = f"{100 * chance:.0f}" if chance >= 0.005 else ""
            axes.annotate(text, (column, row), ha="center", va="center", fontsize=8.5, color=colour)
    axes.set_xticks(range(len(counts)), [str(k) for k in counts])
    axes.set_yticks(range(len(surface)), [tokens(at.tokens) for at in surface])
    axes.set_xlabel("intermediate tasks, k")
    axes.set_ylabel("tokens")
    axes.set_title("chance that the best mix has k, %")
    axes.grid(visible=False)


def _caption(surface: Sequence[At]) -> str:
    said = [
        f"{at.best_count} at {tokens(at.tokens)} tokens (95 %: {counts_of(at.credible)})"
        for at in surface
    ]
    return (
        f"The likeliest best number of tasks is {listed(said)}. By the regression of the task effects "
        "on this study's search examples; left, bands are 95 % intervals and the dashed line the "
        "control; right, the best of all subsets of k tasks, k = 0 being none at all."
    )


def surface_json(surface: Sequence[At]) -> list[dict[str, object]]:
    """The response surface, a row per rung."""
    return [
        {
            "tokens": at.tokens,
            "best_k": at.best_count,
            "credible_k": list(at.credible),
            "by_k": [
                {
                    "k": k,
                    "gain": None if k not in at.gain else _ends(at.gain[k]),
                    "chance_best": chance,
                }
                for k, chance in at.best.items()
            ],
        }
        for at in surface
    ]


def _ends(gain: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), gain, strict=True))
