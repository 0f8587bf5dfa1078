"""The report in other formats: Markdown for a findings page, CSV of all scores, LaTeX tables.

Markdown and LaTeX are made from the report's JSON, as the page is. CSV has a row for each cell of each
evaluation, search and report examples alike, so that anybody can compute what the page says anew.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.load import Study
from experiments.templates import template
from experiments.trials import Standing, standings
from experiments.wording import p_value, points, signed
from trainers.stage import Half

COLUMNS = (
    *("study", "trial", "role", "repeats", "model", "tuning", "languages", "k", "mix", "tokens"),
    *("seed", "examples", "task", "language", "metric", "n_examples", "score", "recipe_device_ms"),
)
_SPECIAL = re.compile(r"[&%$#_{}~^\\]")
_ESCAPES = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}


def markdown(summary: dict[str, Any]) -> str:
    """The findings as Markdown."""
    text = template("report.md.j2").render(r=summary)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def scores_csv(study: Study) -> str:
    """Every scored cell of every trial and rung, the columns being ``COLUMNS``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for half in Half:
        for one in standings(study, half):
            writer.writerows(_rows(study, one))
    return out.getvalue()


def _rows(study: Study, one: Standing) -> Iterator[tuple[object, ...]]:
    trial, recipe = one.trial, one.trial.recipe
    arm, mix = recipe.arm, recipe.mix
    tokens = study.spec.intermediate.rungs[one.rung] if mix.count else 0
    head = (study.spec.name, trial.name, str(trial.role), trial.finalist or "")
    arm_columns = (arm.model, arm.tuning, arm.languages)
    mixed = (mix.count, "+".join(mix.tasks), tokens, recipe.seed, str(one.half))
    for (task, language), cell in sorted(one.cells.items()):
        scored = (task, language, str(cell.metric), cell.n_examples, cell.value, one.alone.ms)
        yield (*head, *arm_columns, *mixed, *scored)


def latex(summary: dict[str, Any]) -> str:
    """Tables for a paper (booktabs): contrasts, arms or finalists, and languages of the leading arm."""
    interim = "% INTERIM: the study has not ended.\n" if summary["interim"] else ""
    head = f"% {summary['study']}, records up to {summary['as_of']}. Needs \\usepackage{{booktabs}}.\n"
    parts = [head + interim]
    if summary["contrasts"]:
        parts.append(_contrasts(summary["contrasts"]))
    parts.append(_contenders(summary["by_arm"] or [summary]))
    parts.append(_languages(summary["cells"], summary["answer"]["best"]))
    return "\n".join(part for part in parts if part)


def _contrasts(contrasts: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            _tex(one["contrast"]),
            _tex(one["claim"]),
            _interval(one["estimate"]),
            "--" if one["adjusted_p"] is None else _p(one["adjusted_p"]),
            "confirmatory" if one["confirmatory"] else "exploratory",
        )
        for one in contrasts
    ]
    return _table("Contrasts, points with 95\\,\\% intervals.", "llrrl", _CONTRAST_HEAD, rows)


_CONTRAST_HEAD = ("contrast", "claim", "estimate", "$p$", "status")


def _contenders(parts: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            _tex(part["arm"]["label"]),
            _tex(" + ".join(one["tasks"]) or "none (control)"),
            str(one["k"]),
            str(len(one["seeds"])),
            points(one["mean_score"]).replace("−", "$-$"),
            _interval(one["gain"]),
        )
        for part in parts
        for one in part["contenders"]
    ]
    head = ("arm", "intermediate tasks", "$k$", "seeds", "score", "gain over $k=0$")
    return _table("Scores and gains, points with 95\\,\\% intervals.", "llrrrr", head, rows)


def _languages(cells: dict[str, Any], best: str | None) -> str:
    tasks = cells["tasks"]
    rows = [
        (
            _tex(row["name"]),
            *(_change(row["control"][task], row["best"][task]) for task in tasks),
            _interval(row["gain"]),
        )
        for row in cells["rows"]
    ]
    caption = f"Control $\\to$ {_tex(best or 'best mix')} by language, points."
    return _table(
        caption, "l" + "r" * (len(tasks) + 1), ("language", *map(_tex, tasks), "mean gain"), rows
    )


def _table(caption: str, columns: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    body = "".join(f"{' & '.join(row)} \\\\\n" for row in rows)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\begin{{tabular}}{{{columns}}}\n"
        f"\\toprule\n{' & '.join(head)} \\\\\n\\midrule\n{body}\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _interval(interval: dict[str, float] | None) -> str:
    if interval is None:
        return "--"
    value, low, high = (signed(interval[key]) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]".replace("−", "$-$").replace("±", "$\\pm$")


def _p(value: float) -> str:
    return p_value(value).removeprefix("= ").replace("<", "$<$")


def _change(control: float | None, best: float | None) -> str:
    if control is None:
        return "--"
    return points(control) if best is None else f"{points(control)} $\\to$ {points(best)}"


def _tex(text: str) -> str:
    """Text with LaTeX's special characters written so that they are shown."""
    return _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], f"\\{found[0]}"), text)
