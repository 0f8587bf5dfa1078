"""The model that a name means: where it lies, and what says which weights they are.

``trainers/model_table.py`` has the encoders known by name; any folder that ``AutoModel`` loads an
encoder from will do as well (``trainers/model_folder.py``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from trainers.errors import ModelError, nearest
from trainers.model_folder import from_directory
from trainers.model_table import MODELS, ModelEntry, retrieval_layer_of

__all__ = ["MODELS", "ModelEntry", "entry", "locate", "retrieval_layer_of", "revision_of"]


def entry(name: str) -> ModelEntry:
    """The model of a short name, a hub id, or a directory that holds ``config.json``.

    Raises:
        ModelError: none of the three; says what was tried.
    """
    for known in MODELS.values():
        if name and name in (known.name, known.hub_id):
            return known
    directory = Path(name).expanduser()
    if name and (directory / "config.json").is_file():
        return from_directory(directory)
    state = "is a directory without config.json" if name and directory.is_dir() else "is no directory"
    raise ModelError(
        f"no model {name!r}. Tried: the names and hub ids known here ({nearest(name, _known_names())}), "
        f"then the path, which {state}. Give one of the names, or a directory written by "
        f"save_pretrained (config.json, weights, tokenizer)."
    )


def locate(model: ModelEntry, mirror: str | Path | None) -> str:
    """What ``from_pretrained`` is given for a pretrained model: a directory, or a hub id.

    A mirror that holds ``models/<name>`` (or ``models/<org>/<name>``) goes before the hub.

    Raises:
        ModelError: the model has random weights, or only a mirror has it and this one does not.
    """
    if model.shape is not None:
        raise ModelError(f"{model.name} starts from random weights: there is nothing to load")
    candidates = (
        [] if mirror is None else [_in_mirror(mirror, n) for n in (model.name, model.hub_id) if n]
    )
    for directory in candidates:
        if (directory / "config.json").is_file():
            return str(directory)
    if model.hub_id:
        return model.hub_id
    tried = ", ".join(str(path) for path in candidates) or "no mirror is named"
    raise ModelError(
        f"{model.name} is on no hub and was not found in the mirror (tried: {tried}). Put its folder "
        f"under models/{model.name} of the mirror that data.path or INTERLUDE_MIRROR names."
    )


def revision_of(model: ModelEntry, mirror: str | Path | None) -> str:
    """What a fingerprint says about the weights: a hub commit, or a digest of config and weights.

    Random weights have none of their own: their shape and seed are in the stage.

    Raises:
        ModelError: as ``locate``; or the directory has no weights.
    """
    if model.shape is not None:
        return "random"
    place = locate(model, mirror)
    if place == model.hub_id and model.revision:
        return model.revision
    directory = Path(place)
    weights = sorted(directory.glob("*.safetensors")) or sorted(directory.glob("pytorch_model*.bin"))
    if not weights:
        raise ModelError(f"{directory} holds a config.json but no weights (*.safetensors)")
    digest = hashlib.sha256()
    for path in [directory / "config.json", *weights]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:40]


def _in_mirror(mirror: str | Path, name: str) -> Path:
    return Path(mirror) / "models" / name


def _known_names() -> list[str]:
    return [name for model in MODELS.values() for name in (model.name, model.hub_id) if name]
