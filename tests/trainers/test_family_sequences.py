import pytest
from tiny_model import tiny_task, tiny_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from trainers.errors import ModelError, TaskError
from trainers.families import family
from trainers.families.sequences import Frame, attended, longest, pad, token_ids
from trainers.tasks.spec import FamilyName


def test_every_family_has_a_name_and_every_name_a_family():
    assert len({type(family(name)) for name in FamilyName}) == len(FamilyName)


def test_a_family_has_no_state_of_its_own():
    for name in FamilyName:
        assert family(name) is family(name)
        assert vars(family(name)) == {}


def test_the_frame_is_that_of_the_tokenizer():
    frame = Frame.of(tiny_tokenizer())
    assert frame == Frame(start=(0,), between=(2, 2), stop=(2,))
    assert frame.alone([7]) == [0, 7, 2]
    assert frame.pair([7], [8, 9]) == [0, 7, 2, 2, 8, 9, 2]
    assert (frame.room_alone(20), frame.room_pair(20)) == (18, 16)


def test_a_tokenizer_that_knows_no_letter_is_refused():
    empty = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordPiece({"[UNK]": 0})))
    empty.backend_tokenizer.model = models.BPE({"z": 0}, [])
    with pytest.raises(ModelError, match="0 tokens for the texts 'a' and 'b'"):
        Frame.of(empty)


def test_too_short_sequences_are_refused():
    with pytest.raises(TaskError, match="allows 15 tokens"):
        longest(tiny_task(FamilyName.PAIR, max_length=15), tiny_tokenizer())


def test_padding_is_masked_out():
    batch = pad([[5, 6, 7], [8]], pad_id=1)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1]]
    assert batch["attention_mask"].tolist() == attended(batch).tolist() == [[1, 1, 1], [1, 0, 0]]


def test_where_nothing_is_padded_there_is_no_mask_to_look_through():
    batch = pad([[5, 6], [8, 9]], pad_id=1)
    assert list(batch) == ["input_ids"]
    assert attended(batch).tolist() == [[1, 1], [1, 1]]


def test_texts_that_are_equal_are_tokenised_once_and_stay_in_their_places():
    given, tokenizer = [], tiny_tokenizer()

    def counting(texts, **how):
        given.extend(texts)
        return tokenizer(texts, **how)

    texts = ["the cat", "", "a dog", "the cat", "the cat"]
    ids = token_ids(counting, texts)
    assert given == ["the cat", "", "a dog"]
    assert ids == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
