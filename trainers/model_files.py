"""The files of a pretrained model that a trainer reads, in a folder or from the hub at one commit."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from trainers.disk import free_space, is_full
from trainers.errors import ModelError
from trainers.model_table import ModelEntry

CONFIG = "config.json"
_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",  # SentencePiece
)
_WEIGHTS = (("*.safetensors", "model.safetensors.index.json"), ("pytorch_model*.bin*",))


def files_of(folder: Path) -> tuple[Path, ...]:
    """Tokenizer, weights (safetensors where there are any), and the config as the last.

    Raises:
        ModelError: config, weights or tokenizer are not in ``folder``.
    """
    tokenizer = _like(folder, _TOKENIZER)
    weights = next((found for kind in _WEIGHTS if (found := _like(folder, kind))), ())
    config = _like(folder, (CONFIG,))
    parts = {"tokenizer": tokenizer, "weights": weights, CONFIG: config}
    if lacking := [part for part, found in parts.items() if not found]:
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise ModelError(
            f"{folder} holds no {' and no '.join(lacking)}: found {there}. Give a folder that "
            f"save_pretrained wrote, or a commit of the hub that has all three."
        )
    return (*tokenizer, *weights, *config)


def download(model: ModelEntry) -> tuple[Path, ...]:
    """The files of a model on the hub at its commit, from the Hugging Face cache (``HF_HOME``).

    A download that was interrupted goes on from where it was.

    Raises:
        ModelError: no such model or commit, the hub cannot be reached, or the cache's disk is full.
    """
    folder = _snapshot(model, (CONFIG, *_TOKENIZER, *_WEIGHTS[0]))
    if not _like(folder, _WEIGHTS[0]):
        folder = _snapshot(model, (CONFIG, *_TOKENIZER, *_WEIGHTS[1]))
    return files_of(folder)


def _snapshot(model: ModelEntry, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    page = f"https://huggingface.co/{model.hub_id}"
    name = f"{model.hub_id} at commit {model.revision[:12]}"
    try:
        folder = snapshot_download(
            model.hub_id,
            revision=model.revision,
            allow_patterns=list(patterns),
            ignore_patterns=["*/*"],
        )
    except RevisionNotFoundError as error:
        raise ModelError(
            f"{model.hub_id} has no commit {model.revision}. Mend model.revision ({page}/commits/main)."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"there is no {name} on the hub, or it is not open to you. See {page}."
        ) from error
    except Exception as error:  # OSError of the cache, or any of the HTTP client
        if is_full(error):
            cache = Path(constants.HF_HUB_CACHE)
            raise ModelError(
                f"the disk was full while {name} was downloaded into {cache}: {free_space(cache)}. Make "
                f"room, or name another disk with HF_HOME."
            ) from error
        raise ModelError(
            f"the hub did not give {name}: {type(error).__name__}: {str(error).splitlines()[0]} Check "
            f"the connection and HF_HUB_OFFLINE."
        ) from error
    return Path(folder)


def _like(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return tuple(folder / name for name in names if any(fnmatch(name, p) for p in patterns))
