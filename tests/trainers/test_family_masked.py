import copy

import numpy as np
import pytest
import torch
from tiny_model import (
    CELL,
    PAD_ID,
    WIDTH,
    as_rows,
    batched,
    losses_while_training,
    scored,
    tiny_encoder,
    tiny_task,
    tiny_tokenizer,
)

from trainers.errors import ModelError
from trainers.families import family
from trainers.families.sequences import attended
from trainers.tasks.spec import FamilyName

MASKED = family(FamilyName.MASKED)
TASK = tiny_task(FamilyName.MASKED)
MASK_ID = tiny_tokenizer().mask_token_id

EXAMPLES = {
    "id": [str(number) for number in range(32)],
    "text": [f"the {['cat', 'dog'][number % 2]} sleeps the cat runs" for number in range(32)],
}


def rows_of(*texts, training=True, max_length=64):
    examples = {"id": [str(number) for number in range(len(texts))], "text": list(texts)}
    task = tiny_task(FamilyName.MASKED, max_length=max_length)
    return as_rows(MASKED.encode(examples, task, tiny_tokenizer(), training=training))


def test_about_15_in_100_tokens_are_chosen_and_most_of_them_masked():
    torch.manual_seed(1)
    batch = MASKED.collate(rows_of(*["the cat sleeps " * 20] * 200), PAD_ID)
    n_tokens = int(attended(batch).sum()) - 2 * 200
    assert len(batch["targets"]) / n_tokens == pytest.approx(0.15, abs=0.01)
    shown = batch["input_ids"].flatten()[batch["positions"]]
    assert (shown == MASK_ID).float().mean() == pytest.approx(0.8, abs=0.03)
    changed = (shown != MASK_ID) & (shown != batch["targets"])
    assert changed.float().mean() == pytest.approx(0.1, abs=0.03)


def test_targets_are_the_tokens_that_were_there_and_the_rest_is_untouched():
    rows = rows_of("the cat sleeps", "Bob runs", "a red bird sings")
    for seed in range(20):
        torch.manual_seed(seed)
        batch = MASKED.collate(rows, PAD_ID)
        restored = batch["input_ids"].flatten().clone()
        restored[batch["positions"]] = batch["targets"]
        restored = restored.view(batch["input_ids"].shape)
        for row, ids, mask in zip(rows, restored, batch["attention_mask"], strict=True):
            assert ids[mask.bool()].tolist() == row["input_ids"]


def test_special_tokens_and_padding_are_never_chosen():
    rows = rows_of("the cat sleeps " * 5, "Bob")
    for seed in range(50):
        torch.manual_seed(seed)
        targets = MASKED.collate(rows, PAD_ID)["targets"]
        assert len(targets) > 0
        assert not set(targets.tolist()) & set(tiny_tokenizer().all_special_ids)


def test_masks_follow_the_global_seed_and_differ_from_batch_to_batch():
    rows = rows_of("the cat sleeps " * 20)
    torch.manual_seed(3)
    first, second = MASKED.collate(rows, PAD_ID), MASKED.collate(rows, PAD_ID)
    torch.manual_seed(3)
    again = MASKED.collate(rows, PAD_ID)
    assert first["positions"].tolist() == again["positions"].tolist()
    assert first["positions"].tolist() != second["positions"].tolist()


def test_a_text_of_200_000_characters_is_cut_and_an_empty_one_left_out():
    rows = rows_of("cat " * 50_000, "", max_length=16)
    assert [row["n_tokens"] for row in rows] == [16]


def test_a_batch_without_text_has_no_loss_and_no_error():
    rows = rows_of("", "", training=False)
    encoder, head = tiny_encoder(), MASKED.make_head(WIDTH, TASK)
    loss = MASKED.loss(encoder, head, MASKED.collate(rows, PAD_ID))
    loss.backward()
    assert loss.item() == 0.0


def test_the_output_embedding_is_the_input_embedding():
    encoder, head = tiny_encoder(), MASKED.make_head(WIDTH, TASK)
    batch = MASKED.collate(rows_of("the cat sleeps"), PAD_ID)
    hidden = encoder(input_ids=batch["input_ids"]).last_hidden_state
    logits = head(hidden.flatten(0, 1)) @ encoder.embeddings.word_embeddings.weight.T
    expected = torch.nn.functional.cross_entropy(logits[batch["positions"]], batch["targets"])
    assert torch.allclose(MASKED.loss(encoder, head, batch), expected, atol=1e-5)


def test_evaluation_repeats_itself_and_leaves_the_global_generator_alone():
    encoder, head = tiny_encoder(), MASKED.make_head(WIDTH, TASK)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = scored(MASKED, EXAMPLES, TASK, encoder, head)
    assert torch.equal(torch.rand(3), expected)
    second = scored(MASKED, EXAMPLES, TASK, encoder, head)
    assert np.array_equal(first["loss"], second["loss"])
    assert first["n_tokens"].sum() > 0


def test_losses_are_booked_on_the_text_they_come_from():
    encoder, head = tiny_encoder(), MASKED.make_head(WIDTH, TASK)
    examples = {"id": ["0", "1", "2"], "text": ["the cat sleeps " * 10, "", "Bob runs"]}
    rows = as_rows(MASKED.encode(examples, TASK, tiny_tokenizer(), training=False))
    with torch.inference_mode():
        records = MASKED.score(
            encoder,
            head,
            batched(MASKED, rows),
            examples,
            TASK,
            **CELL,
        )
    assert records["n_tokens"][1] == 0
    assert records["loss"][1] == 0
    per_token = records["loss"].sum() / records["n_tokens"].sum()
    assert per_token == pytest.approx(np.log(len(tiny_tokenizer())), rel=0.2)


def test_training_learns_the_text():
    losses, _, _ = losses_while_training(MASKED, EXAMPLES, TASK)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_a_tokenizer_without_a_mask_token_is_refused():
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.mask_token = None
    with pytest.raises(ModelError, match="no mask token"):
        MASKED.encode(EXAMPLES, TASK, tokenizer, training=True)
