from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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

from trainers.families import family
from trainers.families.spans import ANSWER_TOKENS, best_spans, window_starts
from trainers.tasks.spec import FamilyName, Metric

SPANS = family(FamilyName.SPANS)
TASK = tiny_task(FamilyName.SPANS)

CONTEXTS = [f"{'the cat ' * (number % 4)}{['Bob', 'Ann'][number % 2]} sleeps" for number in range(32)]
ANSWERS = [["Bob", "Ann"][number % 2] for number in range(32)]
EXAMPLES = {
    "id": [str(number) for number in range(32)],
    "context": CONTEXTS,
    "question": ["who ?"] * 32,
    "answers": [[answer] for answer in ANSWERS],
    "starts": [[text.index(answer)] for text, answer in zip(CONTEXTS, ANSWERS, strict=True)],
}


def example(context, question="who", answer=None, start=None):
    if answer is None:
        answers, starts = [], []
    else:
        answers, starts = [answer], [context.index(answer) if start is None else start]
    return {
        "id": ["0"],
        "context": [context],
        "question": [question],
        "answers": [answers],
        "starts": [starts],
    }


def encode(examples, training, max_length=64):
    task = tiny_task(FamilyName.SPANS, max_length=max_length)
    return as_rows(SPANS.encode(examples, task, tiny_tokenizer(), training=training))


class Oracle(torch.nn.Module):
    """A head whose start and end logits are high at given positions of given sequences."""

    def __init__(self, marks):
        super().__init__()
        self.marks = marks  # (start, end) per sequence, in the order they will come

    def forward(self, hidden_BTD):
        logits = torch.zeros(*hidden_BTD.shape[:2], 2)
        for row in range(len(hidden_BTD)):
            start, end = self.marks.pop(0)
            logits[row, start, 0] = logits[row, end, 1] = 10.0
        return logits


def predicted_when_told(examples, max_length=64):
    """What is predicted when the head marks the tokens of the answer wherever they are whole."""
    wholes = {
        tuple(row["input_ids"]): (row["start"], row["end"])
        for row in encode(examples, training=True, max_length=max_length)
    }
    rows = encode(examples, training=False, max_length=max_length)
    marks = [wholes.get(tuple(row["input_ids"]), (0, 0)) for row in rows]
    head = Oracle(marks)
    return SPANS.predict(tiny_encoder(), head, batched(SPANS, rows, 3), examples)[0]


def test_question_and_context_are_framed_as_a_pair():
    (row,) = encode(example("the cat sleeps"), training=False)
    assert row["input_ids"] == tiny_tokenizer()("who", "the cat sleeps")["input_ids"]
    assert row["n_tokens"] == len(row["input_ids"])


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("the cat is where Bob is", "Bob"),
        ("the cat is where Bob is", "the cat"),
        ("the cat is where Bob is", "is"),
        ("  two  blanks  here ", "blanks  here"),
        ("กรุงเทพมหานคร", "เทพ"),
        ("هي مدينة كبيرة", "مدينة"),
        ("यह हिन्दी है", "हिन्दी"),
        ("cafe\u0301 bar", "bar"),
        ("శ్రీ Bob", "శ్రీ"),
        ("𝔘𝔫𝔦 Bob 😀 Oslo", "Oslo"),
    ],
)
def test_the_answer_comes_back_as_it_stands_in_the_text(context, answer):
    assert predicted_when_told(example(context, answer=answer)) == answer


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_an_answer_of_whole_words_survives_windows_of_any_length(data):
    words = data.draw(st.lists(st.sampled_from(["the", "cat", "Bob", "xy"]), min_size=1, max_size=80))
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 2, len(words) - 1)))
    max_length = data.draw(st.integers(32, 64))
    context, answer = " ".join(words), " ".join(words[first : last + 1])
    start = len(" ".join(words[:first])) + (first > 0)
    told = predicted_when_told(example(context, answer=answer, start=start), max_length)
    assert told == answer


@settings(deadline=None)
@given(st.integers(0, 2000), st.integers(3, 400), st.data())
def test_windows_cover_the_text_and_overlap_as_asked(n_tokens, room, data):
    overlap = data.draw(st.integers(1, room - 1))
    starts = list(window_starts(n_tokens, room, overlap))
    assert starts[0] == 0
    assert starts[-1] + room >= n_tokens
    assert all(after - before == room - overlap for before, after in pairwise(starts))
    if len(starts) > 1:
        assert starts[-2] + room < n_tokens


def test_training_windows_without_the_answer_are_left_out():
    context = "cat " * 100 + "Bob"
    rows = encode(example(context, answer="Bob"), training=True)
    assert 0 < len(rows) < len(encode(example(context, answer="Bob"), training=False))
    bob = tiny_tokenizer().convert_tokens_to_ids("▁Bob")
    assert all(row["input_ids"][row["start"]] == bob for row in rows)
    assert all(row["start"] == row["end"] for row in rows)


