"""Every architecture of the table, small and with random weights, through every family.

No published weights are needed: what differs between architectures (poolers, segments, positions,
attention, embeddings narrower than the layers) differs in a small model too.
"""

import copy
import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_model import CELL, as_rows, tiny_task, tiny_tokenizer
from tokenizers import processors
from transformers import AutoConfig, AutoModelForMaskedLM

from trainers.encoder import load_encoder, load_tokenizer, save_encoder
from trainers.errors import ModelError
from trainers.families import family
from trainers.families.sequences import Frame, encode_batch, pad, pad_rows
from trainers.features import tokenizer_digest
from trainers.memory import halves
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


@pytest.fixture(scope="module", params=ARCHITECTURES)
def built(request, tmp_path_factory):
    folder = save_model(request.param, tmp_path_factory.mktemp(request.param))
    model = entry(str(folder))
    return Built(request.param, model, folder, load_tokenizer(model, "hub", None))


def batch_of(built, name, **changes):
    shape = family(name)
    task = tiny_task(name, LABELS.get(name, ()))
    examples = {"id": ["0", "1", "2"], **EXAMPLES[name], **changes}
    rows = as_rows(shape.encode(examples, task, built.tokenizer, training=True))
    torch.manual_seed(1)
    return shape, task, shape.collate(rows, built.tokenizer.pad_token_id), rows


def test_a_folder_says_what_its_encoder_is(built):
    encoder = built.encoder()
    assert built.entry.n_layers == encoder.config.num_hidden_layers == 3
    assert built.entry.width == encoder.config.hidden_size == 32
    assert built.entry.max_length == LIMITS.get(built.kind, 64)
    assert built.entry.n_segments == (2 if built.kind in WITH_SEGMENTS else 1)
    assert not any("pooler" in name for name, _ in encoder.named_parameters())
    fused = encoder.config._attn_implementation == "sdpa"
    assert fused == (built.kind not in {"deberta-v2", "rembert"})


