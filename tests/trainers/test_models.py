import json

import pytest

from trainers.errors import ModelError
from trainers.models import MODELS, entry, locate, retrieval_layer_of, revision_of


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_found_by_name_and_by_hub_id(model):
    assert entry(model.name) is model
    if model.hub_id:
        assert entry(model.hub_id) is model


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_retrieval_reads_a_layer_that_the_model_has(model):
    assert 0 < model.retrieval_layer <= model.n_layers


def test_retrieval_layers_are_those_of_the_published_protocol():
    layers = {name: model.retrieval_layer for name, model in MODELS.items() if model.n_layers >= 12}
    assert layers == {"xlm-roberta-large": 14, "xlm-roberta-base": 8, "bert-base-multilingual-cased": 8}
    assert [retrieval_layer_of(n_layers) for n_layers in (1, 2, 6, 24)] == [1, 1, 4, 14]


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
    transformers = pytest.importorskip("transformers")
    folder = _save_config(tmp_path / "mine")
    config = transformers.XLMRobertaConfig(**json.loads((folder / "config.json").read_text()))
    model = transformers.XLMRobertaModel(config, add_pooling_layer=False)
    assert entry(str(folder)).n_parameters == sum(p.numel() for p in model.parameters())


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
    found = entry(locate(listed, mirror))
    assert (found.n_layers, found.width, found.max_length) == (
        listed.n_layers,
        listed.width,
        listed.max_length,
    )
    assert found.n_parameters == listed.n_parameters
