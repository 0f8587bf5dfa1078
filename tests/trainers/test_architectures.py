"""Every architecture of the table, small and with random weights, through every family.

No published weights are needed: what differs between architectures (poolers, segments, positions,
attention, embeddings narrower than the layers) differs in a small model too.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from datasets import Dataset
from small_models import ARCHITECTURES, EXAMPLES, LABELS, LIMITS, WITH_SEGMENTS, batch_of, build
from tiny_model import CELL, as_rows, tiny_task

from trainers.encoder import load_encoder, save_encoder
from trainers.families import family
from trainers.families.sequences import Frame, attended, encode_batch, pad, pad_rows
from trainers.features import features
from trainers.fitting import token_bytes
from trainers.memory import parts as parts_of
from trainers.peak_memory import peak_bytes
from trainers.tasks.spec import FamilyName


@pytest.fixture(scope="module", params=ARCHITECTURES)
def built(request, tmp_path_factory):
    return build(request.param, tmp_path_factory.mktemp(request.param))


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


def test_hidden_states_are_those_that_the_model_gives_for_a_mask_of_tokens(built):
    pad_id = built.tokenizer.pad_token_id
    encoder = built.encoder()
    for sequences in ([[6, 7, 8, 9, 10], [8, 7], [9, 9, 9]], [[6, 7, 8], [8, 7, 9]]):
        batch = pad(sequences, pad_id)
        with torch.inference_mode():
            ours = encode_batch(encoder, batch)
            theirs = encoder(
                input_ids=batch["input_ids"], attention_mask=attended(batch)
            ).last_hidden_state
        assert torch.equal(ours[attended(batch).bool()], theirs[attended(batch).bool()])


def test_no_model_with_fused_attention_looks_through_a_batch_for_padding(built, monkeypatch):
    encoder = built.encoder()
    if encoder.config._attn_implementation != "sdpa" or built.kind == "modernbert":
        pytest.skip(f"{built.kind} makes its own mask of a mask of tokens")
    batch = pad([[6, 7, 8, 9, 10], [8, 7], [9, 9, 9]], built.tokenizer.pad_token_id)

    def asked(tensor):
        raise AssertionError(f"the host asked for the value of {tensor}")

    monkeypatch.setattr(torch.Tensor, "__bool__", asked)
    with torch.inference_mode():
        encode_batch(encoder, batch)


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
def test_parts_of_a_batch_have_the_loss_of_the_whole(built, name):
    shape, task, batch, rows = batch_of(built, name)
    encoder, head = built.encoder(), shape.make_head(32, task)
    with torch.inference_mode():
        whole = shape.loss(encoder, head, batch)
        cut = parts_of(batch, len(rows), 2)
        parts = sum(share * shape.loss(encoder, head, part) for part, share in cut)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_what_training_keeps_of_a_token_is_no_more_than_estimated(built):
    shape, task, _, rows = batch_of(built, FamilyName.PAIR)
    encoder, head = built.encoder(), shape.make_head(32, task)
    row = max(rows, key=lambda one: one["n_tokens"])

    def taken(n_rows):
        batch = shape.collate([row] * n_rows, built.tokenizer.pad_token_id)
        return peak_bytes(lambda: shape.loss(encoder, head, batch), torch.device("cpu"))

    encoder.train()
    taken(1)
    slope = (taken(64) - taken(16)) / (48 * row["n_tokens"])
    assert 0 < slope < token_bytes(encoder.config, row)


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


@pytest.mark.parametrize("built", ["bert"], indirect=True)
@pytest.mark.parametrize("name", [FamilyName.PAIR, FamilyName.CHOICE, FamilyName.SPANS])
def test_segments_survive_the_cache_on_disk(built, name, tmp_path):
    shape, task, batch, _ = batch_of(built, name)
    examples = Dataset.from_dict({"id": ["0", "1", "2"], **EXAMPLES[name]})
    cached = features(examples, task, built.tokenizer, training=True, cache_dir=tmp_path)
    again = shape.collate(list(cached), built.tokenizer.pad_token_id)
    assert torch.equal(again["token_type_ids"], batch["token_type_ids"])
