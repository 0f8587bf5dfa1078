"""Memory that runs out is known for what it is, and a batch in parts trains what the whole one did."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import PAD_ID, WIDTH, as_rows, tiny_encoder, tiny_task, tiny_tokenizer

from trainers.families import family
from trainers.memory import Parts, parts, ran_out
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


@pytest.mark.parametrize("n_parts", [2, 3, 5])
@pytest.mark.parametrize("n_rows", [1, 2, 5])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_batch_in_parts_has_the_loss_and_the_gradients_of_the_whole(name, n_rows, n_parts):
    task, batch = batch_of(name, n_rows)
    shape, encoder = family(name), tiny_encoder()
    torch.manual_seed(1)
    head = shape.make_head(WIDTH, task)
    parameters = [*encoder.parameters(), *head.parameters()]

    def gradients(pieces):
        for parameter in parameters:
            parameter.grad = None
        total = torch.zeros(())
        for part, share in pieces:
            loss = shape.loss(encoder, head, part) * share
            loss.backward()
            total += loss.detach()
        return total, [p.grad.clone() for p in parameters if p.grad is not None]

    whole, whole_gradients = gradients([(batch, 1.0)])
    pieces = list(parts(batch, n_rows, n_parts))
    assert len(pieces) == min(n_parts, n_rows)
    total, part_gradients = gradients(pieces)
    torch.testing.assert_close(total, whole, rtol=1e-5, atol=1e-6)
    for of_parts, of_whole in zip(part_gradients, whole_gradients, strict=True):
        torch.testing.assert_close(of_parts, of_whole, rtol=1e-4, atol=1e-6)
    assert sum(part["input_ids"].numel() for part, _ in pieces) == batch["input_ids"].numel()


def test_a_part_without_a_masked_token_counts_for_nothing():
    batch = {
        "input_ids": torch.ones(2, 3, dtype=torch.long),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "positions": torch.tensor([4, 5]),
        "targets": torch.tensor([8, 9]),
    }
    (first, nothing), (second, all_of_it) = parts(batch, 2, 2)
    assert (nothing, all_of_it) == (0.0, 1.0)
    assert len(first["targets"]) == 0
    assert second["positions"].tolist() == [1, 2]


@given(
    n_rows=st.integers(1, 40),
    per_row=st.integers(1, 3),
    length=st.integers(1, 9),
    most_tokens=st.integers(0, 400),
    least_rows=st.integers(1, 2),
    data=st.data(),
)
def test_parts_are_the_batch_within_the_budget_and_their_shares_are_the_mean(
    n_rows, per_row, length, most_tokens, least_rows, data
):
    values = torch.arange(n_rows * per_row * length).view(n_rows * per_row, length)
    batch = {"input_ids": values, "attention_mask": torch.ones_like(values)}
    has_positions = data.draw(st.booleans())
    if has_positions:
        chosen = data.draw(st.sets(st.integers(0, values.numel() - 1), min_size=1))
        batch |= {"positions": torch.tensor(sorted(chosen)), "targets": torch.tensor(sorted(chosen))}
    else:
        batch["label"] = torch.arange(n_rows)
    cut = Parts(most_tokens, least_rows)
    pieces = list(cut.of(batch, n_rows))
    assert sum(share for _, share in pieces) == pytest.approx(1)
    assert torch.equal(torch.cat([part["input_ids"] for part, _ in pieces]), values)
    mean = sum(
        share * part["targets" if has_positions else "label"].double().mean()
        for part, share in pieces
        if share
    )
    whole = batch["targets" if has_positions else "label"].double().mean()
    assert mean == pytest.approx(float(whole))
    row_tokens = per_row * length
    for part, _ in pieces:
        rows = len(part["input_ids"]) // per_row
        assert rows >= min(least_rows, n_rows)
        if most_tokens:
            assert rows * row_tokens <= max(most_tokens, (2 * least_rows - 1) * row_tokens)
        if has_positions:
            assert torch.equal(part["input_ids"].flatten()[part["positions"]], part["targets"])
    assert len(pieces) == 1 or most_tokens


@given(n_rows=st.integers(1, 200), row_tokens=st.integers(1, 50), least_rows=st.integers(1, 2))
def test_parts_get_smaller_until_they_cannot_be_cut(n_rows, row_tokens, least_rows):
    batch = {"input_ids": torch.zeros(n_rows, row_tokens), "label": torch.zeros(n_rows)}
    budgets = [0]
    while True:
        cut = Parts(budgets[-1], least_rows)
        largest = max(len(part["label"]) for part, _ in cut.of(batch, n_rows))
        cut.n_rows = largest  # as if the largest had been under way
        fewer = cut.halved()
        if not fewer:
            break
        assert fewer < largest * row_tokens
        budgets.append(fewer)
    assert largest < 2 * least_rows
    assert len(budgets) <= 9


def test_a_full_memory_is_told_from_a_bug():
    with pytest.raises(RuntimeError) as full:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert ran_out(full.value)
    assert ran_out(MemoryError())
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not ran_out(RuntimeError("shapes do not match"))
    assert not ran_out(OSError(28, "No space left on device"))
