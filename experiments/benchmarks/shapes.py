"""The encoders that are measured, with random weights, and the operations that training them takes.

    ops per trained token = 6 P + 12 L D n + 6 D V m

P weights without embeddings and heads; L layers of width D; n the length of the sequence that the token
is in, averaged over tokens; m the share of tokens that is predicted out of V (masked text, else 0). Two
operations per weight forward and four backward, attention in full, padding not counted.

Source: Kaplan et al. 2020, arXiv:2001.08361, section 2.1; backward as twice the forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PAD_ID = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """One encoder of XLM-R's kind.

    Attributes:
        name: of the shape, not of a published model: its weights are random.
        config: of ``XLMRobertaConfig``; what it leaves out is as published.
        batch_tokens: per optimiser step.
        learning_rate: peak.
    """

    name: str
    config: Mapping[str, float]
    batch_tokens: int
    learning_rate: float


_XLM_R = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "mini",
            {
                **_XLM_R,
                "vocab_size": 16_000,
                "hidden_size": 128,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "intermediate_size": 512,
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
            },
            batch_tokens=2048,
            learning_rate=1e-3,
        ),
        Shape("base", {**_XLM_R, "vocab_size": 250_002}, batch_tokens=8192, learning_rate=1e-4),
        Shape(
            "large",
            {
                **_XLM_R,
                "vocab_size": 250_002,
                "hidden_size": 1024,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "intermediate_size": 4096,
            },
            batch_tokens=8192,
            learning_rate=2e-5,
        ),
    )
}


def encoder_of(shape: Shape, seed: int) -> PreTrainedModel:
    """An encoder of that shape with random weights, a function of ``seed`` alone."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(seed)
    config = XLMRobertaConfig(**shape.config, pad_token_id=PAD_ID, attn_implementation="sdpa")
    return XLMRobertaModel(config, add_pooling_layer=False)


def ops_per_token(encoder: PreTrainedModel, mean_length: float, predicted_share: float) -> float:
    """Operations that a trained token takes.

    Args:
        encoder: whose weights are counted.
        mean_length: n, tokens, averaged over tokens: ``sum(n ** 2) / sum(n)`` over sequences.
        predicted_share: m, 0 to 1.
    """
    config = encoder.config
    n_all = sum(weight.numel() for weight in encoder.parameters())
    n_embedding = sum(weight.numel() for weight in encoder.embeddings.parameters())
    weights = 6.0 * (n_all - n_embedding)
    attention = 12.0 * config.num_hidden_layers * config.hidden_size * mean_length
    vocabulary = 6.0 * config.hidden_size * config.vocab_size * predicted_share
    return float(weights + attention + vocabulary)
