"""docs/tasks.md tells of every real task what the catalogue says."""

from pathlib import Path

from trainers.tasks.catalog import BENCHMARKS, TASKS
from trainers.tasks.languages import LANGUAGES

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
REAL = [task for task in TASKS.values() if task.world == "hub"]


def repositories(task):
    splits = (*task.train, *task.search, *task.report, *task.pool)
    return dict.fromkeys(split.data.repo for split in splits)


def ingredient_row(task):
    n_rows = sum(split.n_rows for split in task.train)
    size = f"{n_rows:,}" if n_rows else "as in the mirror"
    data = ", ".join(repositories(task))
    return f"| `{task.name}` | {task.family} | {size} | {data} | {task.licence} | {task.paper} |"


def target_row(task):
    trained = " then ".join(filter(None, (task.after, *sources(task.train)))) or "not trained"
    scored = f"{', '.join(sources(task.search))}, halved"
    if task.search != task.report:
        scored = (
            f"{', '.join(sources(task.search))} (search), {', '.join(sources(task.report))} (report)"
        )
    return (
        f"| `{task.name}` | {task.group} | {task.family} | {task.metric} | {trained} | {scored} | "
        f"{task.licence} | {task.paper} |"
    )


def sources(splits):
    return [f"{split.data.repo} {split.data.config.split('.')[0]} {split.name}" for split in splits]


def language_row(name):
    benchmarks = [BENCHMARKS["xtreme"], BENCHMARKS["xtreme-r"]]
    tasks = [" ".join(task for task, codes in b.cells.items() if name in codes) for b in benchmarks]
    return f"| {name} | {LANGUAGES[name].name} | {tasks[0] or '–'} | {tasks[1] or '–'} |"


def revision_rows():
    pins = {split.data.repo: split.data.revision for task in REAL for split in _all(task)}
    return [
        f"| {repo} | {f'`{pins[repo]}`' if pins[repo] else 'unpinned'} |"
        for repo in sorted(pins)
        if not repo.startswith("local/")
    ]


def _all(task):
    return (*task.train, *task.search, *task.report, *task.pool)


def rows():
    """Every line of the page's tables, in order."""
    ingredients = [ingredient_row(task) for task in REAL if task.group == "intermediate"]
    targets = [target_row(task) for task in REAL if task.group != "intermediate"]
    return [*ingredients, *targets, *map(language_row, sorted(LANGUAGES)), *revision_rows()]


def test_the_page_has_a_row_for_every_task_language_and_revision():
    written = ("| `local/", "| task |", "| data |", "| language |", "| data set |")  # by hand
    lines = PAGE.read_text().splitlines()
    assert [line for line in lines if line.startswith("| ") and not line.startswith(written)] == rows()
