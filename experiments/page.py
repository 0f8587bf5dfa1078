"""The report as one HTML page: no external file, no script, fit for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jinja2

from budgets.amount import DeviceTime
from experiments import wording
from experiments.answer import Answer
from experiments.best_count import best_count
from experiments.drawing import Picture
from experiments.figures import pareto, rung_against_rung, score_by_count
from experiments.gains import gains_over_control
from experiments.load import Study
from experiments.spending import spending
from experiments.surface import surface_of
from experiments.trials import Standing
from experiments.worth import task_effects
from scheduler.effects import effects_of


def pictures(study: Study, answer: Answer, found: Sequence[Standing]) -> list[Picture]:
    """The figures, in the order of the page."""
    return [
        gains_over_control(study, answer),
        best_count(surface_of(study)),
        score_by_count(study, found),
        pareto(study, found),
        spending(study),
        rung_against_rung(study),
        task_effects(effects_of(study.state, study.spec)),
    ]


def render(
    study: Study, answer: Answer, found: Sequence[Standing], summary: Mapping[str, object]
) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("experiments", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        hours=lambda ms: wording.hours(DeviceTime(ms)),
        points=wording.points,
        plain=wording.plain,
        signed=wording.signed,
        tokens=wording.tokens,
        p=wording.p_value,
        listed=wording.listed,
        counts=wording.counts_of,
        unbroken=wording.unbroken,
    )
    figures = {picture.name: picture for picture in pictures(study, answer, found)}
    return environment.get_template("report.html.j2").render(r=summary, figures=figures)
