"""The Hugging Face hub as a source: pinned commits, read through ``datasets`` and its cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainers.errors import (
    EmptySplitError,
    MalformedDataError,
    MissingDataError,
    TaskError,
    UnknownLanguageError,
)
from trainers.fingerprint import fingerprint
from trainers.tasks.pinned import load_pinned
from trainers.tasks.source import UNPINNED, DataIdentity
from trainers.tasks.spec import HubData
from trainers.tasks.translations import translated

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from trainers.tasks.spec import Split

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubSource:
    """Rows from the hub, at pinned commits.

    Args:
        revisions: commit by repository, 40 hex digits; goes before the catalogue's pin.
    """

    def __init__(self, revisions: Mapping[str, str] | None = None) -> None:
        self._revisions = dict(revisions or {})

    def identity(self, split: Split, language: str) -> DataIdentity:
        """Repository, commit and published size; nothing is downloaded.

        Where no commit is named the revision is ``UNPINNED``: enough to plan with, not to read.

        Raises:
            UnknownLanguageError: the split does not have the language.
        """
        check_language(split, language)
        name = data_name(split, language)
        return DataIdentity(name, self._revision(split), split.published_rows(language))

    def _revision(self, split: Split) -> str:
        data = published(split)
        revision = self._revisions.get(data.repo, data.revision)
        return revision if _COMMIT.fullmatch(revision) else UNPINNED

    def rows(self, split: Split, language: str) -> Dataset:
        """The rows of ``language``, memory-mapped from the ``datasets`` cache.

        Raises:
            UnknownLanguageError: the split does not have the language.
            MissingDataError: not pinned, not on the hub, or the hub cannot be reached and the
                cache does not hold it.
            MalformedDataError: the data cannot be read or lacks the language column.
            EmptySplitError: no row of ``language``.
        """
        identity = self.identity(split, language)
        data = published(split)
        if identity.revision == UNPINNED:
            raise MissingDataError(refusal(data.repo), file=data.repo)
        config = data.config_for(language)
        dataset = load_pinned(data.repo, config, split.name, identity.revision)
        return of_language(dataset, split, language, identity.name)


def published(split: Split) -> HubData:
    """Where the split lies on the hub.

    Raises:
        TaskError: it is a file of the user's own, which no hub or mirror has.
    """
    if isinstance(split.data, HubData):
        return split.data
    raise TaskError(f"{split.data.name} is read from files of its own, not from a hub or a mirror")


def data_name(split: Split, language: str) -> str:
    """``org/dataset/config/split``, and the language where one file has several."""
    name = split.place(language)
    return f"{name}[{language}]" if split.language_field or split.translations else name


def check_language(split: Split, language: str) -> None:
    """Refuse a language that the split does not have.

    Raises:
        UnknownLanguageError: names the languages it has.
    """
    if language not in split.languages:
        raise UnknownLanguageError(language, split.languages, where=f"{split.place('*')}")


def of_language(dataset: Dataset, split: Split, language: str, file: str) -> Dataset:
    """The rows of ``language`` in a file that mixes languages; all rows of any other file.

    Where the file holds translations, their rows, with the translated columns in place.

    Raises:
        MalformedDataError: the language column or that of the translations is not there.
        MissingDataError: there is no translation into ``language``.
        EmptySplitError: no row of ``language``.
    """
    rows = _filtered(dataset, split, language, file)
    return _translated(rows, split, language, file) if split.translations else rows


def _translated(rows: Dataset, split: Split, language: str, file: str) -> Dataset:
    from datasets import Dataset, Features

    table = translated(rows.with_format("arrow")[:], split, language, file)
    schema = Features.from_arrow_schema(table.schema).arrow_schema
    return Dataset(table.cast(schema), fingerprint=fingerprint([rows._fingerprint, language]))


def _filtered(dataset: Dataset, split: Split, language: str, file: str) -> Dataset:
    import numpy as np

    if not split.language_field:
        return dataset
    mask = language_mask(dataset.data.table, split, language, file)
    rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
    if not len(rows):
        raise EmptySplitError(
            f"{file}: none of {dataset.num_rows} rows is in {language!r} (by its column "
            f"{split.language_field[0]!r}). Leave the language out for this task, or give a file "
            f"that has it.",
            file=file,
        )
    return dataset.select(rows)


def language_mask(table: pa.Table, split: Split, language: str, file: str) -> pa.ChunkedArray:
    """Which rows of a file that mixes languages are in ``language``.

    Raises:
        MalformedDataError: the language column is not there.
    """
    import pyarrow.compute as pc

    (column, pattern) = split.language_field or ("", "")
    if column not in table.column_names:
        raise MalformedDataError(
            f"{file}: no column {column!r}, which tells the languages apart. Found "
            f"{', '.join(table.column_names) or 'none'}. Fetch the file again, or mend its columns.",
            file=file,
            column=column,
        )
    wanted = pattern.format(language=split.language_names.get(language, language))
    like = wanted.replace("%", r"\%").replace("_", r"\_").replace("*", "%")
    return pc.fill_null(pc.match_like(table[column], like), False)


def on_no_hub(repo: str) -> bool:
    """Whether only a mirror can have the data set."""
    return repo.startswith("local/")


def refusal(*repos: str) -> str:
    """Why data sets without a pinned commit are not read, and what to do about each."""
    parts = []
    if local := [repo for repo in repos if on_no_hub(repo)]:
        parts.append(
            f"{', '.join(local)} is on no hub: only a mirror has it. Use data: {{source: mirror, path: "
            f"DIR}} where DIR holds hub/{local[0]}, or leave the task out."
        )
    if unpinned := [repo for repo in repos if not on_no_hub(repo)]:
        lines = "".join(f"\n    {repo}: <40 hex digits>" for repo in unpinned)
        pages = " ".join(f"https://huggingface.co/datasets/{repo}/commits/main" for repo in unpinned)
        parts.append(
            f"{', '.join(unpinned)} has no pinned commit, so what it holds could change under a study. "
            f"Look up the commit ({pages}) and add to the spec\ndata:\n  revisions:{lines}\nor use a "
            f"mirror: data: {{source: mirror, path: FOLDER}}."
        )
    return "\n".join(parts)
