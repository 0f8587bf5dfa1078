import json
import re

import pytest
import torch
from transformers import MODEL_MAPPING, XLMRobertaConfig, XLMRobertaModel

from trainers.encoder import class_arguments, load_encoder
from trainers.errors import ModelError
from trainers.models import MODELS, entry, locate, retrieval_layer_of, revision_of


def _shape(n_vocabulary, n_layers, width, n_heads, n_inner, **more):
    return {
        "vocab_size": n_vocabulary,
        "num_hidden_layers": n_layers,
        "hidden_size": width,
        "num_attention_heads": n_heads,
        "intermediate_size": n_inner,
        **more,
    }


_XLMR = {"max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
_BERT = {"max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0}
_EUROBERT = {"max_position_embeddings": 8192, "rope_theta": 250_000}

# What the published config.json files say of shape.
CONFIGS = {
    "xlm-roberta-large": ("xlm-roberta", _shape(250_002, 24, 1024, 16, 4096, **_XLMR)),
    "xlm-roberta-base": ("xlm-roberta", _shape(250_002, 12, 768, 12, 3072, **_XLMR)),
    "xlm-roberta-xl": ("xlm-roberta-xl", _shape(250_880, 36, 2560, 32, 10240, **_XLMR)),
    "xlm-roberta-xxl": ("xlm-roberta-xl", _shape(250_880, 48, 4096, 32, 16384, **_XLMR)),
    "bert-base-multilingual-cased": ("bert", _shape(119_547, 12, 768, 12, 3072, **_BERT)),
    "mdeberta-v3-base": (
        "deberta-v2",
        _shape(
            251_000,
            12,
            768,
            12,
            3072,
            max_position_embeddings=512,
            type_vocab_size=0,
            relative_attention=True,
            position_buckets=256,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type="p2c|c2p",
            position_biased_input=False,
        ),
    ),
    "rembert": ("rembert", _shape(250_300, 32, 1152, 18, 4608, **_BERT, input_embedding_size=256)),
    "eurobert-210m": (
        "eurobert",
        _shape(128_256, 12, 768, 12, 3072, num_key_value_heads=12, **_EUROBERT),
    ),
    "eurobert-610m": (
        "eurobert",
        _shape(128_256, 26, 1152, 18, 4096, num_key_value_heads=6, **_EUROBERT),
    ),
    "eurobert-2.1b": (
        "eurobert",
        _shape(128_256, 32, 2304, 18, 6144, num_key_value_heads=6, **_EUROBERT),
    ),
    "mmbert-small": ("modernbert", _shape(256_000, 22, 384, 6, 1152, max_position_embeddings=8192)),
    "mmbert-base": ("modernbert", _shape(256_000, 22, 768, 12, 1152, max_position_embeddings=8192)),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_found_by_name_and_by_hub_id(model):
    assert entry(model.name) is model
    if model.hub_id:
        assert entry(model.hub_id) is model


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_retrieval_reads_a_layer_that_the_model_has(model):
    assert 0 < model.retrieval_layer <= model.n_layers


def test_retrieval_layers_are_those_of_the_published_protocol():
    published = {"xlm-roberta-large": 14, "xlm-roberta-base": 8, "bert-base-multilingual-cased": 8}
    assert {name: MODELS[name].retrieval_layer for name in published} == published
    assert [retrieval_layer_of(n_layers) for n_layers in (1, 2, 6, 12, 24, 36)] == [1, 1, 4, 8, 14, 21]


@pytest.mark.parametrize("model", CONFIGS, ids=CONFIGS)
def test_other_retrieval_layers_follow_the_rule(model):
    assert MODELS[model].retrieval_layer == retrieval_layer_of(MODELS[model].n_layers)
    assert MODELS[model].pooling == "mean"


def test_every_published_model_is_pinned_and_has_its_config_here():
    assert set(CONFIGS) == {model.name for model in MODELS.values() if model.hub_id}
    for name in CONFIGS:
        assert re.fullmatch("[0-9a-f]{40}", MODELS[name].revision), name


@pytest.mark.parametrize("name", CONFIGS)
def test_the_table_agrees_with_the_published_config(name, tmp_path):
    """Built without memory: XXL has eleven thousand million weights."""
    from transformers import AutoConfig

    listed = MODELS[name]
    kind, shape = CONFIGS[name]
    config = AutoConfig.for_model(kind, **shape)
    arguments = {k: v for k, v in class_arguments(config, name).items() if k == "add_pooling_layer"}
    with torch.device("meta"):
        encoder = MODEL_MAPPING[type(config)](config, **arguments)
    assert listed.n_parameters == sum(weight.numel() for weight in encoder.parameters())
    config.save_pretrained(tmp_path)
    found = entry(str(tmp_path))
    for field in ("n_layers", "width", "max_length", "n_segments", "retrieval_layer", "pooling"):
        assert getattr(found, field) == getattr(listed, field), field


def test_a_commit_goes_before_the_pin_of_a_model_on_the_hub_alone(tmp_path):
    large = MODELS["xlm-roberta-large"]
    assert large.at(None) is large
    assert revision_of(large.at("a" * 40), None) == "a" * 40
    for elsewhere in (MODELS["mini-xlmr"], MODELS["toy-tiny"], entry(str(_save_config(tmp_path)))):
        assert elsewhere.at("a" * 40) is elsewhere


def _save_config(folder, **changes):
    config = {
        "model_type": "xlm-roberta", "num_hidden_layers": 6, "hidden_size": 32, "intermediate_size": 64,
        "vocab_size": 100, "num_attention_heads": 2, "max_position_embeddings": 66, "type_vocab_size": 1,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_a_directory_with_a_config_is_a_model(tmp_path):
    model = entry(str(_save_config(tmp_path / "mine")))
    assert (model.name, model.n_layers, model.width) == ("mine", 6, 32)
    assert model.max_length == 64
    assert model.retrieval_layer == 4
    assert model.hub_id == str(tmp_path / "mine")


def test_the_parameters_of_a_directory_are_those_that_torch_counts(tmp_path):
    folder = _save_config(tmp_path / "mine")
    assert entry(str(folder)).n_parameters is None
    config = XLMRobertaConfig(**json.loads((folder / "config.json").read_text()))
    model = XLMRobertaModel(config, add_pooling_layer=False)
    model.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert entry(str(folder)).n_parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("content", [b"", b"weights", (10**6).to_bytes(8, "little") + b"{}"])
def test_damaged_weights_are_named_before_anything_is_planned(tmp_path, content):
    _save_config(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged \*\.safetensors"):
        entry(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({"model_type": "xlm-roberta", "pad_token_id": 1}, 64),
        ({"model_type": "camembert", "pad_token_id": 1}, 64),
        ({"model_type": "roberta", "pad_token_id": 0}, 65),
        ({"model_type": "bert", "pad_token_id": 1}, 66),
        ({"model_type": "eurobert", "pad_token_id": 1}, 66),
    ],
)
def test_positions_that_padding_takes_are_not_counted(tmp_path, changes, length):
    assert entry(str(_save_config(tmp_path, **changes))).max_length == length


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"is_encoder_decoder": True}, "an encoder-decoder"),
        ({"architectures": ["LlamaForCausalLM"]}, r"a decoder \(LlamaForCausalLM\)"),
        ({"is_decoder": True}, r"a decoder \(is_decoder\)"),
        ({"text_config": {"hidden_size": 4}}, "several modalities"),
    ],
)
def test_a_model_that_is_no_encoder_of_text_is_refused(tmp_path, changes, problem):
    with pytest.raises(ModelError, match=f"{problem}.*a study needs an encoder"):
        entry(str(_save_config(tmp_path, **changes)))


