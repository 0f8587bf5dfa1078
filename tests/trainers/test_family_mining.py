from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import ENTRY, PAD_ID, WIDTH, as_rows, scored, tiny_encoder, tiny_task, tiny_tokenizer

from trainers.errors import TaskError
from trainers.families import family
from trainers.families.mining import mine, threshold
from trainers.families.vectors import sentence_vectors
from trainers.tasks.examples import DOCUMENT, QUERY
from trainers.tasks.spec import FamilyName

MINING = family(FamilyName.MINING)
TASK = tiny_task(FamilyName.MINING)


class Given:
    """Batches of no text, and an encoder that gives the vectors named by their features."""

    def __init__(self, vectors):
        self.vectors = torch.from_numpy(vectors).float()

    def records(self, examples):
        batches = [
            (
                {"input_ids": torch.tensor([[row]]), "attention_mask": torch.ones(1, 1)},
                [{"example": row}],
            )
            for row in range(len(self.vectors))
        ]
        entry = replace(ENTRY, retrieval_layer=0)
        return MINING.score(self, None, iter(batches), examples, TASK, entry=entry, language="zh")

    def __call__(self, input_ids, attention_mask, output_hidden_states):
        states = self.vectors[input_ids]
        return type("Output", (), {"hidden_states": (states,), "last_hidden_state": states})


def cell(sides, parts, keys, scored_parts=(1, 2)):
    return {
        "id": [str(number) for number in range(len(sides))],
        "text": [""] * len(sides),
        "context": [""] * len(sides),
        "side": list(sides),
        "keys": [list(row) for row in keys],
        "part": list(parts),
        "scored": [
            side == QUERY and part in scored_parts for side, part in zip(sides, parts, strict=True)
        ],
    }


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def naive_mine(vectors, foreign, english):
    """All margins of all pairs; only a sentence's 4 nearest may be its proposal."""
    cosine = {(x, y): float(vectors[x] @ vectors[y]) for x in foreign for y in english}

    def near(row, others):
        ranked = sorted(others, key=lambda other: -cosine.get((row, other), cosine.get((other, row))))
        return ranked[:4]

    def around(row, others):
        near_by = [cosine.get((row, other), cosine.get((other, row))) for other in near(row, others)]
        return sum(near_by) / len(near_by)

    def margin(x, y):
        middle = (around(x, english) + around(y, foreign)) / 2
        return cosine[x, y] / middle if middle > 0 else -np.inf

    proposed = []
    for x in foreign:
        best = max(near(x, english), key=lambda y: margin(x, y))
        proposed.append((margin(x, best), x, best))
    for y in english:
        best = max(near(y, foreign), key=lambda x: margin(x, y))
        proposed.append((margin(best, y), best, y))
    taken, pairs = set(), {}
    for value, x, y in sorted(proposed, key=lambda entry: -entry[0]):
        if x not in taken and y not in taken and value > -np.inf:
            taken |= {x, y}
            pairs[x, y] = value
    return pairs


@settings(max_examples=60, deadline=None)
@given(
    n_foreign=st.integers(1, 14),
    n_english=st.integers(1, 14),
    middle=st.sampled_from([0.0, 0.7, 2.0]),
    seed=st.integers(0, 2**31),
)
def test_mined_pairs_equal_those_of_a_naive_search(n_foreign, n_english, middle, seed):
    vectors = unit(np.random.default_rng(seed).normal(middle, 1, size=(n_foreign + n_english, 4)))
    foreign, english = np.arange(n_foreign), np.arange(n_foreign, n_foreign + n_english)
    pairs = mine(torch.from_numpy(vectors), foreign, english)
    found = dict(zip(zip(pairs.foreign, pairs.english, strict=True), pairs.margin, strict=True))
    assert found == pytest.approx(naive_mine(vectors, foreign.tolist(), english.tolist()))
    assert (np.diff(pairs.margin) <= 0).all()


@pytest.mark.parametrize("size", [1, 3, 8])
def test_mining_does_not_depend_on_the_pieces(monkeypatch, size):
    vectors = torch.from_numpy(unit(np.random.default_rng(0).normal(0.5, 1, size=(40, 6))))
    whole = mine(vectors, np.arange(15), np.arange(15, 40))
    monkeypatch.setattr("trainers.families.vectors._QUERIES_AT_ONCE", size)
    monkeypatch.setattr("trainers.families.vectors._DOCUMENTS_AT_ONCE", size + 1)
    pieces = mine(vectors, np.arange(15), np.arange(15, 40))
    assert np.array_equal(whole.foreign, pieces.foreign)
    assert np.array_equal(whole.english, pieces.english)
    assert np.allclose(whole.margin, pieces.margin)


