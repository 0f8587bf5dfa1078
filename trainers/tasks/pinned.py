"""One split of a data set on the hub at exactly one commit, through ``datasets`` and its cache.

``datasets.load_dataset`` asked for a commit it cannot reach gives whichever commit its cache saw last,
and reads a folder of the repository's name in the working directory before the hub. Neither here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainers.disk import free_space, is_full
from trainers.errors import MalformedDataError, MissingDataError, TaskError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder

_HUB = "hf://datasets/"  # the prefix keeps a local folder of the same name from being read
_NO_CONFIG = "BuilderConfig"  # how the refusal of an unknown configuration begins
_NOT_CACHED = "Couldn't find cache"  # and that of one that is not cached, without a connection


def load_pinned(repo: str, config: str, split: str, commit: str) -> Dataset:
    """All rows of ``repo/config/split`` as of ``commit``, memory-mapped.

    A commit of the hub's own parquet conversion (``refs/convert/parquet``) will do: it is how a data
    set that was published as a script is read. A configuration that was read before at ``commit``
    needs no connection.

    Raises:
        MissingDataError: the hub does not have it, or cannot be reached and the cache does not hold it.
        MalformedDataError: it is there and cannot be read.
        TaskError: the disk of the cache is full.
    """
    import pyarrow as pa
    from datasets.exceptions import DatasetGenerationError, SplitsVerificationError

    name = f"{repo}/{config}/{split}"
    try:
        builder = _builder(repo, config, split, commit)
        _check_commit(builder, name, commit)
        builder.download_and_prepare()
        dataset: Dataset = builder.as_dataset(split=split)
    except TaskError:
        raise
    except Exception as error:  # datasets, its readers and the HTTP client share no base
        if any(is_full(cause) for cause in _causes(error)):
            raise _full(name, error) from error
        if isinstance(error, DatasetGenerationError | SplitsVerificationError | pa.ArrowException):
            raise MalformedDataError(
                f"{name} at commit {commit[:12]} cannot be read: {_first_line(error)}. Clear it from "
                f"the Hugging Face cache (hub and datasets in HF_HOME) and try again, or pin another.",
                file=name,
            ) from error
        raise MissingDataError(
            f"the hub did not give {name} at commit {commit[:12]}: {_first_line(error)} "
            f"{_remedy(error, repo)}, or use a mirror (data: {{source: mirror, path: FOLDER}}) that "
            f"holds hub/{repo}.",
            file=name,
        ) from error
    return dataset


def _builder(repo: str, config: str, split: str, commit: str) -> DatasetBuilder:
    """The builder of a configuration; where the commit names none, of its folder in a conversion."""
    from datasets import load_dataset_builder

    try:
        return load_dataset_builder(_HUB + repo, config, revision=commit)
    except ValueError as error:
        if not str(error).startswith(_NO_CONFIG):
            raise
        files = {split: f"{config}/{split}/*.parquet"}
        try:
            return load_dataset_builder(_HUB + repo, data_files=files, revision=commit)
        except (OSError, ValueError):
            raise error from None


def _check_commit(builder: DatasetBuilder, name: str, commit: str) -> None:
    if builder.hash != commit:
        raise MissingDataError(
            f"the hub could not be reached for {name} at commit {commit[:12]}, and the datasets cache "
            f"holds commit {str(builder.hash)[:12]} of it. Check the connection and HF_HUB_OFFLINE.",
            file=name,
        )


def _causes(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return chain


def _full(name: str, error: BaseException) -> TaskError:
    from datasets import config

    place = Path(config.HF_CACHE_HOME)
    return TaskError(
        f"the disk was full while {name} was downloaded into the Hugging Face cache: "
        f"{_first_line(_causes(error)[-1])} {free_space(place)}. Make room, or name another disk with "
        f"HF_HOME."
    )


def _remedy(error: BaseException, repo: str) -> str:
    from datasets.exceptions import DatasetNotFoundError

    page = f"https://huggingface.co/datasets/{repo}"
    if isinstance(error, DatasetNotFoundError):
        return f"Mend its commit in data.revisions ({page}/commits/main), ask for access if it is gated"
    if isinstance(error, RuntimeError) and "script" in str(error):
        return f"Pin a commit of its parquet conversion ({page}/tree/refs%2Fconvert%2Fparquet)"
    if isinstance(error, ValueError) and not str(error).startswith(_NOT_CACHED):
        return f"Pin a commit that has this configuration and split ({page}/commits/main)"
    return "Check the connection and HF_HUB_OFFLINE"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200].rstrip('.')}.".replace(": .", ".")
