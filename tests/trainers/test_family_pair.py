import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import (
    CELL,
    PAD_ID,
    WIDTH,
    as_rows,
    losses_while_training,
    scored,
    tiny_encoder,
    tiny_task,
    tiny_tokenizer,
)

from trainers.families import family
from trainers.families.pair import fit
from trainers.tasks.spec import FamilyName

PAIR = family(FamilyName.PAIR)
TASK = tiny_task(FamilyName.PAIR, ("cat", "dog"))

EXAMPLES = {
    "id": [str(number) for number in range(32)],
    "first": [["the cat", "a bird", "Bob"][number % 3] for number in range(32)],
    "second": [["the cat sleeps", "a dog runs"][number % 2] for number in range(32)],
    "label": [number % 2 for number in range(32)],
}


def encode(first, second, max_length=64):
    examples = {"id": ["0"], "first": [first], "second": [second], "label": [0]}
    task = tiny_task(FamilyName.PAIR, ("cat", "dog"), max_length)
    return PAIR.encode(examples, task, tiny_tokenizer(), training=False)


def test_a_pair_is_framed_as_the_tokenizer_frames_it():
    expected = tiny_tokenizer()("the cat", "a dog")["input_ids"]
    assert encode("the cat", "a dog")["input_ids"] == [expected]


def test_a_single_text_is_framed_alone():
    features = encode("the cat", "")
    assert features["input_ids"] == [tiny_tokenizer()("the cat")["input_ids"]]
    assert features["n_tokens"] == [4]


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(2, 200))
def test_the_longer_text_is_cut_and_all_room_is_used(n_first, n_second, room):
    kept_first, kept_second = fit(n_first, n_second, room)
    assert kept_first <= n_first
    assert kept_second <= n_second
    assert kept_first + kept_second == min(room, n_first + n_second)
    if kept_first < n_first:
        assert kept_first >= kept_second
    if kept_second < n_second:
        assert kept_second >= kept_first - 1


def test_a_text_of_200_000_characters_fits():
    long = "cat " * 50_000
    for first, second in ((long, long), ("cat", long), (long, "")):
        assert encode(first, second, max_length=16)["n_tokens"] == [16]


def test_the_model_limit_holds_where_the_task_allows_more():
    assert encode("cat " * 300, "dog", max_length=512)["n_tokens"] == [64]


def test_a_batch_is_padded_to_its_longest_sequence():
    features = PAIR.encode(
        {"id": ["0", "1"], "first": ["the cat", "the"], "second": ["", ""], "label": [1, 0]},
        TASK,
        tiny_tokenizer(),
        training=True,
    )
    batch = PAIR.collate(as_rows(features), PAD_ID)
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["input_ids"][1, 3] == PAD_ID
    assert batch["label"].tolist() == [1, 0]


def test_padding_does_not_change_the_loss():
    encoder, head = tiny_encoder(), PAIR.make_head(WIDTH, TASK)
    rows = as_rows(PAIR.encode(EXAMPLES, TASK, tiny_tokenizer(), training=True))[:6]
    together = PAIR.loss(encoder, head, PAIR.collate(rows, PAD_ID))
    alone = [PAIR.loss(encoder, head, PAIR.collate([row], PAD_ID)) for row in rows]
    assert torch.allclose(together, torch.stack(alone).mean(), atol=1e-5)


def test_training_learns_the_labels_and_scoring_sees_it():
    losses, encoder, head = losses_while_training(PAIR, EXAMPLES, TASK)
    assert losses[-1] < 0.3 * losses[0]
    assert scored(PAIR, EXAMPLES, TASK, encoder, head)["correct"].mean() > 0.9


def test_records_follow_the_examples_whatever_the_order_of_batches():
    encoder, head = tiny_encoder(), PAIR.make_head(WIDTH, TASK)
    rows = as_rows(PAIR.encode(EXAMPLES, TASK, tiny_tokenizer(), training=False))
    backwards = ((PAIR.collate([row], PAD_ID), [row]) for row in reversed(rows))
    with torch.inference_mode():
        records = PAIR.score(encoder, head, backwards, EXAMPLES, TASK, **CELL)
    assert (records["correct"] == scored(PAIR, EXAMPLES, TASK, encoder, head)["correct"]).all()


def test_the_loss_is_float32_under_bf16_autocast():
    encoder, head = tiny_encoder(), PAIR.make_head(WIDTH, TASK)
    rows = as_rows(PAIR.encode(EXAMPLES, TASK, tiny_tokenizer(), training=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = PAIR.loss(encoder, head, PAIR.collate(rows, PAD_ID))
    assert loss.dtype == torch.float32
