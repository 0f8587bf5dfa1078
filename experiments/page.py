"""The report as one HTML page: no external file, no script, fit for print.

What moves in it needs none: points of figures say what they are when the mouse rests on them (SVG
titles), and languages are chosen by the style sheet; print has them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.arm_figures import contrast_forest, gain_by_arm
from experiments.arms import ArmFindings
from experiments.best_count import best_count
from experiments.contrasts import Contrast
from experiments.drawing import Picture
from experiments.figures import pareto, rung_against_rung, score_by_count
from experiments.gains import gains_over_control
from experiments.load import Study
from experiments.spending import spending
from experiments.templates import template
from experiments.worth import task_effects


def pictures(one: ArmFindings) -> list[Picture]:
    """The figures of one arm, in the order of the page."""
    return [
        gains_over_control(one.study, one.answer),
        best_count(one.surface),
        score_by_count(one.study, one.found),
        pareto(one.study, one.found),
        rung_against_rung(one.study),
        task_effects(one.effects),
    ]


def render(
    study: Study,
    findings: Sequence[ArmFindings],
    contrasts: Sequence[Contrast],
    summary: Mapping[str, object],
) -> str:
    """The page."""
    figures = [
        {picture.name: picture.again(number) for picture in pictures(one)}
        for number, one in enumerate(findings, start=1)
    ]
    shared = [spending(study), contrast_forest(contrasts), gain_by_arm(findings)]
    return template("report.html.j2").render(
        r=summary, figures_by_arm=figures, figures={picture.name: picture for picture in shared}
    )
