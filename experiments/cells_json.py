"""The cells of a study as plain JSON, for programs."""

from __future__ import annotations

from scheduler.cells import Cell, CellList, Count, Target, Training

Json = dict[str, object]


def to_json(found: CellList) -> Json:
    """All that was found; ``missing`` has every language asked for that is no cell, with the reason."""
    spec = found.spec
    return {
        "study": spec.name,
        "benchmark": spec.target.benchmark,
        "source": spec.data.source,
        "languages": list(found.languages),
        "low_resource": [code for code in found.languages if code in found.low_resource],
        "cells": [_cell(found, target, cell) for target in found.targets for cell in target.scored],
        "missing": [
            {"task": target.task.name, "language": cell.language, "why": cell.why, "files": cell.places}
            for target in found.targets
            for cell in target.cells
            if cell.why is not None
        ],
        "training": [_training(one) for one in found.training],
        "unpinned": {repo: list(tasks) for repo, tasks in found.unpinned.items()},
        "without_what_is_missing": found.paste,
    }


def _cell(found: CellList, target: Target, cell: Cell) -> Json:
    task = target.task
    return {
        "task": task.name,
        "language": cell.language,
        "metric": str(task.metric),
        "group": task.group,
        "low_resource": cell.language in found.low_resource,
        "halves_of_one_split": task.halved(cell.language),
        "search": _scored(target, cell.search),
        "report": _scored(target, cell.report),
    }


def _scored(target: Target, count: Count | None) -> Json | None:
    if count is None:
        return None
    return {"examples": count.n, "exact": count.exact, "half_width": target.half_width(count)}


def _training(one: Training) -> Json:
    return {
        "task": one.task.name,
        "role": one.role,
        "languages": list(one.languages),
        "rows": one.rows.n,
        "files_missing": list(one.places),
    }
