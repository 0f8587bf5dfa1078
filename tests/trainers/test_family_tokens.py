import numpy as np
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
from trainers.families.tokens import _words, windows
from trainers.tasks.spec import FamilyName

TOKENS = family(FamilyName.TOKENS)
TASK = tiny_task(FamilyName.TOKENS, ("O", "B-PER", "B-LOC"))

TAG_OF = {"Bob": 1, "Ann": 1, "Oslo": 2, "Rome": 2}
SENTENCES = [
    [["Bob", "Ann"][number % 2], "is", "where", ["Oslo", "Rome"][number // 2 % 2], "is"][number % 3 :]
    for number in range(32)
]
EXAMPLES = {
    "id": [str(number) for number in range(32)],
    "tokens": SENTENCES,
    "tags": [[TAG_OF.get(word, 0) for word in words] for words in SENTENCES],
}


def encode(*sentences, training=False, max_length=64):
    examples = {
        "id": [str(number) for number in range(len(sentences))],
        "tokens": list(sentences),
        "tags": [[TAG_OF.get(word, 0) for word in words] for words in sentences],
    }
    task = tiny_task(FamilyName.TOKENS, TASK.labels, max_length)
    return TOKENS.encode(examples, task, tiny_tokenizer(), training=training)


class Oracle(torch.nn.Module):
    """A head that has been told the tags of a batch."""

    def __init__(self, n_labels):
        super().__init__()
        self.n_labels = n_labels
        self.tags = iter(())

    def forward(self, hidden_WD):
        tags = torch.tensor([next(self.tags) for _ in range(len(hidden_WD))], dtype=torch.long)
        return torch.nn.functional.one_hot(tags, self.n_labels).float()


def test_a_word_is_labelled_at_its_first_sub_word():
    features = encode(["xyz", "Bob"])
    ids = tiny_tokenizer().convert_ids_to_tokens(features["input_ids"][0])
    assert ids[0] == "<s>"
    assert ids[-2:] == ["▁Bob", "</s>"]
    assert [ids[position] for position in features["positions"][0]] == [ids[1], "▁Bob"]
    assert features["tags"] == [[0, 1]]
    assert features["words"] == [[0, 1]]


def test_a_batch_picks_the_labelled_positions_out_of_the_flat_batch():
    rows = as_rows(encode(["Bob", "is"], ["where", "is", "Oslo"]))
    batch = TOKENS.collate(rows, PAD_ID)
    picked = batch["input_ids"].flatten()[batch["positions"]]
    expected = tiny_tokenizer()("Bob is where is Oslo", add_special_tokens=False)["input_ids"]
    assert picked.tolist() == expected
    assert batch["tags"].tolist() == [1, 0, 0, 0, 2]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(5, 9), min_size=1, max_size=12), max_size=30), st.integers(1, 10))
def test_windows_keep_every_word_once_and_in_order(words, room):
    numbered = list(enumerate(words))
    packed = list(windows(numbered, room))
    assert [word for window in packed for word in window] == [
        (place, sub_words[:room]) for place, sub_words in numbered
    ]
    assert all(sum(len(sub_words) for _, sub_words in window) <= room for window in packed)


def test_every_word_of_a_long_sentence_is_predicted():
    words = [["Bob", "is", "xyz"][number % 3] for number in range(500)]
    features = encode(words, max_length=16)
    assert max(features["n_tokens"]) <= 16
    assert [place for window in features["words"] for place in window] == list(range(500))


def test_a_word_of_200_000_characters_fits():
    features = encode(["x" * 200_000, "Bob"], max_length=16)
    assert features["words"] == [[0], [1]]


def test_a_sentence_without_words_teaches_nothing_and_is_still_scored():
    assert encode([], training=True)["input_ids"] == []
    features = encode([], ["Bob"], [])
    assert features["example"] == [0, 1, 2]
    records = scored(
        TOKENS,
        {"id": ["0"], "tokens": [[]], "tags": [[]]},
        TASK,
        tiny_encoder(),
        TOKENS.make_head(WIDTH, TASK),
    )
    assert [records[name].tolist() for name in records] == [[0], [0], [0]]


def test_no_sentences_give_no_features():
    assert all(column == [] for column in encode().values())


def test_right_tags_score_as_true_positives_across_windows():
    words = ["Bob", "is", "xyz", "Oslo"] * 20
    examples = {"id": ["0"], "tokens": [words], "tags": [[TAG_OF.get(word, 0) for word in words]]}
    task = tiny_task(FamilyName.TOKENS, TASK.labels, max_length=16)
    rows = as_rows(TOKENS.encode(examples, task, tiny_tokenizer(), training=False))[::-1]
    assert len(rows) > 3
    oracle = Oracle(3)
    oracle.tags = iter([tag for row in rows for tag in row["tags"]])
    records = TOKENS.score(
        tiny_encoder(),
        oracle,
        batched(TOKENS, rows, 3),
        examples,
        task,
        **CELL,
    )
    assert [records[name].tolist() for name in ("true_positives", "n_predicted", "n_gold")] == [
        [40],
        [40],
        [40],
    ]


def test_a_word_the_tokenizer_loses_is_predicted_outside():
    words = ["Bob", "\u200b", "Oslo"]
    examples = {"id": ["0"], "tokens": [words], "tags": [[1, 2, 2]]}
    rows = as_rows(TOKENS.encode(examples, TASK, tiny_tokenizer(), training=False))
    assert rows[0]["words"] == [0, 2]
    oracle = Oracle(3)
    oracle.tags = iter([1, 2])
    records = TOKENS.score(
        tiny_encoder(),
        oracle,
        batched(TOKENS, rows),
        examples,
        TASK,
        **CELL,
    )
    assert [records[name].item() for name in ("true_positives", "n_predicted", "n_gold")] == [2, 2, 3]


def test_training_learns_the_tags_and_scoring_sees_it():
    losses, encoder, head = losses_while_training(TOKENS, EXAMPLES, TASK, n_steps=25)
    assert losses[-1] < 0.3 * losses[0]
    records = scored(TOKENS, EXAMPLES, TASK, encoder, head)
    assert np.sum(records["true_positives"]) > 0.9 * np.sum(records["n_gold"])


WORD = st.text(alphabet="abcdefgOslo \u200b\u0301กร", max_size=6)


@given(st.lists(st.lists(WORD, min_size=1, max_size=8), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_word_has_the_sub_words_that_its_sentence_would_give_it(sentences):
    found = _words(tiny_tokenizer(), sentences)
    encoded = tiny_tokenizer()(sentences, is_split_into_words=True, add_special_tokens=False)
    for number, words in enumerate(found):
        places = [place for place, sub_words in words for _ in sub_words]
        assert places == encoded.word_ids(number)
        assert [one for _, sub_words in words for one in sub_words] == encoded["input_ids"][number]
