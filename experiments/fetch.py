"""``interlude fetch``: all that a spec reads, as a mirror for machines without internet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from experiments.wanted import File, Model, check_published, copy_of, files_wanted, models_wanted, own_of
from scheduler.spec import StudySpec, load
from scheduler.spec_parts import DataSpec
from trainers.errors import MirrorError
from trainers.model_files import CONFIG
from trainers.tasks.fetching import Entry, FileState, MirrorWriter, writing

_MB = 1e6
_SHOWN = 10  # files named in a refusal
_REPLACED = (FileState.MISSING, FileState.DAMAGED)


def fetch(spec_file: str, to: str, console: Console) -> None:
    """Write what a spec reads into ``to``; say what was written and what is not a mirror's to hold.

    Raises:
        MissingDataError: data is not pinned, on no hub, or not there.
        ModelError: the model is not pinned, or not there.
        MirrorError: ``to`` cannot be written, or has other files under names that are wanted.
    """
    spec, _ = load(spec_file)
    root = Path(to).expanduser().absolute()
    files, models = ((), ()) if spec.world == "toy" else (files_wanted(spec), models_wanted(spec))
    if not files and not models:
        console.print(_nothing(spec), markup=False, highlight=False)
    else:
        _fetch(files, models, root, console)
        check_published(spec.model_copy(update={"data": DataSpec(source="mirror", path=str(root))}))
    if own := list(own_of(spec)):
        console.print(
            f"Not in the mirror, bring them along (they are yours): {', '.join(own)}", markup=False
        )


def _nothing(spec: StudySpec) -> str:
    if spec.world == "toy":
        return "Nothing to fetch: the toy world is generated and its model starts from random weights."
    return "Nothing to fetch: all that the spec reads are files of your own."


def _fetch(files: tuple[File, ...], models: tuple[Model, ...], root: Path, console: Console) -> None:
    """Write what is missing or damaged, and show the sum."""

    def waiting() -> None:
        console.print(f"Another fetch writes into {root}; waiting for it to end.", markup=False)

    with writing(root, waiting) as mirror:
        states = {file.path: mirror.state(file.path, file.source) for file in files}
        there = {model.folder: _model_states(mirror, model) for model in models}
        for wanted_states in (states, *there.values()):
            _refuse_others(mirror, wanted_states)
        fresh = [file for file in files if states[file.path] in _REPLACED]
        written = _fetch_files(mirror, fresh, console, n_kept=len(files) - len(fresh))
        for model in models:
            if set(there[model.folder].values()) != {FileState.WHOLE}:
                written += _fetch_model(mirror, model, console)
        wanted = {file.path for file in files}
        entries = [
            e for e in mirror.entries() if e.path in wanted or any(model.has(e) for model in models)
        ]
    console.print(_summary(entries, root))
    console.print(
        f"{len(written)} files fetched, {len(entries) - len(written)} were there and are whole."
    )
    console.print(
        f"The spec reads them with data: {{source: mirror, path: {root}}}, without revisions.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _fetch_files(
    mirror: MirrorWriter, files: list[File], console: Console, *, n_kept: int
) -> list[Entry]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    entries = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, _no_bars():
        bar = progress.add_task("", total=n_kept + len(files), completed=n_kept)
        for file in files:
            progress.update(bar, description=file.path)
            entries.append(mirror.add(file.path, file.source, file.fill))
            progress.advance(bar)
            _say(progress.console, entries[-1])
    return entries


def _model_states(mirror: MirrorWriter, model: Model) -> dict[str, FileState]:
    """What is there of the model; its config, written last, says whether anything lacks."""
    paths = [entry.path for entry in mirror.entries() if model.has(entry)]
    return {path: mirror.state(path, model.source) for path in (*paths, f"{model.folder}/{CONFIG}")}


def _fetch_model(mirror: MirrorWriter, model: Model, console: Console) -> list[Entry]:
    console.print(f"The model {model.source}", markup=False, highlight=False)
    files = {f"{model.folder}/{file.name}": file for file in model.files()}
    states = {path: mirror.state(path, model.source) for path in files}
    _refuse_others(mirror, states)
    entries = []
    for path, file in files.items():
        if states[path] in _REPLACED:
            entries.append(mirror.add(path, model.source, copy_of(file)))
            _say(console, entries[-1])
    return entries


def _refuse_others(mirror: MirrorWriter, states: Mapping[str, FileState]) -> None:
    """Leave alone what another spec reads, or what somebody put there.

    Raises:
        MirrorError: there is such a file.
    """
    lines = []
    for path, state in states.items():
        if state is FileState.OTHER:
            lines.append(f"{path}: from {mirror.entry(path).source}")
        elif state is FileState.UNKNOWN:
            lines.append(f"{path}: not in index.tsv, so fetch did not write it")
    if lines:
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise MirrorError(
            f"{len(lines)} files have names that the spec's files need and are not those. Name another "
            f"folder with --to, or move them away:\n  " + "\n  ".join([*lines[:_SHOWN], *more])
        )


def _say(console: Console, entry: Entry) -> None:
    rows = f"{entry.n_rows:,} rows, " if entry.n_rows else ""
    console.print(f"{entry.path}: {rows}{entry.n_bytes / _MB:,.2f} MB", markup=False, highlight=False)


def _summary(entries: list[Entry], root: Path) -> Table:
    table = Table(title=str(root), title_justify="left")
    for heading in ("source", "commit", "files", "rows", "MB"):
        table.add_column(heading, justify="left" if heading in ("source", "commit") else "right")
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.source.partition("@")[0], []).append(entry)
    for name, group in (*groups.items(), ("all", entries)):
        commits = {entry.source.partition("@")[2] for entry in group}
        commit = next(iter(commits))[:12] if len(commits) == 1 else ""
        rows, size = (sum(getattr(entry, key) for entry in group) for key in ("n_rows", "n_bytes"))
        table.add_row(name, commit, str(len(group)), f"{rows:,}" if rows else "", f"{size / _MB:,.2f}")
    return table


@contextmanager
def _no_bars() -> Iterator[None]:
    """No progress bars of the libraries inside ours."""
    import datasets
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    datasets.disable_progress_bars()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
