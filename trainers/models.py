"""The encoders a study can start from: where they lie, their shape, and their retrieval layer.

The layer that retrieval reads is a property of the model, fixed here and never tuned on test data:
``hidden_states[14]`` of XLM-R Large (24 layers) and ``hidden_states[8]`` of the 12-layer models, as
XTREME's public scripts and Glot500 have it. A model that is not in the table gets 7/12 of its depth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import ModelError, nearest

_DEPTH_NUMERATOR, _DEPTH_DENOMINATOR = 7, 12
_SPECIAL_POSITIONS = 2  # RoBERTa's positions start after the padding index


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One encoder.

    Attributes:
        name: short name, used in specs and records.
        hub_id: what ``from_pretrained`` is given: ``org/name`` or a directory; empty for a model
            that only a mirror holds (``models/<name>``) or that starts from random weights.
        revision: hub commit; empty for a directory (see ``revision_of``) and random weights.
        max_length: longest sequence, tokens.
        retrieval_layer: index into ``hidden_states``, 0 being the embeddings.
        n_layers: transformer layers.
        width: hidden size.
        n_parameters: with embeddings, without heads.
        world: ``hub`` for real data, ``toy`` for the generated world.
        shape: XLM-R config of a model that starts from random weights; its vocabulary is set by
            the tokenizer. None for a pretrained model.
    """

    name: str
    hub_id: str
    revision: str
    max_length: int
    retrieval_layer: int
    n_layers: int
    width: int
    n_parameters: int
    world: str = "hub"
    shape: Mapping[str, int] | None = None


MODELS: Mapping[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="xlm-roberta-large",
            hub_id="FacebookAI/xlm-roberta-large",
            revision="c23d21b0620b635a76227c604d44e43a9f0ee389",
            max_length=512,
            retrieval_layer=14,
            n_layers=24,
            width=1024,
            n_parameters=558_840_832,
        ),
        ModelEntry(
            name="xlm-roberta-base",
            hub_id="FacebookAI/xlm-roberta-base",
            revision="e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
            max_length=512,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=277_453_056,
        ),
        ModelEntry(
            name="bert-base-multilingual-cased",
            hub_id="google-bert/bert-base-multilingual-cased",
            revision="3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
            max_length=512,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=177_262_848,
        ),
        ModelEntry(
            name="mini-xlmr",
            hub_id="",
            revision="",
            max_length=512,
            retrieval_layer=3,
            n_layers=4,
            width=128,
            n_parameters=2_907_264,
        ),
        ModelEntry(
            name="toy-tiny",
            hub_id="",
            revision="",
            max_length=96,
            retrieval_layer=1,
            n_layers=2,
            width=64,
            n_parameters=112_576,
            world="toy",
            shape={
                "num_hidden_layers": 2,
                "hidden_size": 64,
                "num_attention_heads": 4,
                "intermediate_size": 128,
                "max_position_embeddings": 98,
            },
        ),
    )
}


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
        return _from_directory(directory)
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


def retrieval_layer_of(n_layers: int) -> int:
    """7/12 of the depth, rounded, at least 1: the rule for a model that is not in the table."""
    return max(1, round(n_layers * _DEPTH_NUMERATOR / _DEPTH_DENOMINATOR))


def _in_mirror(mirror: str | Path, name: str) -> Path:
    return Path(mirror) / "models" / name


def _known_names() -> list[str]:
    return [name for model in MODELS.values() for name in (model.name, model.hub_id) if name]


def _from_directory(directory: Path) -> ModelEntry:
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        n_layers, width = int(config["num_hidden_layers"]), int(config["hidden_size"])
        positions = int(config["max_position_embeddings"])
        n_parameters = _count_parameters(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is not the config of an encoder: {type(error).__name__} {error}. Expected "
            f"num_hidden_layers, hidden_size, intermediate_size, vocab_size and max_position_embeddings."
        ) from error
    roberta = "roberta" in str(config.get("model_type", ""))
    return ModelEntry(
        name=directory.resolve().name,
        hub_id=str(directory.resolve()),
        revision="",
        max_length=positions - _SPECIAL_POSITIONS if roberta else positions,
        retrieval_layer=retrieval_layer_of(n_layers),
        n_layers=n_layers,
        width=width,
        n_parameters=n_parameters,
    )


def _count_parameters(config: Mapping[str, Any]) -> int:
    """Parameters of a BERT-shaped encoder without pooler and heads.

    V D + P D + S D + 2 D embeddings, and per layer 4 (D^2 + D) attention,
    2 D I + I + D feed-forward, 4 D LayerNorm.
    """
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    rows = int(config["vocab_size"]) + int(config["max_position_embeddings"])
    rows += int(config.get("type_vocab_size", 1))
    layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    return rows * width + 2 * width + int(config["num_hidden_layers"]) * layer
