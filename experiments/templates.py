"""The report's templates, and how numbers are written in them."""

from __future__ import annotations

import jinja2

from budgets.amount import DeviceTime
from experiments import wording


def template(name: str) -> jinja2.Template:
    """A template of this folder; only HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("experiments", "."),
        autoescape=".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
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
        shares=wording.shares_of,
        unbroken=wording.unbroken,
    )
    return environment.get_template(name)
