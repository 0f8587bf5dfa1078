"""Where a study keeps its things, and what of its spec may change once it has begun.

    <store>/<name>/journal.db     the truth (or where ``journal:`` says)
    <store>/accounts.db           accounts that studies share (or the journals' PostgreSQL database)
    <store>/stages/               checkpoints by fingerprint, shared by the studies of a store
    <store>/mlflow.db             the view, when ``tracking.mlflow`` is a relative SQLite path

A job submitted to Ray runs in a copy of the working directory that is deleted after it: there a
relative store is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from scheduler.errors import NoRunError, StudyError

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

_RAY_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by Ray in the process of a submitted job
_SQLITE = "sqlite:///"
POSTGRESQL = "postgresql+psycopg://"
_MAY_CHANGE = (
    "store",
    "journal",
    "tracking",
    "data.path",
    "question",
    "budget.gpu_hours",
)  # places and words


def store_url(spec: StudySpec) -> str:
    """The store as an absolute path, or the URL it is.

    Raises:
        StudyError: the path is relative and this is a submitted Ray job.
    """
    if "://" in spec.store:
        return spec.store.rstrip("/")
    path = Path(spec.store).expanduser()
    if not path.is_absolute() and os.environ.get(_RAY_JOB):
        raise StudyError(
            f"store {spec.store!r} is relative to {Path.cwd()}, a copy of the working directory that "
            "Ray deletes after the job: journal and checkpoints would be lost. Submit with "
            "`interlude run SPEC --store /absolute/path` on a disk that outlives the job"
        )
    return str(path.absolute())


def run_folder(spec: StudySpec) -> Path:
    """The study's local folder: journal and report. For a store at a URL, ``runs/<name>`` here."""
    store = store_url(spec)
    return (Path("runs").absolute() if "://" in store else Path(store)) / spec.name


def journal_url(spec: StudySpec) -> str:
    """The database of the study's journal."""
    if spec.journal is None:
        return f"{_SQLITE}{run_folder(spec) / 'journal.db'}"
    return _inside(spec.journal, run_folder(spec))


def accounts_url(spec: StudySpec) -> str:
    """The database of the accounts that the study may draw on."""
    if spec.journal is not None and spec.journal.startswith(POSTGRESQL):
        return spec.journal
    return accounts_in(str(run_folder(spec).parent))


def accounts_in(place: str) -> str:
    """The database of accounts of a store, or the PostgreSQL database that ``place`` is."""
    if place.startswith(POSTGRESQL):
        return place
    store = Path("runs") if "://" in place else Path(place).expanduser()
    return f"{_SQLITE}{store.absolute() / 'accounts.db'}"


def tracking_url(spec: StudySpec) -> str | None:
    """The database or server of MLflow, None when tracking is off."""
    if spec.tracking.mlflow is None:
        return None
    return _inside(spec.tracking.mlflow, run_folder(spec).parent)


def tracked_in(begun: Mapping[str, object], store: Path) -> str:
    """The database or server of MLflow of a begun study whose local store is now at ``store``.

    Raises:
        NoRunError: the study was not tracked.
    """
    tracking = begun.get("tracking")
    url = tracking.get("mlflow") if isinstance(tracking, Mapping) else None
    if not isinstance(url, str):
        raise NoRunError(
            f"{begun.get('name')} was not shown in MLflow: tracking.mlflow of its spec is null. Set it, "
            "for instance to sqlite:///mlflow.db, and run the same command again: what is missing is "
            "shown from the journal, and nothing is run twice"
        )
    return _inside(url, store)


def _inside(url: str, folder: Path) -> str:
    """``url`` with a relative SQLite path taken inside ``folder``."""
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or path.startswith("/"):
        return url
    return f"{_SQLITE}{folder / path}"


def changed(begun: Mapping[str, object], spec: StudySpec) -> list[str]:
    """What in ``spec`` differs from the spec a run was begun with and would change its meaning.

    Places may move and words may be mended. The cap may change too: the ledger has the last word on
    how far down (``budgets.ledger.Closed``).

    Args:
        begun: the spec as ``StudyBegun`` holds it.
        spec: as it is now.

    Returns:
        One line per key: dotted path, old and new value. Empty when the run may go on.
    """
    old, new = unchanging(_completed(begun, spec)), unchanging(spec.model_dump(mode="json"))
    return [
        f"{path}: was {_shown(old.get(path))}, is {_shown(new.get(path))}"
        for path in dict.fromkeys([*old, *new])
        if old.get(path) != new.get(path)
    ]


def _completed(begun: Mapping[str, object], spec: StudySpec) -> Mapping[str, object]:
    """A begun spec with the defaults of keys that are younger than the run."""
    try:
        return type(spec).model_validate(begun).model_dump(mode="json")
    except ValidationError:
        return begun  # it has keys or values that are no longer known: they show as changes


def unchanging(spec_json: Mapping[str, object]) -> dict[str, object]:
    """Dotted paths and values of all that stays as it is once a study has begun."""
    return {path: value for path, value in _flat(spec_json) if not _may_change(path)}


def _may_change(path: str) -> bool:
    return any(path == free or path.startswith(f"{free}.") for free in _MAY_CHANGE)


def _shown(value: object) -> str:
    return "not there" if value is None else repr(value)


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted paths and leaf values; a list is a leaf."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
