"""The encoders a study can start from: their commits, their shapes, and what retrieval reads of them.

The layer that retrieval reads is a property of the model, fixed here and never tuned on test data:
``hidden_states[14]`` of XLM-R Large (24 layers) and ``hidden_states[8]`` of the 12-layer models, as
XTREME's public scripts and Glot500 have it. No script names one for another depth: 7/12 of it, which
is what 14 of 24 is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

_PUBLISHED_LAYERS = {12: 8, 24: 14}
_DEPTH_NUMERATOR, _DEPTH_DENOMINATOR = 7, 12

Pooling = Literal["mean", "first"]


def retrieval_layer_of(n_layers: int) -> int:
    """The published layer of that depth, or 7/12 of it, rounded, at least 1."""
    return _PUBLISHED_LAYERS.get(
        n_layers, max(1, round(n_layers * _DEPTH_NUMERATOR / _DEPTH_DENOMINATOR))
    )


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
        n_parameters: with embeddings, without pooler and heads; of a directory, all that its
            safetensors hold, and None where it has none.
        pooling: what retrieval takes of that layer, the mean over a sentence's tokens or the first.
        n_segments: segment embeddings; where there are two, the second text of a pair has its own.
        architecture: the ``model_type`` of its config, for what hangs on the names of its layers.
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
    n_parameters: int | None
    pooling: Pooling = "mean"
    n_segments: int = 1
    architecture: str = ""
    world: str = "hub"
    shape: Mapping[str, int] | None = None

    def at(self, revision: str | None) -> ModelEntry:
        """This model at another commit; None, and a model that is on no hub, change nothing."""
        return replace(self, revision=revision) if revision and self.revision else self


MODELS: Mapping[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="xlm-roberta-large",
            architecture="xlm-roberta",
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
            architecture="xlm-roberta",
            hub_id="FacebookAI/xlm-roberta-base",
            revision="e73636d4f797dec63c3081bb6ed5c7b0bb3f2089",
            max_length=512,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=277_453_056,
        ),
        ModelEntry(
            name="xlm-roberta-xl",
            architecture="xlm-roberta-xl",
            hub_id="facebook/xlm-roberta-xl",
            revision="aa5d120255845efeebc9b7f42822a1dd0f9ece9d",
            max_length=512,
            retrieval_layer=21,
            n_layers=36,
            width=2560,
            n_parameters=3_475_929_600,
        ),
        ModelEntry(
            name="xlm-roberta-xxl",
            architecture="xlm-roberta-xl",
            hub_id="facebook/xlm-roberta-xxl",
            revision="03e0fb540c3c9afd4bdda0072e7cb82d2eafd060",
            max_length=512,
            retrieval_layer=28,
            n_layers=48,
            width=4096,
            n_parameters=10_695_954_432,
        ),
        ModelEntry(
            name="bert-base-multilingual-cased",
            architecture="bert",
            hub_id="google-bert/bert-base-multilingual-cased",
            revision="3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
            max_length=512,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=177_262_848,
            n_segments=2,
        ),
        ModelEntry(
            name="mdeberta-v3-base",
            architecture="deberta-v2",
            hub_id="microsoft/mdeberta-v3-base",
            revision="a0484667b22365f84929a935b5e50a51f71f159d",
            max_length=512,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=278_218_752,
        ),
        ModelEntry(
            name="rembert",
            architecture="rembert",
            hub_id="google/rembert",
            revision="65da5133da36e29dfca67d4f0dd9f7f9db21b563",
            max_length=512,
            retrieval_layer=19,
            n_layers=32,
            width=1152,
            n_parameters=574_592_128,
            n_segments=2,
        ),
        ModelEntry(
            name="eurobert-210m",
            architecture="eurobert",
            hub_id="EuroBERT/EuroBERT-210m",
            revision="39b51e15dd1f1a06f58b5cbf6a8a188cec60bd0e",
            max_length=8192,
            retrieval_layer=8,
            n_layers=12,
            width=768,
            n_parameters=211_766_016,
        ),
        ModelEntry(
            name="eurobert-610m",
            architecture="eurobert",
            hub_id="EuroBERT/EuroBERT-610m",
            revision="d9af784ed20db6c2096e335ec6a67dd4a219924c",
            max_length=8192,
            retrieval_layer=15,
            n_layers=26,
            width=1152,
            n_parameters=607_874_688,
        ),
        ModelEntry(
            name="eurobert-2.1b",
            architecture="eurobert",
            hub_id="EuroBERT/EuroBERT-2.1B",
            revision="81245a4d71f43452badf5e04458e4ddb831ff109",
            max_length=8192,
            retrieval_layer=19,
            n_layers=32,
            width=2304,
            n_parameters=2_107_590_912,
        ),
        ModelEntry(
            name="mmbert-small",
            architecture="modernbert",
            hub_id="jhu-clsp/mmBERT-small",
            revision="abc32620dd4f6ab06f5fbe905dc25f310618e09f",
            max_length=8192,
            retrieval_layer=13,
            n_layers=22,
            width=384,
            n_parameters=140_493_696,
        ),
        ModelEntry(
            name="mmbert-base",
            architecture="modernbert",
            hub_id="jhu-clsp/mmBERT-base",
            revision="c5955035435e2bf121cde7f3c8863ef52ff35d82",
            max_length=8192,
            retrieval_layer=13,
            n_layers=22,
            width=768,
            n_parameters=306_939_648,
        ),
        ModelEntry(
            name="mini-xlmr",
            architecture="xlm-roberta",
            hub_id="",
            revision="",
            max_length=512,
            retrieval_layer=3,
            n_layers=4,
            width=128,
            n_parameters=2_907_264,
        ),
        ModelEntry(
            name="toy-mini",
            hub_id="",
            revision="",
            max_length=96,
            retrieval_layer=1,
            n_layers=1,
            width=32,
            n_parameters=31_360,
            architecture="xlm-roberta",
            world="toy",
            shape={
                "num_hidden_layers": 1,
                "hidden_size": 32,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "max_position_embeddings": 98,
            },
        ),
        ModelEntry(
            name="toy-tiny",
            architecture="xlm-roberta",
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
        ModelEntry(
            name="toy-small",
            hub_id="",
            revision="",
            max_length=96,
            retrieval_layer=2,
            n_layers=3,
            width=96,
            n_parameters=292_800,
            architecture="xlm-roberta",
            world="toy",
            shape={
                "num_hidden_layers": 3,
                "hidden_size": 96,
                "num_attention_heads": 6,
                "intermediate_size": 192,
                "max_position_embeddings": 98,
            },
        ),
    )
}
