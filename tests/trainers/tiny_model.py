"""A tokenizer and an encoder of XLM-R's kind, small enough to build and train inside a test."""

from __future__ import annotations

import string
from functools import cache

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from trainers.models import ModelEntry
from trainers.tasks.spec import FamilyName, Metric, TaskSpec

WIDTH = 32
N_LAYERS = 2
PAD_ID = 1
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = ["the", "a", "cat", "dog", "bird", "sleeps", "runs", "sings", "red", "blue", "green", "is"]
WORDS += ["where", "who", "what", "Bob", "Ann", "Oslo", "Rome"]
OTHER_SCRIPTS = "กรุงเทพมหานคร مدينة كبيرة हिन्दी శ్రీ"

METRICS = {
    FamilyName.PAIR: Metric.ACCURACY,
    FamilyName.CHOICE: Metric.ACCURACY,
    FamilyName.SPANS: Metric.QA_F1_EM,
    FamilyName.TOKENS: Metric.SPAN_F1,
    FamilyName.RETRIEVAL: Metric.ACCURACY_AT_1,
    FamilyName.RANKING: Metric.MAP_AT_20,
    FamilyName.MINING: Metric.MINING_F1,
    FamilyName.MASKED: Metric.PSEUDO_PERPLEXITY,
}


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A Unigram tokenizer over a few words and single characters, framing as XLM-R does."""
    characters = dict.fromkeys(string.ascii_letters + string.digits + ".,?'▁" + OTHER_SCRIPTS)
    pieces = [(name, 0.0) for name in SPECIALS]
    pieces += [(f"▁{word}", -2.0) for word in WORDS]
    pieces += [(character, -5.0) for character in characters if not character.isspace()]
    backend = Tokenizer(models.Unigram(pieces, unk_id=3))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("\u200b", "")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token="<s>",
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    )


def tiny_encoder(seed: int = 0, n_vocabulary: int | None = None) -> XLMRobertaModel:
    """A random encoder of two layers, without dropout, over the tiny tokenizer or as many pieces."""
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=n_vocabulary or len(tiny_tokenizer()),
        hidden_size=WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD_ID,
        type_vocab_size=1,
    )
    return XLMRobertaModel(config, add_pooling_layer=False)


def tiny_task(family_name: FamilyName, labels: tuple[str, ...] = (), max_length: int = 64) -> TaskSpec:
    """A task of that family."""
    return TaskSpec(
        name=f"tiny-{family_name}",
        family=family_name,
        columns={},
        labels=labels,
        metric=METRICS[family_name],
        max_length=max_length,
        group="intermediate",
        licence="none",
        paper="none",
    )


def as_rows(features: dict[str, list]) -> list[dict]:
    """Feature columns as rows."""
    return [dict(zip(features, row, strict=True)) for row in zip(*features.values(), strict=True)]


def batched(shape, rows, size=4):
    """Batches with their rows, made as they are asked for."""
    for begin in range(0, len(rows), size):
        part = rows[begin : begin + size]
        yield shape.collate(part, PAD_ID), part


def losses_while_training(shape, examples, task, n_steps=25):
    """The loss before each of ``n_steps`` AdamW steps on all examples at once."""
    encoder = tiny_encoder()
    head = shape.make_head(WIDTH, task)
    rows = as_rows(shape.encode(examples, task, tiny_tokenizer(), training=True))
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=5e-3)
    losses = []
    for _ in range(n_steps):
        optimiser.zero_grad()
        loss = shape.loss(encoder, head, shape.collate(rows, PAD_ID))
        assert loss.dtype == torch.float32
        assert loss.shape == ()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, encoder, head


ENTRY = ModelEntry(
    name="tiny",
    hub_id="",
    revision="",
    max_length=64,
    retrieval_layer=1,
    n_layers=N_LAYERS,
    width=WIDTH,
    n_parameters=0,
)


CELL = {"entry": ENTRY, "language": "xx"}  # what a family is told of the cell it scores


def scored(shape, examples, task, encoder, head, size=4, **more):
    """Records of ``examples``."""
    rows = as_rows(shape.encode(examples, task, tiny_tokenizer(), training=False))
    with torch.inference_mode():
        return shape.score(
            encoder,
            head,
            batched(shape, rows, size),
            examples,
            task,
            **{**CELL, **more},
        )
