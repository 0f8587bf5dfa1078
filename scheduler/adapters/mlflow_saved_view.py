"""The view of a study that MLflow's page opens with: trials, the best first, columns that matter first.

MLflow keeps such views as tags of the experiment and offers them under *Views*; an address that ends in
``?viewStateShareKey=<key>`` opens one. Charts get device-hours as their axis: every score is logged at a
step at which its run has its hours too.
"""

from __future__ import annotations

import json

VIEW = "interlude"  # the key of the view
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
_NAME = "Scores and hours"


def saved_view(hours: str, at_ms: int) -> str:
    """The value of :data:`VIEW_TAG`.

    Args:
        hours: name of the metric in device-hours.
        at_ms: when, Unix time.
    """
    columns = [
        *(_column("metrics", name) for name in ("score", hours)),
        *(_column("params", name) for name in ("k", "tasks")),
        *(_column("tags", name) for name in ("role", "state", "rung")),
        *(_column("params", name) for name in ("model", "tuning", "languages", "seed")),
    ]
    state = {
        "selectedColumns": columns,
        "columnOrder": columns,
        "searchFilter": "tags.`role` LIKE '%'",  # trials: neither the study nor stages have a role
        "orderByKey": columns[0],
        "orderByAsc": False,
        "globalLineChartConfig": {
            "xAxisKey": "metric",
            "selectedXAxisMetricKey": hours,
            "lineSmoothness": 0,
        },
    }
    envelope = {"name": _NAME, "createdAt": at_ms, "updatedAt": at_ms, "state": json.dumps(state)}
    return json.dumps(envelope)


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"
