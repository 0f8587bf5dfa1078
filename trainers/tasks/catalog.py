"""The tasks a study can name, and the benchmarks that list them.

Built-in tasks are the literals of ``trainers/tasks/entries`` and of the toy world. A package adds its
own through the entry point group ``interlude.tasks`` (a ``TaskSpec``, or an iterable of them), a study
through ``custom_tasks`` of its spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points

from trainers.errors import TaskError, UnknownTaskError, nearest
from trainers.tasks.entries.english import ENGLISH_TASKS
from trainers.tasks.entries.pairs import PAIR_TASKS
from trainers.tasks.entries.questions import QUESTION_TASKS
from trainers.tasks.entries.retrieval import RETRIEVAL_TASKS
from trainers.tasks.entries.structured import STRUCTURED_TASKS
from trainers.tasks.entries.text import TEXT_TASKS
from trainers.tasks.spec import TaskSpec
from trainers.tasks.toy.catalog import TOY_TASKS

PLUGINS = "interlude.tasks"


class Catalogue(Mapping[str, TaskSpec]):
    """Tasks by name.

    Args:
        tasks: each name once.

    Raises:
        TaskError: a name is taken twice.
    """

    def __init__(self, tasks: Iterable[TaskSpec]) -> None:
        self._tasks: dict[str, TaskSpec] = {}
        for spec in tasks:
            if spec.name in self._tasks:
                raise TaskError(f"two tasks are called {spec.name!r}. Give one of them another name.")
            self._tasks[spec.name] = spec

    def __getitem__(self, name: str) -> TaskSpec:
        return self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def task(self, name: str) -> TaskSpec:
        """The task of that name.

        Raises:
            UnknownTaskError: no such task; names the nearest.
        """
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTaskError(name, self._tasks) from None

    def extended(self, tasks: Iterable[TaskSpec]) -> Catalogue:
        """This catalogue and ``tasks``.

        Raises:
            TaskError: a name is taken twice.
        """
        return Catalogue((*self._tasks.values(), *tasks))


TASKS = Catalogue(
    (
        *ENGLISH_TASKS,
        *TEXT_TASKS,
        *PAIR_TASKS,
        *STRUCTURED_TASKS,
        *QUESTION_TASKS,
        *RETRIEVAL_TASKS,
        *TOY_TASKS,
    )
)


@lru_cache(maxsize=1)
def installed() -> Catalogue:
    """The built-in tasks and those of installed plug-ins.

    Raises:
        TaskError: a plug-in cannot be imported, gives no task, or takes a name that is taken.
    """
    found: list[TaskSpec] = []
    for point in entry_points(group=PLUGINS):
        try:
            given = point.load()
        except Exception as error:
            raise TaskError(
                f"the plug-in {point.name!r} ({point.value}) of {PLUGINS} cannot be imported: "
                f"{type(error).__name__}: {error}. Mend the package, or uninstall it."
            ) from error
        several = isinstance(given, Iterable) and not isinstance(given, str)
        tasks = tuple(given) if several else (given,)
        if not all(isinstance(task, TaskSpec) for task in tasks):
            raise TaskError(
                f"the plug-in {point.name!r} ({point.value}) of {PLUGINS} gives "
                f"{type(given).__name__} instead of a TaskSpec or several."
            )
        found.extend(tasks)
    return TASKS.extended(found)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A published list of target tasks.

    Attributes:
        name: as in a spec.
        cells: languages that count, by task.
    """

    name: str
    cells: Mapping[str, tuple[str, ...]]


# XTREME has forty languages; XTREME-R adds these ten.
_XTREME_R_ONLY = frozenset({"az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo"})


def _cells(*tasks: str, without: frozenset[str] = frozenset()) -> Mapping[str, tuple[str, ...]]:
    return {
        task: tuple(code for code in TASKS[task].score_languages if code not in without)
        for task in tasks
    }


_SHARED = ("xnli", "udpos", "panx", "xquad", "mlqa", "tydiqa", "tatoeba")
_TOY_TARGETS = tuple(spec.name for spec in TOY_TASKS if spec.group != "intermediate")

BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("xtreme", _cells(*_SHARED, "pawsx", "bucc", without=_XTREME_R_ONLY)),
        Benchmark("xtreme-r", _cells(*_SHARED, "xcopa", "mewslix", "lareqa")),
        Benchmark("beyond", _cells("americasnli", "masakhapos")),
        Benchmark("toy", _cells(*_TOY_TARGETS)),
    )
}


def benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        TaskError: no such benchmark.
    """
    try:
        return BENCHMARKS[name]
    except KeyError:
        raise TaskError(f"no benchmark {name!r}. {nearest(name, BENCHMARKS)}") from None