def test_a_path_that_is_no_model_says_what_was_tried(tmp_path):
    with pytest.raises(ModelError, match=r"no model .*Tried.*is no directory"):
        entry(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"directory without config\.json"):
        entry(str(tmp_path))
    with pytest.raises(ModelError, match=r"Did you mean.*xlm-roberta-large"):
        entry("xlm-roberta-larg")
    with pytest.raises(ModelError, match="no model ''"):
        entry("")


@pytest.mark.parametrize("text", ["{", "[]", '{"num_hidden_layers": "many"}', "{}"])
def test_a_config_that_describes_no_encoder_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config.json is not the config of an encoder.*Expected"):
        entry(str(tmp_path))


def test_a_mirror_goes_before_the_hub(tmp_path):
    large = MODELS["xlm-roberta-large"]
    assert locate(large, None) == locate(large, tmp_path) == large.hub_id
    assert revision_of(large, tmp_path) == large.revision
    folder = _save_config(tmp_path / "models" / "xlm-roberta-large")
    assert locate(large, tmp_path) == str(folder)
    (folder / "model.safetensors").write_bytes(b"weights")
    assert revision_of(large, tmp_path) != large.revision


def test_a_digest_follows_the_weights_and_the_config(tmp_path):
    model = entry(str(_save_config(tmp_path)))
    with pytest.raises(ModelError, match="no weights"):
        revision_of(model, None)
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = revision_of(model, None)
    (tmp_path / "model.safetensors").write_bytes(b"two")
    second = revision_of(model, None)
    _save_config(tmp_path, vocab_size=101)
    assert len({first, second, revision_of(model, None)}) == 3
    assert len(first) == 40


def test_a_model_that_only_a_mirror_has_says_where_it_was_sought(tmp_path):
    with pytest.raises(ModelError, match="no mirror is named"):
        locate(MODELS["mini-xlmr"], None)
    with pytest.raises(ModelError, match="models/mini-xlmr"):
        locate(MODELS["mini-xlmr"], tmp_path)


def test_random_weights_cannot_be_loaded_and_have_no_revision_of_their_own():
    toy = MODELS["toy-tiny"]
    assert revision_of(toy, None) == "random"
    with pytest.raises(ModelError, match="random weights"):
        locate(toy, None)


@pytest.mark.mirror
def test_the_mirrors_model_is_the_one_in_the_table(mirror):
    listed = MODELS["mini-xlmr"]
    place = locate(listed, mirror)
    found = entry(place)
    assert (found.n_layers, found.width, found.max_length) == (
        listed.n_layers,
        listed.width,
        listed.max_length,
    )
    encoder = load_encoder(listed, place)
    assert listed.n_parameters == sum(weight.numel() for weight in encoder.parameters())
    assert found.n_parameters > listed.n_parameters  # the folder keeps the head it was trained with
