"""Memory that runs out is known for what it is, and a batch in halves trains what the whole one did."""

import random

import pytest
import torch
from tiny_model import PAD_ID, WIDTH, as_rows, tiny_encoder, tiny_task, tiny_tokenizer

from trainers.families import family
from trainers.memory import halves, ran_out
from trainers.seeding import seed_everything
from trainers.tasks.spec import FamilyName

EXAMPLES = {
    FamilyName.PAIR: {
        "first": ["the cat", "a dog runs", "Bob", "Ann sings", "red"],
        "second": ["sleeps", "", "runs", "the bird is blue", "is"],
        "label": [0, 1, 1, 0, 1],
    },
    FamilyName.CHOICE: {
        "context": ["the cat", "a dog " * 5, "", "Oslo", "Rome"],
        "question": ["", "who", "what", "where", "what"],
        "choices": [["red", "blue"], ["is", "the"], ["Bob", "Ann sings"], ["a", "b"], ["red", "is"]],
        "label": [0, 1, 1, 0, 1],
    },
    FamilyName.SPANS: {
        "context": ["the cat sleeps", "a dog runs", "Bob", "Ann sings", "the bird is blue"],
        "question": ["who", "what", "who", "who", "where"],
        "answers": [["the cat"], ["dog"], [], ["Ann"], ["blue"]],
        "starts": [[0], [2], [], [0], [12]],
    },
    FamilyName.TOKENS: {
        "tokens": [["Bob", "sleeps"], ["the", "cat", "is", "red"], ["Ann"], ["Oslo", "is"], ["dog"]],
        "tags": [[1, 0], [0, 0, 0, 0], [1], [1, 0], [0]],
    },
    FamilyName.MASKED: {"text": ["the cat sleeps", "a dog runs " * 4, "Bob", "red is blue", "a b c"]},
}


def batch_of(name, n_rows):
    task = tiny_task(name, ("O", "B-PER"))
    rows = as_rows(family(name).encode(EXAMPLES[name], task, tiny_tokenizer(), training=True))
    random.Random(n_rows).shuffle(rows)
    seed_everything(7)
    return task, family(name).collate(rows[:n_rows], PAD_ID)


@pytest.mark.parametrize("n_rows", [1, 2, 5])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_batch_in_halves_has_the_loss_and_the_gradients_of_the_whole(name, n_rows):
    task, batch = batch_of(name, n_rows)
    shape, encoder = family(name), tiny_encoder()
    torch.manual_seed(1)
    head = shape.make_head(WIDTH, task)
    parameters = [*encoder.parameters(), *head.parameters()]

    def gradients(parts):
        for parameter in parameters:
            parameter.grad = None
        total = torch.zeros(())
        for part, share in parts:
            loss = shape.loss(encoder, head, part) * share
            loss.backward()
            total += loss.detach()
        return total, [p.grad.clone() for p in parameters if p.grad is not None]

    whole, whole_gradients = gradients([(batch, 1.0)])
    parts = list(halves(batch, n_rows))
    assert len(parts) == min(2, n_rows)
    total, part_gradients = gradients(parts)
    torch.testing.assert_close(total, whole, rtol=1e-5, atol=1e-6)
    for of_parts, of_whole in zip(part_gradients, whole_gradients, strict=True):
        torch.testing.assert_close(of_parts, of_whole, rtol=1e-4, atol=1e-6)
    assert sum(part["input_ids"].numel() for part, _ in parts) == batch["input_ids"].numel()


def test_a_half_without_a_masked_token_counts_for_nothing():
    batch = {
        "input_ids": torch.ones(2, 3, dtype=torch.long),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "positions": torch.tensor([4, 5]),
        "targets": torch.tensor([8, 9]),
    }
    (first, nothing), (second, all_of_it) = halves(batch, 2)
    assert (nothing, all_of_it) == (0.0, 1.0)
    assert len(first["targets"]) == 0
    assert second["positions"].tolist() == [1, 2]


def test_a_full_memory_is_told_from_a_bug():
    with pytest.raises(RuntimeError) as full:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out(full.value)
    assert ran_out(MemoryError())
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not ran_out(RuntimeError("shapes do not match"))
    assert not ran_out(OSError(28, "No space left on device"))
