"""The cells of a study on a screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.wording import language_name
from scheduler.cells import CellList, Count, Target, Training, Why
from trainers.tasks.hub import on_no_hub
from trainers.tasks.spec import Split

_SIGNS = {
    Why.NO_DATA: "·",
    Why.NOT_COUNTED: "–",
    Why.SKIPPED: "skip",
    Why.NO_FILE: "none",
    Why.NO_TASK_FILE: "lost",
}
_NOWHERE = {_SIGNS[Why.NO_DATA], _SIGNS[Why.NOT_COUNTED]}
_FILES_SHOWN = 20
_NAMES_FROM = 100  # columns of a screen that has room for the names of languages
_GAP = 2


def show(found: CellList, console: Console) -> None:
    """Print a line per task, a table of languages by tasks, training data, and what is missing."""
    spec = found.spec
    n_cells = sum(len(target.scored) for target in found.targets)
    _say(
        console,
        f"{spec.name}: {n_cells} cells of {len(found.targets)} tasks in {len(spec.languages)} "
        f"languages, each with a search and a report part that share no example.",
    )
    console.print(_by_task(found))
    for line in _halves(found.targets):
        _say(console, line)
    _say(
        console,
        "±: half the width of the 95 % interval of one cell, at most about, in points: "
        "1.96 · 50 / √examples. It holds for proportions and is an approximation for other metrics.",
    )
    for part in _by_language(found, console.width):
        console.print()
        console.print(part)
    for line in _legend(found):
        _say(console, line)
    console.print()
    console.print(_by_training(found.training))
    _missing(found, console)


def _say(console: Console, line: str) -> None:
    console.print(Text(line))


def _by_task(found: CellList) -> Table:
    table = _table("", ("task", "group", "metric"), ("cells", "low", "search", "±", "report", "±"))
    for target in found.targets:
        cells = target.scored
        table.add_row(
            target.task.name,
            target.task.group,
            str(target.task.metric),
            str(len(cells)),
            str(sum(cell.language in found.low_resource for cell in cells)),
            *_ranges(target, [cell.search for cell in cells if cell.search]),
            *_ranges(target, [cell.report for cell in cells if cell.report]),
        )
    return table


def _ranges(target: Target, counts: Sequence[Count]) -> tuple[str, str]:
    """Fewest to most examples of a cell, and the half-widths that go with them."""
    known = sorted((count for count in counts if count.n is not None), key=lambda count: count.n or 0)
    if not known:
        return ("?", "?") if counts else ("", "")
    ends = (known[0], known[-1])
    widths = [target.half_width(end) for end in reversed(ends)]
    sizes = _range([short(end.n) for end in ends])
    unknown = " ?" if len(known) < len(counts) else ""
    return sizes + unknown, _range([_points(width) for width in widths])


def _points(width: float | None) -> str:
    if width is None:
        return "?"
    return f"{width:.1f}" if width < 9.95 else f"{width:.0f}"


def _range(ends: Sequence[str]) -> str:
    return "–".join(dict.fromkeys(ends))


def short(n: int | None) -> str:
    """A count in at most four characters: 487, 2.5K, 12K; ``?`` where it is not known."""
    if n is None:
        return "?"
    if n < 1_000:
        return str(n)
    if n < 9_950:
        return f"{n / 1_000:.1f}K".replace(".0K", "K")
    return f"{n / 1_000:.0f}K" if n < 999_500 else f"{n / 1_000_000:.1f}M"


def _halves(targets: Iterable[Target]) -> Iterator[str]:
    """Which splits the two parts of a cell come from."""
    one, two = [], []
    for target in targets:
        task = target.task
        halved = [cell.language for cell in target.scored if task.halved(cell.language)]
        apart = [cell.language for cell in target.scored if not task.halved(cell.language)]
        if halved:
            where = f" in {', '.join(halved)}" if apart else ""
            one.append(f"{task.name}{where} ({_splits(task.search, halved)})")
        if apart:
            where = f" in {', '.join(apart)}" if halved else ""
            two.append(
                f"{task.name}{where} ({_splits(task.search, apart)}; {_splits(task.report, apart)})"
            )
    if one:
        names = ", ".join(one)
        yield f"Search and report have about half of one split each, by the hash of ids: {names}."
    if two:
        yield f"Search and report have a split each: {', '.join(two)}."


def _splits(splits: Iterable[Split], languages: Sequence[str]) -> str:
    """Names of those that have one of ``languages``."""
    having = (split.name for split in splits if not set(languages).isdisjoint(split.languages))
    return ", ".join(dict.fromkeys(having))


def _by_language(found: CellList, width: int) -> Iterator[Table]:
    """Languages by tasks, low-resource first, in as many tables as the screen is narrow."""
    order = sorted(found.languages, key=lambda code: code not in found.low_resource)
    rows = {code: [_entry(target, code) for target in found.targets] for code in order}
    rows = {code: entries for code, entries in rows.items() if not set(entries) <= _NOWHERE}
    names = {code: _language(found, code, width) for code in rows}
    left = max((len(name) for name in names.values()), default=0)
    wide = [
        _GAP + max(len(target.task.name), *(len(entries[i]) for entries in rows.values()))
        for i, target in enumerate(found.targets)
    ]
    for start, end in _blocks(wide, width - left):
        titles = [target.task.name for target in found.targets[start:end]]
        table = _table("", ("language",), titles)
        for code, entries in rows.items():
            table.add_row(names[code], *entries[start:end])
        yield table


def _blocks(wide: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Columns that fit side by side."""
    start = 0
    for i in range(1, len(wide) + 1):
        if i == len(wide) or sum(wide[start : i + 1]) > room:
            yield start, i
            start = i


