"""Folders with a model: what is read from them, converted, left out and refused."""

import json

import pytest
import sentencepiece
import torch
from small_models import batch_of, build, save_model
from transformers import LlamaConfig, LlamaModel

from trainers.encoder import load_encoder, load_tokenizer
from trainers.errors import ModelError
from trainers.families.sequences import Frame, encode_batch
from trainers.features import tokenizer_digest
from trainers.models import entry
from trainers.tasks.spec import FamilyName


def test_masked_text_is_compared_with_the_embeddings_as_the_layers_see_them(tmp_path):
    built = build("rembert", tmp_path)
    shape, task, batch, _ = batch_of(built, FamilyName.MASKED)
    encoder, head = built.encoder(), shape.make_head(32, task)
    widening = encoder.encoder.embedding_hidden_mapping_in.weight
    as_seen = encoder.get_input_embeddings().weight @ widening.T
    hidden = encode_batch(encoder, batch).flatten(0, 1)[batch["positions"]]
    wanted = torch.nn.functional.cross_entropy(head(hidden) @ as_seen.T, batch["targets"])
    torch.testing.assert_close(shape.loss(encoder, head, batch), wanted)


def test_features_with_segments_are_kept_apart_from_those_without(tmp_path):
    model = entry(str(save_model("bert", tmp_path)))
    with_segments = load_tokenizer(model, "hub", None)
    (tmp_path / "config.json").write_text(
        json.dumps({**json.loads((tmp_path / "config.json").read_text()), "type_vocab_size": 1})
    )
    without = load_tokenizer(entry(str(tmp_path)), "hub", None)
    assert not Frame.of(without).has_segments
    assert tokenizer_digest(with_segments) != tokenizer_digest(without)


def test_code_that_a_model_brings_along_is_not_run(tmp_path):
    save_model("xlm-roberta", tmp_path)
    file = tmp_path / "config.json"
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')")
    code = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "auto_map": code}))
    assert load_encoder(entry(str(tmp_path)), tmp_path).config.model_type == "xlm-roberta"
    file.write_text(json.dumps({**known, "auto_map": code, "model_type": "mine"}))
    with pytest.raises(ModelError, match=r"code of its own \(auto_map\), which is never run"):
        load_encoder(entry(str(tmp_path)), tmp_path)


def test_a_decoder_is_refused_even_when_its_config_does_not_say_so(tmp_path):
    config = LlamaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16, max_position_embeddings=32)  # fmt: skip
    LlamaModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="holds a llama, which is no encoder"):
        load_encoder(entry(str(tmp_path)), tmp_path)


def test_older_configs_of_the_rotary_encoders_keep_their_angles(tmp_path):
    for kind, keys, layer, angle in (
        ("eurobert", {"rope_theta": 250000}, None, 250000),
        (
            "modernbert",
            {"global_rope_theta": 160000, "local_rope_theta": 5000},
            "sliding_attention",
            5000,
        ),
    ):
        folder = save_model(kind, tmp_path / kind)
        config = json.loads((folder / "config.json").read_text())
        config.pop("rope_parameters")
        (folder / "config.json").write_text(json.dumps({**config, **keys}))
        read = load_encoder(entry(str(folder)), folder).config.rope_parameters
        assert (read[layer] if layer else read)["rope_theta"] == angle


def test_a_tokenizer_that_is_a_sentencepiece_model_alone_is_converted(tmp_path):
    """mDeBERTa is published so."""
    save_model("deberta-v2", tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    text = tmp_path / "text.txt"
    text.write_text("the cat sleeps\na dog runs where Bob is\nthe bird sings\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "spm"), vocab_size=25, pad_id=0, bos_id=1, eos_id=2,
        unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
        user_defined_symbols=["[MASK]"], minloglevel=2,
    )  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "DebertaV2Tokenizer"}')
    tokenizer = load_tokenizer(entry(str(tmp_path)), "hub", None)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    sentence = "the dog sings where a cat is"
    assert tokenizer(sentence, add_special_tokens=False)["input_ids"] == pieces.encode(sentence)
    frame = Frame.of(tokenizer)
    assert (frame.start, frame.between, frame.stop) == ((1,), (2,), (2,))
    assert not frame.has_segments
    assert tokenizer.model_max_length == 64


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path):
    save_model("bert", tmp_path)
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        path = tmp_path / file
        if path.is_file():
            kept = json.loads(path.read_text())
            kept.pop("pad_token", None)
            path.write_text(json.dumps(kept))
    with pytest.raises(ModelError, match="no padding token"):
        load_tokenizer(entry(str(tmp_path)), "hub", None)