def test_an_unanswerable_question_points_at_the_first_token_in_every_window():
    rows = encode(example("cat " * 100), training=True)
    assert len(rows) > 1
    assert {(row["start"], row["end"]) for row in rows} == {(0, 0)}


def test_an_answer_that_is_not_in_the_text_teaches_nothing():
    assert encode(example("the cat", answer="Bob", start=500), training=True) == []


def test_texts_of_200_000_characters_fit():
    rows = encode(example("cat " * 50_000, question="dog " * 50_000), training=False, max_length=64)
    assert max(row["n_tokens"] for row in rows) == 64
    assert sum(len(row["char_begins"]) for row in rows) > 50_000
    n_question = rows[0]["context_from"] - 3
    assert n_question == 16


@pytest.mark.parametrize(
    ("filler", "answer"), [("هي مدينة كبيرة ", "Bob"), ("cafe\u0301 １２ ", "Oslo"), ("यह है ", "Rome")]
)
def test_the_answer_is_found_at_the_end_of_200_000_characters(filler, answer):
    context = filler * (200_000 // len(filler)) + answer
    assert len(context) > 199_000
    assert (
        predicted_when_told(example(context, answer=answer, start=len(context) - len(answer))) == answer
    )


def test_mlqas_rules_for_the_language_decide_its_score():
    examples = example("la Bob", answer="Bob")
    rows = encode(examples, training=False)
    first = rows[0]["context_from"]
    marks = [(first, first + len(rows[0]["char_begins"]) - 1)]
    task = replace(TASK, metric=Metric.MLQA_F1_EM)
    em = {
        language: SPANS.score(
            tiny_encoder(),
            Oracle(list(marks)),
            batched(SPANS, rows),
            examples,
            task,
            **{**CELL, "language": language},
        )["em"].tolist()
        for language in ("es", "en")
    }
    assert em == {"es": [1], "en": [0]}


def test_an_empty_text_has_the_empty_answer():
    rows = encode(example(""), training=False)
    assert len(rows) == 1
    head = SPANS.make_head(WIDTH, TASK)
    assert SPANS.predict(tiny_encoder(), head, batched(SPANS, rows), example("")) == [""]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 45), st.data())
def test_the_best_span_is_the_best_of_all_spans(seed, n_context, data):
    n_tokens = 4 + n_context + data.draw(st.integers(0, 5))
    generator = torch.Generator().manual_seed(seed)
    starts, ends = torch.randn(2, 1, n_tokens, generator=generator)
    batch = {"context_from": torch.tensor([4]), "context_to": torch.tensor([4 + n_context])}
    ((best, none, begin, end),) = best_spans(starts, ends, batch).tolist()
    everything = {
        (first, last): (starts[0, first] + ends[0, last]).item()
        for first in range(4, 4 + n_context)
        for last in range(first, min(first + ANSWER_TOKENS, 4 + n_context))
    }
    assert best == pytest.approx(max(everything.values()))
    assert everything[begin, end] == pytest.approx(best)
    assert none == pytest.approx((starts[0, 0] + ends[0, 0]).item())


def test_no_answer_is_predicted_only_where_questions_may_have_none():
    contexts = ["the cat sleeps", "Bob runs"]
    examples = {
        "id": ["0", "1"],
        "context": contexts,
        "question": ["who", "who"],
        "answers": [["the cat"], ["Bob"]],
        "starts": [[0], [0]],
    }
    rows = encode(examples, training=False)
    prefers_none = [(0, 0), (0, 0)]
    answers = SPANS.predict(tiny_encoder(), Oracle(list(prefers_none)), batched(SPANS, rows), examples)
    assert all(answers)
    examples["answers"], examples["starts"] = [["the cat"], []], [[0], []]
    marks = [(rows[0]["context_from"], rows[0]["context_from"] + 1), (0, 0)]
    records = SPANS.score(
        tiny_encoder(),
        Oracle(marks),
        batched(SPANS, rows),
        examples,
        TASK,
        **CELL,
    )
    assert records["em"].tolist() == [1, 1]
    assert records["f1"].tolist() == [1, 1]


def test_padding_does_not_change_the_loss():
    encoder, head = tiny_encoder(), SPANS.make_head(WIDTH, TASK)
    rows = encode(EXAMPLES, training=True)[:6]
    together = SPANS.loss(encoder, head, SPANS.collate(rows, PAD_ID))
    alone = [SPANS.loss(encoder, head, SPANS.collate([row], PAD_ID)) for row in rows]
    assert torch.allclose(together, torch.stack(alone).mean(), atol=1e-5)


def test_training_learns_the_answers_and_scoring_sees_it():
    losses, encoder, head = losses_while_training(SPANS, EXAMPLES, TASK, n_steps=25)
    assert losses[-1] < 0.3 * losses[0]
    records = scored(SPANS, EXAMPLES, TASK, encoder, head)
    assert np.mean(records["f1"]) > 0.9
    assert np.mean(records["em"]) > 0.9