def f1_from(least, margins, right, n_gold):
    predicted = margins >= least
    found = (predicted & right).sum()
    return 2 * found / (predicted.sum() + n_gold) if found else 0.0


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=25),
    st.integers(0, 5),
)
def test_no_other_threshold_has_a_higher_f1(pairs, n_lost):
    margins = np.array([1 + value / 8 for value, _ in pairs])
    right = np.array([hit for _, hit in pairs], dtype=bool)
    n_gold = int(right.sum()) + n_lost
    chosen = threshold(margins, right, n_gold)
    best = max((f1_from(least, margins, right, n_gold) for least in margins), default=0.0)
    assert f1_from(chosen, margins, right, n_gold) == pytest.approx(best)


def test_the_threshold_lies_halfway_to_the_next_pair():
    margins, right = np.array([1.0, 1.4, 1.2]), np.array([False, True, True])
    assert threshold(margins, right, 2) == pytest.approx(1.1)
    assert threshold(margins[1:], right[1:], 2) == pytest.approx(1.2)
    assert threshold(margins[:1], right[:1], 2) == np.inf
    assert threshold(np.zeros(0), np.zeros(0, bool), 0) == np.inf


@st.composite
def cells(draw, parts):
    """Vectors and examples in which some pairs across languages are gold and near each other."""
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    vectors, sides, of_part, keys = [], [], [], []
    for part in parts:
        n_gold, n_foreign, n_english = (draw(st.integers(0, 6)) for _ in range(3))
        for number in range(n_gold):
            foreign = generator.normal(0.5, 1, size=8)
            vectors += [foreign, foreign + generator.normal(0, 0.4, size=8)]
            sides += [QUERY, DOCUMENT]
            keys += [[f"{part}/{number}"]] * 2
        vectors += list(generator.normal(0.5, 1, size=(n_foreign + n_english, 8)))
        sides += [QUERY] * n_foreign + [DOCUMENT] * n_english
        keys += [[]] * (n_foreign + n_english)
        of_part += [part] * (len(sides) - len(of_part))
    if not sides:
        vectors, sides, of_part, keys = [generator.normal(size=8)], [QUERY], [parts[-1]], [[]]
    return np.array(vectors), cell(sides, of_part, keys)


@settings(max_examples=60, deadline=None)
@given(cells(parts=(0, 1)))
def test_counts_equal_those_of_naive_mining_with_the_other_parts_threshold(drawn):
    vectors, examples = drawn
    records = Given(vectors).records(examples)
    rows = unit(vectors.astype(np.float32).astype(np.float64))
    of = {
        (part, side): [
            row
            for row in range(len(rows))
            if (examples["part"][row], examples["side"][row]) == (part, side)
        ]
        for part in (0, 1)
        for side in (QUERY, DOCUMENT)
    }
    mined = {
        part: naive_mine(rows, of[part, QUERY], of[part, DOCUMENT])
        if of[part, QUERY] and of[part, DOCUMENT]
        else {}
        for part in (0, 1)
    }

    def is_gold(pair):
        return bool(set(examples["keys"][pair[0]]) & set(examples["keys"][pair[1]]))

    n_gold = sum(bool(examples["keys"][row]) for row in of[0, QUERY])
    tuning = sorted(mined[0].items(), key=lambda entry: -entry[1])
    best, least = 0.0, np.inf
    for place in range(len(tuning)):
        found = sum(is_gold(pair) for pair, _ in tuning[: place + 1])
        f1 = 2 * found / (place + 1 + n_gold)
        if f1 > best:
            best = f1
            least = np.mean([margin for _, margin in tuning[place : place + 2]])
    predicted = {pair[0]: is_gold(pair) for pair, margin in mined[1].items() if margin >= least}
    assert records["n_predicted"].tolist() == [float(row in predicted) for row in of[1, QUERY]]
    assert records["true_positives"].tolist() == [
        float(predicted.get(row, False)) for row in of[1, QUERY]
    ]
    assert records["n_gold"].tolist() == [float(bool(examples["keys"][row])) for row in of[1, QUERY]]


