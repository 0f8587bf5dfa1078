"""The encoder of a stage: where its weights come from, always whole and always in float32.

``from_pretrained`` alone would load a half-precision checkpoint in half precision and fill missing
weights with random ones, both without an error; here either is refused. Code that a model brings
along is never run.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.errors import ModelError
from trainers.models import ModelEntry, locate, revision_of
from trainers.seeding import seed_everything
from trainers.tasks import mirror_path

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def model_revision(entry: ModelEntry, source_kind: str, source_path: str | None) -> str:
    """What a fingerprint says about the model's weights; free of torch.

    Raises:
        ModelError: the model is not where the source says.
    """
    return revision_of(entry, _mirror(source_kind, source_path))


def model_place(entry: ModelEntry, source_kind: str, source_path: str | None) -> str:
    """What ``from_pretrained`` is given for a published model: a folder, or a hub id.

    Raises:
        ModelError: the model has random weights only, or is not where the source says.
    """
    return locate(entry, _mirror(source_kind, source_path))


def load_encoder(entry: ModelEntry, where: str | Path) -> PreTrainedModel:
    """The encoder at ``where``, in float32, without pooler and heads.

    Attention is torch's fused one wherever the architecture has it (DeBERTa and RemBERT have not).

    Args:
        entry: of the model; its revision counts where ``where`` is its hub id.
        where: a folder that ``save_pretrained`` wrote, or a hub id.

    Raises:
        ModelError: there is no encoder at ``where``, it needs code of its own, or its weights are
            not all there.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    found_at = {"revision": _commit(entry, where), "trust_remote_code": False}
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(where, **found_at)
            encoder, found = AutoModel.from_pretrained(
                where,
                config=config,
                output_loading_info=True,
                dtype=torch.float32,
                **class_arguments(config, where),
                **found_at,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        remedy = "Name a folder with config.json and model.safetensors, or fetch the model again."
        if "trust_remote_code" in str(error):
            remedy = _NO_CODE
        raise ModelError(
            f"cannot load {entry.name} from {where}: {_first_line(error)}. {remedy}"
        ) from error
    missing = {key for key in found["missing_keys"] if "pooler" not in key} | {
        str(key) for key in found["mismatched_keys"]
    }
    if missing:
        raise ModelError(
            f"{where} lacks {len(missing)} weights of {entry.name}, for instance "
            f"{min(missing)}: they would start at random. It holds another model or is damaged; "
            "fetch it again."
        )
    _check_float32(encoder, where)
    return encoder


def class_arguments(config: PreTrainedConfig, where: object) -> dict[str, Any]:
    """What the encoder's class is given: no pooler, and fused attention, where it knows them.

    Raises:
        ModelError: the architecture is no encoder of text.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, MODEL_MAPPING

    kind = type(config)
    decodes = kind in MODEL_FOR_CAUSAL_LM_MAPPING and kind not in MODEL_FOR_MASKED_LM_MAPPING
    if kind not in MODEL_MAPPING or decodes or config.is_encoder_decoder:
        raise ModelError(
            f"{where} holds a {config.model_type}, which is no encoder that reads a text in both "
            "directions. Take one of docs/models.md, or another whose masked-LM class transformers has."
        )
    encoder_class = MODEL_MAPPING[kind]
    arguments: dict[str, Any] = {
        "attn_implementation": "sdpa" if encoder_class._supports_sdpa else "eager"
    }
    if "add_pooling_layer" in inspect.signature(encoder_class.__init__).parameters:
        arguments["add_pooling_layer"] = False
    return arguments


def random_encoder(
    entry: ModelEntry, tokenizer: PreTrainedTokenizerBase, *, seed: int
) -> PreTrainedModel:
    """An encoder of the entry's shape with random weights, a function of ``seed`` alone.

    Raises:
        ModelError: the entry is a published model.
    """
    from transformers import XLMRobertaConfig, XLMRobertaModel

    if entry.shape is None:
        raise ModelError(
            f"{entry.name} is a published model; only a model with a shape of its own is pretrained"
        )
    config = XLMRobertaConfig(
        **{**_NO_DROPOUT, **entry.shape},
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        type_vocab_size=1,
        attn_implementation="sdpa",
    )
    seed_everything(seed, "encoder")
    encoder = XLMRobertaModel(config, add_pooling_layer=False)
    _check_float32(encoder, "random weights")
    return encoder


def load_tokenizer(
    entry: ModelEntry, source_kind: str, source_path: str | None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with the model's limits.

    ``model_max_length`` is at most the model's, and ``model_input_names`` has ``token_type_ids``
    exactly where the model tells the two texts of a pair apart by segment, whatever the files say.

    Raises:
        ModelError: there is none where the model lies, or it cannot pad.
    """
    if entry.shape is not None:
        from trainers.tasks.toy.tokenizer import build_tokenizer

        return build_tokenizer()
    from transformers import AutoTokenizer

    where = model_place(entry, source_kind, source_path)
    if Path(where).is_dir() and not any((Path(where) / file).is_file() for file in _VOCABULARIES):
        # from_pretrained would make up an empty tokenizer of the model's kind.
        raise ModelError(f"{where} has no tokenizer: none of {', '.join(_VOCABULARIES)}. Put it there.")
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                where, revision=_commit(entry, where), trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        remedy = "The folder needs tokenizer.json beside the weights."
        if "trust_remote_code" in str(error):
            remedy = _NO_CODE
        raise ModelError(
            f"cannot load the tokenizer of {entry.name} from {where}: {_first_line(error)}. {remedy}"
        ) from error
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"the tokenizer of {entry.name} at {where} has no padding token, and texts of different "
            "length cannot meet in a batch. Set pad_token in its tokenizer_config.json."
        )
    tokenizer.model_max_length = min(int(tokenizer.model_max_length), entry.max_length)
    segments = ["token_type_ids"] if entry.n_segments > 1 else []
    tokenizer.model_input_names = ["input_ids", *segments, "attention_mask"]
    return tokenizer


