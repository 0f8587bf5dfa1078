"""How figures look, and how one becomes SVG inside a page.

Colours are Okabe and Ito's, told apart by colour-blind readers and in grey print (shapes and labels
say the same). Text is drawn as outlines, so that a figure looks the same on every machine.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

INK, GREY, PALE = "#1d2733", "#66707a", "#d4d9de"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    *("#0072B2", "#E69F00", "#009E73"),
    *("#D55E00", "#CC79A7", "#56B4E9"),
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY)
WIDTH_IN = 8.2

# Matplotlib can give each point of an SVG a link; this one is none and becomes the point's title.
_SAYS = "says:"
_SAYING = r'<g class="point"><title>\1</title>\2</g>'

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9ecef",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "path",
    "svg.hashsalt": "interlude",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: of the figure, unique in the page.
        title: what it shows.
        caption: what it says, one sentence.
        svg: the drawing; empty where there is not enough to draw.
        instead: why there is no drawing.
    """

    name: str
    title: str
    caption: str
    svg: str = ""
    instead: str = ""

    def again(self, number: int) -> Picture:
        """The same figure of another arm, with ids of its own; the first keeps its name."""
        if number == 1:
            return self
        name = f"{self.name}-{number}"
        svg = re.sub(rf'((?:id="|href="#|url\(#)){re.escape(self.name)}-', rf"\g<1>{name}-", self.svg)
        return replace(self, name=name, svg=svg)


def draw(name: str, height_in: float, paint: Callable[[Figure], None]) -> str:
    """What ``paint`` draws, as an SVG element that can stand in a page with others."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        paint(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    return _inline(out.getvalue(), name)


def save(path: Path, height_in: float, paint: Callable[[Figure], None]) -> None:
    """Write what ``paint`` draws, as the file's suffix says."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        paint(figure)
        figure.savefig(path, dpi=150)


def _inline(svg: str, name: str) -> str:
    """Without XML head and fixed size, and with ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(rf'<a xlink:href="{_SAYS}([^"]*)"[^>]*>(.*?)</a>', _SAYING, svg, flags=re.DOTALL)
    return re.sub(r"url\(#", f"url(#{name}-", svg)


def explain(points: PathCollection, labels: Sequence[str]) -> None:
    """Let each of ``points`` say its label when the mouse rests on it, in order."""
    points.set_urls([_SAYS + label for label in labels])


def label_right(axes: Axes, y: float, text: str, colour: str) -> None:
    """A label just outside the right edge, at height ``y`` of the data."""
    axes.annotate(
        text,
        (1.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        fontsize=9,
    )