def _language(found: CellList, code: str, width: int) -> str:
    low = "*" if code in found.low_resource else ""
    name = language_name(code, found.spec.world) if width >= _NAMES_FROM else code
    return f"{name}{low}"


def _entry(target: Target, code: str) -> str:
    """Examples of a cell while searching and in the report, or the sign of why it is none."""
    cell = next(cell for cell in target.cells if cell.language == code)
    if cell.why is not None:
        return _SIGNS[cell.why]
    parts = [short(count.n) for count in (cell.search, cell.report) if count]
    return "/".join(dict.fromkeys(parts))


def _legend(found: CellList) -> Iterator[str]:
    definition = getattr(found.spec.target.languages, "low_resource", "default")
    yield (
        f"* low-resource by {definition!r}. Entries: examples that score a cell while searching/in the "
        f"report, one number where both have as many."
    )
    whys = [cell.why for target in found.targets for cell in target.cells]
    counts = {why: whys.count(why) for why in Why}
    said = [f"{_SIGNS[why]} {why} ({n})" for why, n in counts.items() if n]
    unknown = any(cell.report and cell.report.n is None for t in found.targets for cell in t.cells)
    if unknown:
        said.append("? not known without the data")
    if said:
        yield f"{'; '.join(said)}."


def _by_training(training: Sequence[Training]) -> Table:
    table = _table("Training data", ("task", "as", "languages"), ("rows", "files missing"))
    for one in training:
        names = f"{len(one.languages)}" if len(one.languages) > 4 else ", ".join(one.languages)
        rows = "none" if one.places and not one.rows.n else _grouped(one.rows.n)
        role = "before a target" if one.role == "before" else one.role
        table.add_row(one.task.name, role, names, rows, str(len(one.places)))
    return table


def _grouped(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"


def _missing(found: CellList, console: Console) -> None:
    for repo, tasks in found.unpinned.items():
        remedy = "a mirror: it is on no hub" if on_no_hub(repo) else "a commit under data.revisions"
        _say(console, f"Before a run, {repo} ({', '.join(tasks)}) needs {remedy}.")
    if not found.gaps:
        return
    console.print()
    _say(console, f"The {found.spec.data.source} lacks {len(found.gaps)} of the files that are read:")
    for gap in found.gaps[:_FILES_SHOWN]:
        users = ", ".join(dict.fromkeys(need.user for need in gap.needs))
        console.print(f"  {gap.place}: {users}", markup=False, highlight=False, soft_wrap=True)
    if len(found.gaps) > _FILES_SHOWN:
        _say(console, f"  … and {len(found.gaps) - _FILES_SHOWN} more; --json lists all")
    if not found.paste:
        _say(console, "Without what reads them nothing is left to train or to score.")
        return
    _say(console, "Add them, or go on without what reads them; these lines take their keys' place:")
    console.print(found.paste, markup=False, highlight=False, soft_wrap=True)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(
        title=title or None, title_justify="left", box=None, pad_edge=False, collapse_padding=True
    )
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