def test_the_longest_sequence_that_the_entry_allows_goes_through(built):
    ids = torch.full((1, built.entry.max_length), 6)
    with torch.inference_mode():
        hidden = encode_batch(
            built.encoder(), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        )
    assert hidden.shape == (1, built.entry.max_length, 32)
    assert built.tokenizer.model_max_length == min(64, built.entry.max_length)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_step_trains_the_whole_encoder_and_lowers_the_loss(built, name):
    shape, task, batch, _ = batch_of(built, name)
    encoder, head = built.encoder(), shape.make_head(32, task)
    before = {key: value.detach().clone() for key, value in encoder.named_parameters()}
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-3)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = shape.loss(encoder, head, batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    unchanged = {key for key, value in encoder.named_parameters() if torch.equal(value, before[key])}
    assert unchanged == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_family_scores_every_example(built, name):
    shape, task = family(name), tiny_task(name, LABELS.get(name, ()))
    examples = {"id": ["0", "1", "2"], **EXAMPLES[name]}
    rows = as_rows(shape.encode(examples, task, built.tokenizer, training=False))
    batches = iter([(shape.collate(rows, built.tokenizer.pad_token_id), rows)])
    with torch.inference_mode():
        cell = {**CELL, "entry": built.entry}
        records = shape.score(
            built.encoder(), shape.make_head(32, task), batches, examples, task, **cell
        )
    assert {len(column) for column in records.values()} == {3}
    assert all(np.isfinite(column).all() for column in records.values())


def test_padding_changes_no_result(built):
    encoder = built.encoder()
    short, long = [0, 6, 7, 8, 2], [0, *range(5, 24), 2]
    with torch.inference_mode():
        together = encode_batch(encoder, pad([short, long], 1))[0, : len(short)]
        alone = encode_batch(encoder, pad([short], 1))[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_order_of_the_words_matters(built):
    encoder = built.encoder()
    with torch.inference_mode():
        there, back = encode_batch(encoder, pad([[0, 6, 7, 8, 2], [0, 8, 7, 6, 2]], 1))[:, 2]
    assert (there - back).abs().max() > 1e-3


def test_every_layer_gives_retrieval_another_vector(built):
    batch = pad([[0, 6, 7, 8, 2], [0, 9, 10, 2]], 1)
    with torch.inference_mode():
        states = built.encoder()(**batch, output_hidden_states=True).hidden_states
    assert len(states) == built.entry.n_layers + 1
    assert 0 < built.entry.retrieval_layer < len(states)
    vectors = [torch.nn.functional.normalize(state.mean(1), dim=-1) for state in states]
    for lower, upper in pairwise(vectors):
        assert (lower - upper).abs().max() > 1e-3


def test_segments_are_those_that_the_tokenizer_gives_a_pair(built):
    _, _, batch, rows = batch_of(built, FamilyName.PAIR)
    if built.kind not in WITH_SEGMENTS:
        assert "token_type_ids" not in batch
        return
    given = EXAMPLES[FamilyName.PAIR]
    for number, texts in enumerate(zip(given["first"], given["second"], strict=True)):
        wanted = built.tokenizer(*[text for text in texts if text], return_token_type_ids=True)
        n_tokens = rows[number]["n_tokens"]
        assert batch["input_ids"][number, :n_tokens].tolist() == wanted["input_ids"]
        assert batch["token_type_ids"][number, :n_tokens].tolist() == wanted["token_type_ids"]


def test_a_choice_and_a_context_are_a_segment_of_their_own(built):
    frame = Frame.of(built.tokenizer)
    assert frame.has_segments == (built.kind in WITH_SEGMENTS)
    for name in (FamilyName.CHOICE, FamilyName.SPANS):
        _, _, batch, _ = batch_of(built, name)
        if frame.has_segments:
            ids, segments = batch["input_ids"], batch["token_type_ids"]
            after_between = ((ids == 2).cumsum(-1) - (ids == 2).int()).clamp(max=1)
            assert torch.equal(segments, after_between * batch["attention_mask"])
        else:
            assert "token_type_ids" not in batch


@pytest.mark.parametrize("built", sorted(WITH_SEGMENTS), indirect=True)
def test_the_encoder_sees_the_segments(built):
    sequence = [0, 6, 2, 7, 2]
    encoder = built.encoder()
    with torch.inference_mode():
        told = encode_batch(encoder, pad_rows([{"input_ids": sequence, "second_from": 3}], 1))
        untold = encode_batch(encoder, pad_rows([{"input_ids": sequence}], 1))
    assert (told - untold).abs().max() > 1e-4


@pytest.mark.parametrize("name", [FamilyName.PAIR, FamilyName.CHOICE, FamilyName.SPANS])
def test_halves_of_a_batch_have_the_loss_of_the_whole(built, name):
    shape, task, batch, rows = batch_of(built, name)
    encoder, head = built.encoder(), shape.make_head(32, task)
    with torch.inference_mode():
        whole = shape.loss(encoder, head, batch)
        parts = sum(share * shape.loss(encoder, head, half) for half, share in halves(batch, len(rows)))
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_an_encoder_that_a_stage_saved_comes_back_bit_for_bit(built, tmp_path):
    encoder = built.encoder()
    save_encoder(encoder, built.tokenizer, tmp_path / "stage")
    again = load_encoder(built.entry, tmp_path / "stage")
    for (name, left), (_, right) in zip(
        encoder.named_parameters(), again.named_parameters(), strict=True
    ):
        assert torch.equal(left, right), name


def test_autocast_computes_finite_losses(built):
    shape, task, batch, _ = batch_of(built, FamilyName.PAIR)
    with torch.autocast("cpu", torch.bfloat16):
        loss = shape.loss(built.encoder(), shape.make_head(32, task), batch)
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


def test_masked_text_is_compared_with_the_embeddings_as_the_layers_see_them(tmp_path):
    folder = save_model("rembert", tmp_path)
    model = entry(str(folder))
    built = Built("rembert", model, folder, load_tokenizer(model, "hub", None))
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
    from transformers import LlamaConfig, LlamaModel

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
    import sentencepiece

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
