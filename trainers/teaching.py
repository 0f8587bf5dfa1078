"""What one task of a stage is taught with: its training data, tokenised.

Which features a set of data became is noted beside them, under the hash of all that decides it. So the
rows are read, or made, once per cache and tokenizer: not again by another worker, for another model with
the same tokenizer, or in another study.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainers.errors import MalformedDataError, StoreError
from trainers.features import features, folder_of, n_truncated, stored_features, tokenizer_digest
from trainers.fingerprint import fingerprint
from trainers.stage import CODE_VERSION, TaskShare
from trainers.tasks.canonical import VERSION, training_examples
from trainers.tasks.source import DataIdentity, Source
from trainers.tasks.spec import Split, TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


class LeftOut(NamedTuple):
    """What is not in the features of some training data, whether a stage reads them all or a part.

    Attributes:
        n_rows: left out by rule (``trainers/tasks/rules.py``).
        n_truncated: examples of which some tokens are (docs/methods.md, "What is cut").
    """

    n_rows: int
    n_truncated: int


def as_facts(left_out: Iterable[LeftOut]) -> dict[str, float]:
    """What several sets of features lack, as facts of a stage; what never happened has no entry."""
    n_rows, n_truncated = map(sum, zip(*left_out, strict=True))
    counts = {"n_rows_skipped": n_rows, "n_examples_truncated": n_truncated}
    return {name: float(count) for name, count in counts.items() if count}


class _Taught(NamedTuple):
    """Features, and how many rows are left out of them by rule."""

    features: Dataset
    n_skipped: int


def taught(
    share: TaskShare,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    source: Source,
    cache_dir: Path,
) -> tuple[Dataset, LeftOut]:
    """The features of the data that ``share`` names, and what is not in them.

    Raises:
        MalformedDataError: the source has other data, or lacks some.
        StoreError: ``cache_dir`` cannot be written.
    """
    from datasets import concatenate_datasets

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
            parts.append(
                _part(
                    task,
                    split,
                    language,
                    source,
                    identity=identity,
                    tokenizer=tokenizer,
                    cache_dir=cache_dir,
                )
            )
    if len(parts) < len(wanted):
        raise MalformedDataError(
            f"{task.name} is to be trained on {len(wanted)} sets of data and the source has "
            f"{len(parts)} of them: {', '.join(sorted(wanted))}"
        )
    n_rows = sum(part.n_skipped for part in parts)
    n_cut_short = sum(n_truncated(part.features) for part in parts)
    return concatenate_datasets([part.features for part in parts]), LeftOut(n_rows, n_cut_short)


def _part(
    task: TaskSpec,
    split: Split,
    language: str,
    source: Source,
    *,
    identity: DataIdentity,
    tokenizer: PreTrainedTokenizerBase,
    cache_dir: Path,
) -> _Taught:
    """One set of data; its rows are read where no note says what they became."""
    key = {
        "task": task.definition,
        "split": split,
        "language": language,
        "data": identity,
        "tokenizer": tokenizer_digest(tokenizer),
        "examples": VERSION,
        "code": CODE_VERSION,
    }
    note = cache_dir / f"taught-{fingerprint(key)}.json"
    known = _noted(note)
    if known is not None:
        return known
    given = training_examples(task, split, language, source)
    made = features(given.examples, task, tokenizer, training=True, cache_dir=cache_dir)
    _write(note, {"features": folder_of(made), "n_skipped": given.n_skipped})
    return _Taught(made, given.n_skipped)


def _noted(note: Path) -> _Taught | None:
    """What ``note`` says that its data became; None where there is no such note, or no such features."""
    try:
        record = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    found = stored_features(note.parent / record["features"])
    return None if found is None else _Taught(found, record["n_skipped"])


def _write(note: Path, record: dict[str, object]) -> None:
    beside = note.with_name(f".{note.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        beside.write_text(json.dumps(record))
        beside.replace(note)
    except OSError as error:
        raise StoreError(f"cannot write {note}: {error}. Free space there.") from error
