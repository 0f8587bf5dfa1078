"""The toy tokenizer: pieces that follow the morphology, XLM-R's templates, honest offsets."""

import pytest

from trainers.tasks.toy.languages import LANGUAGES
from trainers.tasks.toy.lexicon import lexicon
from trainers.tasks.toy.tasks import Teller, translation
from trainers.tasks.toy.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_stem_with_its_plural_is_two_pieces_and_nothing_is_unknown(tokenizer, code):
    language = LANGUAGES[code]
    words = [stems[0] + language.write(language.plural) for stems in lexicon(code).stems.values()]
    pieces = [tokenizer.tokenize(word) for word in words]
    assert sum(len(piece) == 2 for piece in pieces) > 0.95 * len(words)
    assert not any("<unk>" in piece for piece in pieces)


def test_pairs_are_marked_as_xlm_r_marks_them(tokenizer):
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a", "b")["input_ids"])
    assert pieces == ["<s>", "a", "</s>", "</s>", "b", "</s>"]


def test_offsets_point_into_the_text(tokenizer):
    from random import Random

    text = translation(Teller.of("qgo"), Random(0))["document"]
    encoded = tokenizer(text, return_offsets_mapping=True)
    covered = {i for start, end in encoded["offset_mapping"] for i in range(start, end)}
    assert covered == {i for i, letter in enumerate(text) if letter != " "}


def test_the_vocabulary_is_the_same_every_time(tokenizer):
    assert build_tokenizer().get_vocab() == tokenizer.get_vocab()
    assert len(tokenizer) < 2000
