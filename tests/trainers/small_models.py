"""Small models of every architecture, saved as published ones are, and examples for every family."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from tiny_model import as_rows, tiny_task, tiny_tokenizer
from tokenizers import processors
from transformers import AutoConfig, AutoModelForMaskedLM

from trainers.encoder import load_encoder, load_tokenizer
from trainers.families import family
from trainers.models import ModelEntry, entry
from trainers.tasks.spec import FamilyName

_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "initializer_range": 0.2,  # else random layers hardly change a token
}
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_ROTARY = {"max_position_embeddings": 512, "mask_token_id": 4}

ARCHITECTURES = {
    "xlm-roberta": {**_NO_DROPOUT, "max_position_embeddings": 66, "type_vocab_size": 1},
    "xlm-roberta-xl": {**_NO_DROPOUT, "max_position_embeddings": 66, "type_vocab_size": 1},
    "bert": {**_NO_DROPOUT, "max_position_embeddings": 64, "type_vocab_size": 2},
    "rembert": {
        **_NO_DROPOUT,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "input_embedding_size": 16,
        "output_embedding_size": 24,
    },
    "deberta-v2": {
        **_NO_DROPOUT,
        "max_position_embeddings": 64,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "eurobert": {**_ROTARY, "num_key_value_heads": 1, "tie_word_embeddings": False},
    "modernbert": {**_ROTARY, "local_attention": 8, "cls_token_id": 0, "sep_token_id": 2},
    "electra": {**_NO_DROPOUT, "max_position_embeddings": 64, "embedding_size": 16},
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.0, "max_position_embeddings": 64},
}
WITH_SEGMENTS = {"bert", "rembert", "electra"}
LIMITS = {"eurobert": 512, "modernbert": 512}  # of the others 64

EXAMPLES = {
    FamilyName.PAIR: {
        "first": ["the cat", "a bird sings", "Bob"],
        "second": ["the cat sleeps", "a dog runs where", ""],
        "label": [0, 1, 0],
    },
    FamilyName.CHOICE: {
        "context": ["the cat is", "a dog is", "where"],
        "question": ["", "what is", ""],
        "choices": [["red", "blue"], ["green", "red a"], ["Oslo", "Rome"]],
        "label": [0, 1, 1],
    },
    FamilyName.SPANS: {
        "context": ["Bob is where Ann is", "Ann sleeps", "the cat sings Bob"],
        "question": ["who ?", "who sleeps ?", "what"],
        "answers": [["Bob"], ["Ann"], ["the cat"]],
        "starts": [[0], [0], [0]],
    },
    FamilyName.TOKENS: {
        "tokens": [["Bob", "runs"], ["where", "is", "Oslo"], ["Ann"]],
        "tags": [[1, 0], [0, 0, 2], [1]],
    },
    FamilyName.MASKED: {"text": ["the cat sleeps the cat runs", "Bob is red", "a dog sings"]},
}
LABELS = {FamilyName.PAIR: ("cat", "dog"), FamilyName.TOKENS: ("O", "B-PER", "B-LOC")}


@dataclass(frozen=True)
class Built:
    """A model in a folder, read as a study reads it."""

    kind: str
    entry: ModelEntry
    folder: object
    tokenizer: object

    def encoder(self):
        return load_encoder(self.entry, self.folder)


def save_model(kind, folder, **changes):
    """A masked-LM checkpoint as published ones are: prefixed, with a head, its tokenizer beside it."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    if kind in WITH_SEGMENTS:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1",
            special_tokens=[("<s>", 0), ("</s>", 2)],
        )
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, **{**_SMALL, "vocab_size": len(tokenizer), **ARCHITECTURES[kind], **changes}
    )
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build(kind, folder):
    """A small model of that architecture, saved and read again."""
    model = entry(str(save_model(kind, folder)))
    return Built(kind, model, folder, load_tokenizer(model, "hub", None))


def batch_of(built, name, **changes):
    shape = family(name)
    task = tiny_task(name, LABELS.get(name, ()))
    examples = {"id": ["0", "1", "2"], **EXAMPLES[name], **changes}
    rows = as_rows(shape.encode(examples, task, built.tokenizer, training=True))
    torch.manual_seed(1)
    return shape, task, shape.collate(rows, built.tokenizer.pad_token_id), rows
