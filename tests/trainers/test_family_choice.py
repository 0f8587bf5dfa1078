import pytest
import torch
from tiny_model import (
    PAD_ID,
    WIDTH,
    as_rows,
    losses_while_training,
    scored,
    tiny_encoder,
    tiny_task,
    tiny_tokenizer,
)

from trainers.errors import MalformedDataError
from trainers.families import family
from trainers.tasks.spec import FamilyName

CHOICE = family(FamilyName.CHOICE)
TASK = tiny_task(FamilyName.CHOICE)

COLOURS = ["red", "blue", "green"]
EXAMPLES = {
    "id": [str(number) for number in range(16)],
    "context": [f"the {['cat', 'dog'][number % 2]} is" for number in range(16)],
    "question": ["what is the cat ?" if number % 2 else "" for number in range(16)],
    "choices": [COLOURS[number % 3 :] + COLOURS[: number % 3] for number in range(16)],
    "label": [-number % 3 for number in range(16)],  # wherever "red" is
}


def one(context, question, choices, max_length=64):
    examples = {
        "id": ["0"],
        "context": [context],
        "question": [question],
        "choices": [choices],
        "label": [0],
    }
    task = tiny_task(FamilyName.CHOICE, max_length=max_length)
    return CHOICE.encode(examples, task, tiny_tokenizer(), training=False)


def test_every_choice_follows_the_context_and_the_question():
    features = one("the cat", "who ?", ["Bob", "Ann"])
    expected = [tiny_tokenizer()("the cat who ?", name)["input_ids"] for name in ("Bob", "Ann")]
    assert features["input_ids"] == [expected]
    assert features["n_tokens"] == [sum(map(len, expected))]


def test_an_example_is_as_long_as_its_choices_padded_to_the_longest():
    features = one("the cat", "", ["Bob", "Ann saw the dog"])
    short, long = (len(sequence) for sequence in features["input_ids"][0])
    assert short < long
    assert features["n_padded"] == [2 * long]


def test_a_choice_without_a_prompt_stands_alone():
    assert one("", "", ["the cat"])["input_ids"] == [[tiny_tokenizer()("the cat")["input_ids"]]]


def test_a_long_context_loses_its_beginning_and_keeps_the_question():
    (sequences,) = one("dog " * 100, "where is Bob", ["Rome", "Oslo"], max_length=16)["input_ids"]
    question = tiny_tokenizer()("where is Bob", add_special_tokens=False)["input_ids"]
    for sequence in sequences:
        assert len(sequence) == 16
        after_prompt = sequence.index(2)
        assert sequence[after_prompt - len(question) : after_prompt] == question


def test_a_long_choice_is_cut_at_its_end_and_leaves_half_the_room():
    ((sequence,),) = one("dog" + " dog" * 99, "", ["cat bird " * 50], max_length=24)["input_ids"]
    dog, cat = tiny_tokenizer()("dog cat", add_special_tokens=False)["input_ids"]
    assert len(sequence) == 24
    assert sequence.count(dog) == 10
    assert sequence[1 + 10 + 2] == cat


def test_a_text_of_200_000_characters_fits():
    long = "cat " * 50_000
    for context, choice in ((long, long), ("", long), (long, "cat")):
        assert one(context, "", [choice], max_length=16)["n_tokens"] == [16]


def test_a_batch_holds_the_choices_of_an_example_together():
    rows = as_rows(CHOICE.encode(EXAMPLES, TASK, tiny_tokenizer(), training=True))[:2]
    batch = CHOICE.collate(rows, PAD_ID)
    assert batch["input_ids"].shape[0] == 6
    assert batch["label"].tolist() == [0, 2]
    flat = [choice for row in rows for choice in row["input_ids"]]
    for padded, mask, sequence in zip(batch["input_ids"], batch["attention_mask"], flat, strict=True):
        assert padded[mask.bool()].tolist() == sequence


def test_unequal_numbers_of_choices_are_refused():
    rows = [*as_rows(one("", "", ["a", "b"])), *as_rows(one("", "", ["a", "b", "c"]))]
    with pytest.raises(MalformedDataError, match="2 to 3 choices"):
        CHOICE.collate(rows, PAD_ID)


def test_training_learns_the_right_choice_and_scoring_sees_it():
    losses, encoder, head = losses_while_training(CHOICE, EXAMPLES, TASK)
    assert losses[-1] < 0.3 * losses[0]
    assert scored(CHOICE, EXAMPLES, TASK, encoder, head)["correct"].mean() > 0.9


def test_choices_compete_only_within_their_example():
    encoder, head = tiny_encoder(), CHOICE.make_head(WIDTH, TASK)
    rows = as_rows(CHOICE.encode(EXAMPLES, TASK, tiny_tokenizer(), training=True))[:5]
    together = CHOICE.loss(encoder, head, CHOICE.collate(rows, PAD_ID))
    alone = [CHOICE.loss(encoder, head, CHOICE.collate([row], PAD_ID)) for row in rows]
    assert torch.allclose(together, torch.stack(alone).mean(), atol=1e-5)