@settings(max_examples=60, deadline=None)
@given(cells(parts=(1, 2)), st.sampled_from([1, 2]), st.randoms(use_true_random=False))
def test_the_gold_of_scored_rows_changes_no_prediction_of_theirs(drawn, part, random):
    vectors, examples = drawn
    before = Given(vectors).records(examples)
    inside = [row for row, of in enumerate(examples["part"]) if of == part]
    shuffled = [examples["keys"][row] for row in inside]
    random.shuffle(shuffled)
    keys = list(examples["keys"])
    for row, given_keys in zip(inside, shuffled, strict=True):
        keys[row] = given_keys
    after = Given(vectors).records({**examples, "keys": keys})
    of = [examples["part"][row] for row, is_scored in enumerate(examples["scored"]) if is_scored]
    mine_too = np.array(of) == part
    assert np.array_equal(before["n_predicted"][mine_too], after["n_predicted"][mine_too])


def test_pairs_that_are_far_nearer_than_their_surroundings_are_found():
    generator = np.random.default_rng(1)
    foreign = generator.normal(0.5, 1, size=(24, 128))
    english = foreign + generator.normal(0, 0.05, size=foreign.shape)
    english[16:] = generator.normal(0.5, 1, size=(8, 128))
    keys = [[str(number)] if number < 16 else [] for number in range(24)] * 2
    parts = [1 + number % 2 for number in range(24)] * 2
    vectors = np.concatenate((foreign, english))
    records = Given(vectors).records(cell([QUERY] * 24 + [DOCUMENT] * 24, parts, keys))
    paired = [1] * 16 + [0] * 8
    assert records["true_positives"].tolist() == paired
    assert records["n_predicted"].tolist() == records["n_gold"].tolist() == paired


@pytest.mark.parametrize(
    ("sides", "parts", "keys"),
    [
        ([QUERY], [1], [[]]),
        ([QUERY, DOCUMENT], [1, 0], [["k"], ["l"]]),
        ([QUERY, DOCUMENT, QUERY, DOCUMENT], [1, 1, 0, 0], [["k"], ["k"], [], []]),
        ([DOCUMENT, QUERY, DOCUMENT], [1, 0, 0], [[], ["k"], ["k"]]),
    ],
)
def test_parts_without_gold_or_with_too_few_sentences_predict_nothing(sides, parts, keys):
    vectors = np.random.default_rng(0).normal(1, 1, size=(len(sides), 8))
    records = Given(vectors).records(cell(sides, parts, keys))
    assert records["n_predicted"].sum() == records["true_positives"].sum() == 0


def test_a_sentence_is_the_entrys_layer_and_pooling():
    texts = ["the cat sleeps", "Bob runs", "the cat sleeps", "Bob runs"] * 2
    sides = [QUERY, QUERY, DOCUMENT, DOCUMENT] * 2
    keys = [["a"], ["b"], ["a"], ["b"], ["c"], ["d"], ["c"], ["d"]]
    examples = {**cell(sides, [1] * 4 + [2] * 4, keys), "text": texts}
    encoder = tiny_encoder().eval()
    for pooling in ("mean", "first"):
        entry = replace(ENTRY, pooling=pooling, retrieval_layer=2)
        records = scored(MINING, examples, TASK, encoder, torch.nn.Identity(), size=3, entry=entry)
        assert records["true_positives"].tolist() == [1, 1, 1, 1]
    (row, *_) = as_rows(MINING.encode(examples, TASK, tiny_tokenizer(), training=False))
    batch = MINING.collate([row], PAD_ID)
    with torch.inference_mode():
        state = encoder(**batch, output_hidden_states=True).hidden_states[2][0]
        for pooling, vector in (("mean", state.mean(0)), ("first", state[0])):
            expected = vector / vector.norm()
            assert torch.allclose(sentence_vectors(encoder, batch, 2, pooling)[0], expected, atol=1e-5)


def test_mining_is_never_trained():
    examples = cell([QUERY], [1], [[]])
    with pytest.raises(TaskError, match="tiny-mining is mining"):
        MINING.encode(examples, TASK, tiny_tokenizer(), training=True)
    with pytest.raises(TaskError, match="Take it out of the mix"):
        MINING.loss(tiny_encoder(), MINING.make_head(WIDTH, TASK), {})


def test_a_sentence_of_200_000_characters_fits():
    examples = {**cell([QUERY], [1], [[]]), "text": ["x" * 200_000]}
    assert MINING.encode(examples, TASK, tiny_tokenizer(), training=False)["n_tokens"] == [64]
