"""What one task of a stage is taught with: its training data, checked, in shards (trainers/shards.py).

The examples of all its languages and splits are kept in one Arrow file, memory-mapped, in a folder that
is named by the hash of all that decides them. So the rows are read, or made, once per cache: not again
by another worker, for another tokenizer, or in another study.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainers.cache_folders import beside, is_whole
from trainers.errors import MalformedDataError, StoreError
from trainers.fingerprint import fingerprint
from trainers.shards import Shards
from trainers.stage import TaskShare
from trainers.tasks.canonical import VERSION, Training, training_examples
from trainers.tasks.source import DataIdentity, Source
from trainers.tasks.spec import Split, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_FILE = "examples.arrow"
_COUNTS = "counts.json"
_FILES = (_FILE, _COUNTS)


class Taught(NamedTuple):
    """Features in shards, and how many rows are left out of them by rule."""

    shards: Shards
    n_skipped: int


def taught(
    share: TaskShare,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    source: Source,
    cache_dir: Path,
) -> Taught:
    """The features of the data that ``share`` names, each shard tokenised when it is first read.

    Raises:
        MalformedDataError: the source has other data, or lacks some.
        EmptySplitError: a set of data has no row that can be trained on.
        StoreError: ``cache_dir`` cannot be written.
    """
    parts = _parts(share, task, source)
    key = {
        "task": task.definition,
        "parts": [(split, language, identity) for split, language, identity in parts],
        "examples": VERSION,
    }
    name = fingerprint(key)
    folder = cache_dir / f"examples-{name}"
    try:
        if not is_whole(folder, _FILES):
            _write(folder, [training_examples(task, split, code, source) for split, code, _ in parts])
        n_skipped = int(json.loads((folder / _COUNTS).read_text())["n_skipped"])
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot keep the examples of {task.name} in {folder}: {error}. Free space there, or remove "
            "the folder: it is made anew."
        ) from error
    return Taught(Shards(_examples(folder, name), task, tokenizer, cache_dir), n_skipped)


def _parts(share: TaskShare, task: TaskSpec, source: Source) -> list[tuple[Split, str, DataIdentity]]:
    """The sets of data that ``share`` names, in the task's order."""
    wanted = {data.name: data.revision for data in share.data}
    parts = []
    for split in task.train:
        for language in split.languages:
            identity = source.identity(split, language)
            if identity.name not in wanted:
                continue
            if identity.revision != wanted[identity.name]:
                raise MalformedDataError(
                    f"the stage was planned with {identity.name} at revision "
                    f"{wanted[identity.name]} and the source has {identity.revision}. Start a new "
                    "study, or bring the old data back."
                )
            parts.append((split, language, identity))
    if len(parts) < len(wanted):
        raise MalformedDataError(
            f"{task.name} is to be trained on {len(wanted)} sets of data and the source has "
            f"{len(parts)} of them: {', '.join(sorted(wanted))}"
        )
    return parts


def _examples(folder: Path, name: str) -> Dataset:
    """The examples in a folder, memory-mapped; ``name`` is their fingerprint."""
    from datasets import Dataset

    return Dataset(Dataset.from_file(str(folder / _FILE)).data, fingerprint=name)


def _write(folder: Path, given: list[Training]) -> None:
    import pyarrow as pa
    from datasets import concatenate_datasets

    table = concatenate_datasets([part.examples for part in given]).data.table
    with beside(folder, _FILES) as unfinished:
        with (
            pa.OSFile(str(unfinished / _FILE), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as writer,
        ):
            writer.write_table(table)
        counts = {"n_skipped": sum(part.n_skipped for part in given)}
        (unfinished / _COUNTS).write_text(json.dumps(counts))