def saved_weights(folder: Path, encoder: PreTrainedModel) -> dict[str, torch.Tensor] | None:
    """The weights that :func:`save_encoder` wrote into ``folder``, to be put into ``encoder``.

    None where they are not exactly its own, by name, shape and type: then :func:`load_encoder` says
    what is wrong, or knows how to read them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights: dict[str, torch.Tensor] = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError):
        return None
    own = encoder.state_dict()
    kinds = [{name: (t.shape, t.dtype) for name, t in some.items()} for some in (weights, own)]
    return weights if kinds[0] == kinds[1] else None


def save_encoder(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a folder that ``AutoModel`` and ``AutoTokenizer`` load, weights in float32."""
    _check_float32(encoder, folder)
    with _quiet():
        encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# Unless the shape says otherwise: dropout keeps attention off its fused kernels. The toy encoder trained
# at 22 000 tokens per s with XLM-R's 0.1 and at 42 000 without, to the same loss after 200 000 tokens
# (one thread of a shared two-core machine).
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

_WEIGHTS = "model.safetensors"  # what save_pretrained calls them, where one file is enough
_VOCABULARIES = (
    "tokenizer.json",
    "sentencepiece.bpe.model",  # XLM-R
    "sentencepiece.model",  # RemBERT
    "spm.model",  # DeBERTa-v3, mDeBERTa
    "spiece.model",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
)
_NO_CODE = (
    "It needs code of its own (auto_map), which is never run here. Take a model whose architecture "
    "transformers has."
)


def _commit(entry: ModelEntry, where: str | Path) -> str:
    return entry.revision if str(where) == entry.hub_id and entry.revision else "main"


def _mirror(source_kind: str, source_path: str | None) -> str | None:
    return mirror_path(source_path) if source_kind == "mirror" else None


def _check_float32(encoder: PreTrainedModel, where: object) -> None:
    import torch

    halves = [name for name, weight in encoder.named_parameters() if weight.dtype != torch.float32]
    if halves:
        raise ModelError(f"{len(halves)} weights of {where} are not float32, for instance {halves[0]}")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


class _quiet:  # noqa: N801 - reads as a word in a with statement
    """transformers without progress bars and load reports, which belong to no stage."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
