"""What one task of a stage is taught with: its training data, tokenised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainers.errors import MalformedDataError
from trainers.features import features
from trainers.stage import TaskShare
from trainers.tasks.canonical import training_examples
from trainers.tasks.source import Source
from trainers.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


def taught(
    share: TaskShare,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    source: Source,
    cache_dir: Path,
) -> tuple[Dataset, int]:
    """The features of the data that ``share`` names, and how many rows are left out of it.

    Raises:
        MalformedDataError: the source has other data, or lacks some.
    """
    from datasets import concatenate_datasets

    wanted = {data.name: data.revision for data in share.data}
    parts, n_skipped = [], 0
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
            given = training_examples(task, split, language, source)
            n_skipped += given.n_skipped
            parts.append(features(given.examples, task, tokenizer, training=True, cache_dir=cache_dir))
    if len(parts) < len(wanted):
        raise MalformedDataError(
            f"{task.name} is to be trained on {len(wanted)} sets of data and the source has "
            f"{len(parts)} of them: {', '.join(sorted(wanted))}"
        )
    return concatenate_datasets(parts), n_skipped
