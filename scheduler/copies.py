"""Files of a study's own that are copies of each other: no path shows it, their bytes do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scheduler.spec import StudySpec
from trainers.errors import MalformedDataError
from trainers.tasks.files import digests
from trainers.tasks.spec import FileData, Split, TaskSpec


def check_apart(spec: StudySpec) -> None:
    """Refuse files that are scored and are copies of files of the same task with another part.

    Raises:
        MalformedDataError: what a task is scored on is trained on, or serves search and report both
            under two names; one line for each.
    """
    lines = [line for name, _ in spec.cells for line in _copies(spec.catalogue[name])]
    if lines:
        listed = "\n  ".join(lines)
        raise MalformedDataError(
            f"{len(lines)} files are copies of others and must not share an example with them. Give "
            f"each part its own data, or search and report the same path:\n  {listed}"
        )


def _copies(task: TaskSpec) -> Iterator[str]:
    parts: tuple[tuple[str, Sequence[Split], str, Sequence[Split]], ...] = (
        ("train", task.train, "search", task.search),
        ("train", task.train, "report", task.report),
        ("search", task.search, "report", task.report),
    )
    for one, splits, other, others in parts:
        for split in (s for s in splits if isinstance(s.data, FileData)):
            for beside in (s for s in others if isinstance(s.data, FileData) and s != split):
                for code in beside.languages:
                    if code in split.languages:
                        yield from _equal(task, code, (one, split), (other, beside))


def _equal(
    task: TaskSpec, code: str, left: tuple[str, Split], right: tuple[str, Split]
) -> Iterator[str]:
    (one, split), (other, beside) = left, right
    known = {digest: path for path, digest in digests(split, code).items()}
    for path, digest in digests(beside, code).items():
        if digest in known:
            yield f"{task.name} in {code!r}: {path} ({other}) is a copy of {known[digest]} ({one})"
