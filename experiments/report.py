"""The report of a study, from its records alone: one HTML file, and the same in other formats."""

from __future__ import annotations

import json
import os
from pathlib import Path


def report_text(
    run_folder: Path | str, form: str, journal_url: str | None = None, name: str = ""
) -> str:
    """The report as text.

    Args:
        run_folder: ``<store>/<study>``.
        form: ``json`` for all that it says, ``md`` for a findings page, ``latex`` for tables, ``csv``
            for every scored cell.
        journal_url: database of the journal; ``journal.db`` in the folder without it.
        name: of the study; a PostgreSQL database holds many.

    Raises:
        NoRunError: there is no run there.
    """
    from experiments import formats

    folder = Path(run_folder)
    if form == "csv":
        from experiments.load import open_study

        return formats.scores_csv(open_study(folder, journal_url, name))
    summary = report_json(folder, journal_url, name)
    if form == "json":
        return _json(summary)
    return formats.markdown(summary) if form == "md" else formats.latex(summary)


def report_json(
    run_folder: Path | str, journal_url: str | None = None, name: str = ""
) -> dict[str, object]:
    """All that the report says, as plain JSON.

    Args:
        run_folder: ``<store>/<study>``.
        journal_url: database of the journal; ``journal.db`` in the folder without it.
        name: of the study; a PostgreSQL database holds many.

    Raises:
        NoRunError: there is no run there.
    """
    return _report(Path(run_folder), journal_url, name)[0]


def write_report(run_folder: Path | str, journal_url: str | None = None, name: str = "") -> Path:
    """Write ``report.html`` and ``report.json`` into the run's folder; the HTML's path.

    Args:
        run_folder: ``<store>/<study>``.
        journal_url: database of the journal; ``journal.db`` in the folder without it.
        name: of the study; a PostgreSQL database holds many.

    Raises:
        NoRunError: there is no run there.
    """
    folder = Path(run_folder)
    summary, html = _report(folder, journal_url, name, page=True)
    _write(folder / "report.json", _json(summary))
    _write(folder / "report.html", html)
    return folder / "report.html"


def _report(
    folder: Path, journal_url: str | None, name: str, *, page: bool = False
) -> tuple[dict[str, object], str]:
    from experiments.arms import findings_of
    from experiments.contrasts import contrasts_of
    from experiments.load import open_study
    from experiments.summary import summarise

    study = open_study(folder, journal_url, name)
    findings = findings_of(study)
    contrasts = contrasts_of(study, findings)
    summary = summarise(study, findings, contrasts)
    if not page:
        return summary, ""
    from experiments.page import render

    return summary, render(study, findings, contrasts, summary)


def _json(summary: dict[str, object]) -> str:
    return json.dumps(summary, indent=1, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: a reader sees the old report or the new one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
