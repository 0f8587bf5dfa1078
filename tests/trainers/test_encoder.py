"""An encoder is loaded whole and in float32, or not at all."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import tiny_encoder, tiny_tokenizer
from transformers import XLMRobertaForMaskedLM

from trainers.encoder import (
    load_encoder,
    load_tokenizer,
    model_place,
    model_revision,
    random_encoder,
    save_encoder,
)
from trainers.errors import ModelError
from trainers.models import entry

MINI = entry("mini-xlmr")
TOY = entry("toy-tiny")


@pytest.fixture
def mirror_folder(tmp_path):
    """A mirror with a masked-LM checkpoint in half precision, as published models often are."""
    folder = tmp_path / "models" / "mini-xlmr"
    torch.manual_seed(0)
    XLMRobertaForMaskedLM(tiny_encoder().config).half().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return tmp_path


def model_folder(mirror_folder):
    return mirror_folder / "models" / "mini-xlmr"


def test_a_half_precision_checkpoint_with_other_heads_is_loaded_in_float32(mirror_folder):
    encoder = load_encoder(MINI, model_place(MINI, "mirror", str(mirror_folder)))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    assert encoder.config._attn_implementation == "sdpa"
    saved = load_file(model_folder(mirror_folder) / "model.safetensors")
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, saved[f"roberta.{name}"].float()), name


def test_a_checkpoint_that_lacks_a_weight_is_refused(mirror_folder):
    file = model_folder(mirror_folder) / "model.safetensors"
    weights = load_file(file)
    del weights["roberta.encoder.layer.1.output.dense.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights .* encoder.layer.1.output.dense.weight"):
        load_encoder(MINI, model_folder(mirror_folder))


def test_a_checkpoint_that_is_cut_off_is_refused(mirror_folder):
    file = model_folder(mirror_folder) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load mini-xlmr"):
        load_encoder(MINI, model_folder(mirror_folder))


def test_a_checkpoint_of_another_shape_is_refused(mirror_folder):
    file = model_folder(mirror_folder) / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelError, match="mini-xlmr"):
        load_encoder(MINI, model_folder(mirror_folder))


@pytest.mark.parametrize("content", [None, "{}", "not json"])
def test_a_folder_that_holds_no_model_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match="cannot load mini-xlmr"):
        load_encoder(MINI, tmp_path)


def test_a_folder_without_tokenizer_is_refused(mirror_folder):
    for file in model_folder(mirror_folder).glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(MINI, "mirror", str(mirror_folder))


def test_a_saved_encoder_comes_back_bit_for_bit_with_its_tokenizer(mirror_folder, tmp_path):
    encoder = load_encoder(MINI, model_folder(mirror_folder))
    save_encoder(encoder, load_tokenizer(MINI, "mirror", str(mirror_folder)), tmp_path / "stage")
    again = load_encoder(MINI, tmp_path / "stage")
    for (name, left), (_, right) in zip(
        encoder.named_parameters(), again.named_parameters(), strict=True
    ):
        assert torch.equal(left, right), name
    assert (tmp_path / "stage" / "tokenizer.json").is_file()


def test_random_weights_depend_on_the_seed_alone():
    tokenizer = tiny_tokenizer()
    first, torch_state = random_encoder(TOY, tokenizer, seed=1), torch.rand(3)
    second = random_encoder(TOY, tokenizer, seed=1)
    other = random_encoder(TOY, tokenizer, seed=2)
    assert torch_state.shape == (3,)
    name = "encoder.layer.0.output.dense.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    assert first.config.hidden_size == TOY.width
    assert len(first.encoder.layer) == TOY.n_layers


def test_random_encoders_have_no_dropout_unless_their_shape_says_so():
    assert random_encoder(TOY, tiny_tokenizer(), seed=1).config.attention_probs_dropout_prob == 0.0
    said = replace(TOY, shape={**TOY.shape, "hidden_dropout_prob": 0.3})
    assert random_encoder(said, tiny_tokenizer(), seed=1).config.hidden_dropout_prob == 0.3


def test_a_published_model_is_not_pretrained_from_random_weights():
    with pytest.raises(ModelError, match="published"):
        random_encoder(MINI, tiny_tokenizer(), seed=0)


def test_a_revision_changes_with_the_weights_and_not_with_the_place(mirror_folder, tmp_path):
    before = model_revision(MINI, "mirror", str(mirror_folder))
    moved = mirror_folder.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    assert model_revision(MINI, "mirror", str(moved)) == before
    file = model_folder(moved) / "model.safetensors"
    weights = load_file(file)
    weights["roberta.embeddings.word_embeddings.weight"][0, 0] += 1
    save_file(weights, file, metadata={"format": "pt"})
    assert model_revision(MINI, "mirror", str(moved)) != before


def test_reading_a_revision_does_not_load_torch(mirror_folder):
    code = (
        "import sys; from trainers.encoder import model_revision; from trainers.models import entry; "
        f"model_revision(entry('mini-xlmr'), 'mirror', {str(mirror_folder)!r}); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
