"""Where an adapter sits in an encoder of a known architecture: names of its linear layers, no torch.

    queries_values   LoRA
    keys_values      (IA)^3
    feed_forward     the second layer of each feed-forward block: (IA)^3 and the bottleneck

PEFT's own tables leave out half of the encoders known here and may change with its version; what a
stage trains must not. ModernBERT has query, key and value in one layer, which then counts as each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainers.errors import ModelError

FULL = "full"
TUNINGS = (FULL, "lora", "ia3", "bottleneck")
FOLDABLE = ("lora", "ia3")  # linear: their effect can be added to the weights they adapt


@dataclass(frozen=True, slots=True)
class Places:
    """Regular expressions for the whole names of modules."""

    queries_values: str
    keys_values: str
    feed_forward: str


_BERT = Places(
    queries_values=r".*\.attention\.self\.(query|value)",
    keys_values=r".*\.attention\.self\.(key|value)",
    feed_forward=r".*\.layer\.\d+\.output\.dense",
)
_BERT_LIKE = (
    "bert",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
)
PLACES: Mapping[str, Places] = {
    **dict.fromkeys(_BERT_LIKE, _BERT),
    "deberta-v2": Places(
        queries_values=r".*\.attention\.self\.(query|value)_proj",
        keys_values=r".*\.attention\.self\.(key|value)_proj",
        feed_forward=_BERT.feed_forward,
    ),
    "distilbert": Places(
        queries_values=r".*\.attention\.(q|v)_lin",
        keys_values=r".*\.attention\.(k|v)_lin",
        feed_forward=r".*\.ffn\.lin2",
    ),
    "eurobert": Places(
        queries_values=r"layers\.\d+\.self_attn\.(q|v)_proj",
        keys_values=r"layers\.\d+\.self_attn\.(k|v)_proj",
        feed_forward=r"layers\.\d+\.mlp\.down_proj",
    ),
    "modernbert": Places(
        queries_values=r"layers\.\d+\.attn\.Wqkv",
        keys_values=r"layers\.\d+\.attn\.Wqkv",
        feed_forward=r"layers\.\d+\.mlp\.Wo",
    ),
}


def places_of(architecture: str, model: str) -> Places:
    """Where adapters sit in an encoder of that ``model_type``.

    Raises:
        ModelError: nobody has said so for this architecture.
    """
    if architecture not in PLACES:
        raise ModelError(
            f"{model} is a {architecture or 'model of no named type'}, and where an adapter sits in "
            f"one is known for {', '.join(sorted(PLACES))}. Tune it in full, take a model of one of "
            "these, or add its layers' names to trainers/adapter_places.py."
        )
    return PLACES[architecture]
