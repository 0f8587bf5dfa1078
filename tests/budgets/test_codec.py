"""Every fact a study writes comes back equal, and what has no exact form is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.codec import FactCodec, codec
from budgets.ledger import Charged, Entry, Opened, Released, Reserved
from scheduler.facts import Preregistered, StageStarted, StudyBegun, StudyFact
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    MergePart,
    MergeStage,
    ModelRef,
    Optimisation,
    TargetStage,
)

FACTS = (*get_args(Entry), *get_args(StudyFact))

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
st.register_type_strategy(DeviceTime, st.integers(0, 10**15).map(DeviceTime))
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(
    Bill,
    st.dictionaries(st.sampled_from(Purpose), st.integers(0, 10**12).map(DeviceTime)).map(Bill),
)
st.register_type_strategy(
    StudyBegun,
    st.builds(
        StudyBegun,
        name=st.text(),
        spec=st.dictionaries(st.text(), plain),
        spec_text=st.text(),
        environment=st.dictionaries(st.text(), plain),
    ),
)

st.register_type_strategy(
    Preregistered,
    st.builds(Preregistered, plan=st.dictionaries(st.text(), plain), sha256=st.text()),
)


@pytest.mark.parametrize("fact_type", FACTS, ids=lambda fact_type: fact_type.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_every_fact_comes_back_as_it_was(fact_type, data):
    fact = data.draw(st.from_type(fact_type))
    facts = FactCodec(FACTS)
    kind, payload = facts.write(fact)
    again = facts.read(kind, payload)
    assert again == fact
    assert type(again) is fact_type
    assert facts.write(again) == (kind, payload)


def test_stages_of_a_union_keep_their_class_though_their_fields_would_fit_another():
    model, steps = ModelRef("m", "r"), Optimisation(0.1)
    for stage in (
        IntermediateStage(model, None, None, (), 0, 5, steps, 1),
        TargetStage(model, "p", "xnli", (), 5, steps, 1),
        EvaluateStage(model, "p", "xnli", ("sw",), Half.SEARCH, ()),
        MergeStage(model, None, (MergePart("p", 0.5),), 1.5, "t", "xnli", ("sw",), Half.SEARCH, ()),
    ):
        fact = StageStarted("t", "h", "s", stage, 1, 5)
        again = FactCodec(FACTS).read(*FactCodec(FACTS).write(fact))
        assert type(again.config) is type(stage)
        assert again == fact


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


@dataclass(frozen=True, slots=True)
class Old:
    a: int


@dataclass(frozen=True, slots=True)
class New:
    a: int
    b: tuple[Old, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    one: Old | New | None = None
    by_number: Mapping[int, float] | None = None
    by_colour: Mapping[Colour, Level] | None = None


@pytest.mark.parametrize(
    "value",
    [
        Held(Old(1), {0: 1.5, -2: math.inf}, {Colour.RED: Level.HIGH}),
        Held(New(1), {}, {}),
        Held(None, None, None),
        Held(New(1, (Old(2), Old(3)))),
    ],
)
def test_unions_mappings_and_enums_come_back_exactly(value):
    facts = FactCodec([Held])
    again = facts.read(*facts.write(value))
    assert again == value
    assert type(again.one) is type(value.one)


def test_a_float_that_is_no_number_survives():
    both = codec(float)
    assert math.isnan(both.decode(both.encode(math.nan)))
    assert both.decode(both.encode(-math.inf)) == -math.inf


def test_a_field_added_with_a_default_may_be_absent():
    assert codec(New).decode({"a": 1}) == New(1)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Held(by_number={0: True}), r"Held\.by_number: 0: expected a number, got True"),
        (Held(by_number=[1.0]), r"Held\.by_number: expected a mapping"),
        (Held(one=Charged("h", Purpose.LOAD, DeviceTime(1))), r"Held\.one: .* no member of the union"),
        (Held(by_colour={"red": Level.HIGH}), "expected Colour, got 'red'"),
        (Held(New(1, [Old(1)])), r"Held\.one: b: expected a tuple"),
        (Held(Old(1.0)), r"Held\.one: a: expected a whole number, got 1\.0"),
    ],
)
def test_a_value_that_does_not_fit_its_hint_is_refused_with_its_path(value, complaint):
    with pytest.raises(TypeError, match=complaint):
        FactCodec([Held]).write(value)


@pytest.mark.parametrize("value", [(1,), {1: 2}, math.nan, {1, 2}, b"x", object()])
def test_a_value_without_an_exact_form_is_refused(value):
    with pytest.raises(TypeError, match="no exact JSON form"):
        codec(object).encode([value])


@pytest.mark.parametrize("hint", [set[int], list[int], tuple[int, str], int | str, bytes])
def test_a_hint_without_an_exact_form_is_refused_before_anything_is_written(hint):
    with pytest.raises(TypeError):
        codec(hint)


@pytest.mark.parametrize(
    "payload",
    [
        "[]",
        '{"one":{"is":"Nobody"}}',
        '{"one":{"is":"Old"}}',
        '{"one":{"a":1}}',
        '{"by_number":{"x":1}}',
        '{"by_number":{"1":"much"}}',
        '{"by_number":{"1":true}}',
        '{"by_colour":{"blue":3}}',
        '{"one":{"is":"New","a":1,"b":{}}}',
        '{"one":{"is":["New"],"a":1}}',
        '{"one":{"is":"Old","a":1.0}}',
        "{",
    ],
)
def test_a_payload_that_is_no_fact_is_refused(payload):
    with pytest.raises(ValueError):
        FactCodec([Held]).read("Held", payload)


def test_a_value_its_class_refuses_is_refused_when_read():
    facts = FactCodec([Opened])
    with pytest.raises(ValueError, match=r"amount: .*negative"):
        facts.read("Opened", '{"amount":{"ms":-1}}')


def test_two_facts_of_one_name_are_refused():
    other = dataclass(frozen=True)(type("Old", (), {}))
    with pytest.raises(TypeError, match="two facts are named Old"):
        FactCodec([Old, other])


def test_the_payload_is_short_and_readable():
    assert FactCodec([Reserved]).write(Reserved("t1/a", DeviceTime(5))) == (
        "Reserved",
        '{"hold":"t1/a","amount":{"ms":5}}',
    )
    assert FactCodec([Released]).write(Released("h")) == ("Released", '{"hold":"h"}')
