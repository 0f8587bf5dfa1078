"""What a folder's own files say about the model in it, read without torch.

``config.json`` gives the shape under the names that its architecture uses; ``trainers/encoder.py``
has the last word when the weights are loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.errors import ModelError
from trainers.model_table import ModelEntry, retrieval_layer_of

# The first that the config has counts: XLM-R's name, then what DistilBERT and XLM call the same.
_LAYERS = ("num_hidden_layers", "n_layers")
_WIDTH = ("hidden_size", "dim", "emb_dim")
_POSITIONS = ("max_position_embeddings",)

# Architectures of RoBERTa's line: their positions start after the padding index.
_POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "luke",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
_DECODERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def from_directory(directory: Path) -> ModelEntry:
    """The entry of the model that ``save_pretrained`` wrote there.

    Raises:
        ModelError: ``config.json`` describes no encoder of text.
    """
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        _check_encoder(config, path)
        n_layers, width = _number(config, _LAYERS), _number(config, _WIDTH)
        positions = _number(config, _POSITIONS)
        architecture = str(config.get("model_type", ""))
        after_padding = architecture in _POSITIONS_AFTER_PADDING
        n_segments = int(config.get("type_vocab_size", 1))
        first = int(config.get("pad_token_id", 1)) + 1 if after_padding else 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is not the config of an encoder: {type(error).__name__} {error}. Expected "
            "num_hidden_layers, hidden_size and max_position_embeddings."
        ) from error
    return ModelEntry(
        name=directory.resolve().name,
        hub_id=str(directory.resolve()),
        revision="",
        max_length=positions - first,
        retrieval_layer=retrieval_layer_of(n_layers),
        n_layers=n_layers,
        width=width,
        n_parameters=_n_weights(directory),
        n_segments=max(1, n_segments),
        architecture=architecture,
    )


def _check_encoder(config: Mapping[str, Any], path: Path) -> None:
    """Refuse what is told by its config to be no encoder of text alone."""
    classes = [str(name) for name in config.get("architectures") or ()]
    if config.get("is_encoder_decoder"):
        problem = "an encoder-decoder"
    elif config.get("is_decoder") or any(name.endswith(_DECODERS) for name in classes):
        problem = f"a decoder ({', '.join(classes) or 'is_decoder'})"
    elif "text_config" in config or "vision_config" in config:
        problem = "a model of several modalities, its text encoder a part of it"
    else:
        return
    raise ModelError(
        f"{path} describes {problem}; a study needs an encoder, which reads a text in both directions. "
        "Save the encoder alone into a folder of its own, or take one of docs/models.md."
    )


def _number(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return int(config[next((name for name in names if name in config), names[0])])


def _n_weights(directory: Path) -> int | None:
    """Numbers in the folder's safetensors, by their headers; None where it has no such file."""
    files = sorted(directory.glob("*.safetensors"))
    try:
        return sum(_n_weights_of(file) for file in files) if files else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{directory} has a damaged *.safetensors: {type(error).__name__} {error}. Save or fetch "
            "the model again."
        ) from error


def _n_weights_of(file: Path) -> int:
    with file.open("rb") as stream:
        n_header, n_file = int.from_bytes(stream.read(8), "little"), file.stat().st_size
        if n_header > n_file - 8:
            raise ValueError(f"{file.name} has {n_file} bytes and announces {n_header} of header")
        header = json.loads(stream.read(n_header))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
