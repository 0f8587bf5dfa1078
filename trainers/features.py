"""Tokenised examples on disk, made once and memory-mapped ever after.

A folder's name is the hash of everything that decides its content, so a second stage on the same
data starts training at once. What is trained on comes in shards, a folder each (trainers/shards.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from trainers.cache_folders import beside, is_whole
from trainers.errors import EmptySplitError, ModelError, StoreError
from trainers.fingerprint import fingerprint
from trainers.stage import CODE_VERSION

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from trainers.tasks.spec import TaskSpec

_SLICE_ROWS = 1000
_FILE = "features.arrow"
_COUNTS = "counts.json"
_FILES = (_FILE, _COUNTS)
_FORM = 1  # raised when the same features are written in another way
_digests: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()


def features(
    examples: Dataset,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    training: bool,
    cache_dir: str | Path,
) -> Dataset:
    """The features of canonical examples, as :func:`tokenised`, of which there have to be some.

    Raises:
        EmptySplitError: no example gives a feature.
        StoreError, ModelError: as :func:`tokenised`.
    """
    dataset = tokenised(examples, task, tokenizer, training=training, cache_dir=cache_dir)
    if dataset.num_rows == 0:
        raise EmptySplitError(
            f"none of the {examples.num_rows} examples of {task.name} gives a feature within "
            f"{task.max_length} tokens. Leave the task out, or look at its data and tokenizer."
        )
    return dataset


def tokenised(
    examples: Dataset,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    training: bool,
    cache_dir: str | Path,
) -> Dataset:
    """The features of canonical examples, memory-mapped; there may be none.

    Columns are those of the task's family, among them ``n_tokens``, what a row costs in a batch.
    ``example`` is the row number in ``examples``. Integers are 32 bits wide. How many examples lost
    tokens lies beside them, see :func:`n_truncated`.

    Args:
        examples: from ``trainers/tasks/canonical.py``; its fingerprint names the data.
        task: what they are.
        tokenizer: a fast tokenizer.
        training: leave out what cannot teach anything.
        cache_dir: folder that holds one folder per content.

    Raises:
        StoreError: ``cache_dir`` cannot be written.
        ModelError: the tokenizer is not a fast one.
    """
    from datasets import Dataset

    name = _name(examples, task, tokenizer, training=training)
    folder = Path(cache_dir) / name
    try:
        if not is_whole(folder, _FILES):
            _write(folder, _encoded(examples, task, tokenizer, training=training))
    except OSError as error:
        raise StoreError(
            f"cannot write tokenised {task.name} to {folder}: {error}. Free space there, or name "
            f"another cache folder."
        ) from error
    return Dataset.from_file(str(folder / _FILE))


def n_truncated(features: Dataset) -> int:
    """Examples of which some token is in none of their memory-mapped ``features``, for want of room.

    What goes is said in docs/methods.md, "What is cut".

    Raises:
        StoreError: the cache folder has lost the count.
    """
    file = Path(features.cache_files[0]["filename"]).with_name(_COUNTS)
    try:
        return int(json.loads(file.read_text())["n_truncated"])
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}. Remove its folder, it is made anew.") from error


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """The SHA-256 of what a fast tokenizer does, without its momentary padding and truncation.

    Raises:
        ModelError: not a fast tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"{type(tokenizer).__name__} is not a fast tokenizer. Save one that has a tokenizer.json."
        )
    known = _digests.get(tokenizer)
    if known is not None and known[0] == len(tokenizer):
        return known[1]
    content = json.loads(backend.to_str())
    content.pop("truncation", None)
    content.pop("padding", None)
    content["max_length"] = tokenizer.model_max_length
    if "token_type_ids" in tokenizer.model_input_names:
        content["segments"] = True
    content["special"] = {key: str(token) for key, token in tokenizer.special_tokens_map.items()}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    _digests[tokenizer] = (len(tokenizer), digest)
    return digest


def _name(
    examples: Dataset, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
) -> str:
    return fingerprint(
        {
            "examples": examples._fingerprint,
            "n_examples": examples.num_rows,
            "family": task.family,
            "labels": task.labels,
            "max_length": task.max_length,
            "tokenizer": tokenizer_digest(tokenizer),
            "training": training,
            "code": CODE_VERSION,
            "form": _FORM,
        }
    )


def _encoded(
    examples: Dataset, task: TaskSpec, tokenizer: PreTrainedTokenizerBase, *, training: bool
) -> Iterator[dict[str, list[Any]]]:
    """Features of slice after slice, ``example`` counted over all of them."""
    from trainers.families import family

    encoder = family(task.family)
    for first in range(0, examples.num_rows, _SLICE_ROWS):
        rows = examples[first : first + _SLICE_ROWS]
        columns = encoder.encode(rows, task, tokenizer, training=training)
        columns["example"] = [first + row for row in columns["example"]]
        yield columns


def _write(folder: Path, slices: Iterator[dict[str, list[Any]]]) -> None:
    import pyarrow as pa

    with beside(folder, _FILES) as unfinished:
        schema, writer, n_cut_short = None, None, 0
        with pa.OSFile(str(unfinished / _FILE), "wb") as file:
            for columns in slices:
                cuts = zip(columns["example"], columns.pop("n_cut"), strict=True)
                n_cut_short += len({example for example, n_cut in cuts if n_cut})
                schema = schema or _narrow(pa.table(columns).schema)
                writer = writer or pa.ipc.new_stream(file, schema)
                writer.write_table(pa.table(columns, schema=schema))
            if writer is not None:
                writer.close()
        (unfinished / _COUNTS).write_text(json.dumps({"n_truncated": n_cut_short}))


def _narrow(schema: pa.Schema) -> pa.Schema:
    """``schema`` with 64-bit integers as 32-bit ones: token ids and offsets need no more."""
    import pyarrow as pa

    def narrow(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_int64(kind) or pa.types.is_null(kind):
            return pa.int32()
        return pa.list_(narrow(kind.value_type)) if pa.types.is_list(kind) else kind

    return pa.schema([pa.field(field.name, narrow(field.type)) for field in schema])
