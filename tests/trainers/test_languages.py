import pytest

from trainers.errors import TaskError, UnknownLanguageError
from trainers.tasks.languages import DEFINITIONS, LANGUAGES, language, low_resource
from trainers.tasks.toy.languages import LOW_RESOURCE as TOY_LOW_RESOURCE


def test_xtreme_r_has_fifty_languages_with_plausible_facts():
    assert len(LANGUAGES) == 50
    for entry in LANGUAGES.values():
        assert 0 <= entry.joshi_class <= 5
        assert entry.in_xlmr == (entry.cc100_gib > 0)


def test_the_default_joins_few_resources_and_little_text():
    few, little = set(low_resource("joshi<=2")), set(low_resource("cc100<5"))
    assert set(low_resource("default")) == few | little
    assert "ml" in few - little
    assert {"af", "tl", "eu"} <= little - few


def test_low_resource_languages_of_xtreme_are_the_published_ones():
    assert set(low_resource("joshi<=2")) == {
        "jv",
        "ml",
        "my",
        "te",
        "mr",
        "sw",
        "yo",
        "az",
        "gu",
        "qu",
        "ht",
        "pa",
        "wo",
    }
    assert set(low_resource("unseen")) == {"qu", "ht", "wo", "yo"}


def test_a_list_of_codes_is_taken_as_it_is_and_once():
    assert low_resource(["sw", "te", "sw"]) == ("sw", "te")


def test_an_unknown_code_is_answered_with_the_nearest():
    with pytest.raises(UnknownLanguageError, match=r"no language 'swa'.*sw"):
        low_resource(["te", "swa"])
    with pytest.raises(UnknownLanguageError):
        language("tlh")


def test_an_unknown_definition_is_answered_with_those_there_are():
    with pytest.raises(TaskError, match="poor") as caught:
        low_resource("poor")
    assert all(name in str(caught.value) for name in DEFINITIONS)


def test_the_toy_world_has_its_own_low_resource_languages():
    assert low_resource("default", "toy") == tuple(TOY_LOW_RESOURCE)
    assert low_resource([TOY_LOW_RESOURCE[1]], "toy") == (TOY_LOW_RESOURCE[1],)
    with pytest.raises(UnknownLanguageError, match="toy world"):
        low_resource(["sw"], "toy")
    with pytest.raises(TaskError, match="joshi"):
        low_resource("joshi<=2", "toy")
