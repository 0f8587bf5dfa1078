"""The mixing of a study: what a spec may say, which mixes it allows, and the rates they mean."""

from __future__ import annotations

import pytest
from fakes import mapping_of, spec_of, tree_of

from budgets.codec import codec
from budgets.errors import SpecError
from scheduler.facts import StudyBegun
from scheduler.mix import Mix
from scheduler.places import changed
from scheduler.spec import read
from scheduler.study import space_of

TASKS = ["toy_text", "toy_entailment", "toy_reading"]
ALL = Mix.of(tuple(TASKS))


def study(mixing, tasks=TASKS):
    changes = {"intermediate.tasks": tasks, "intermediate.count": [0, len(tasks)]}
    return spec_of({**changes, "intermediate.mixing": mixing})


def problems(mixing, tasks=TASKS):
    with pytest.raises(SpecError) as refusal:
        study(mixing, tasks)
    return refusal.value.problems


@pytest.mark.parametrize(
    ("mixing", "names"),
    [
        ({}, ["log_cap", "temperature"]),
        ({"rule": "capped"}, ["log_cap"]),
        ({"rule": "proportional"}, []),
        ({"rule": "uniform"}, []),
        ({"rule": "weights", "weights": dict.fromkeys(TASKS, 1)}, []),
        ({"rule": "uniform", "text": [0.1, 0.5]}, ["text"]),
        ({"text": [0.1, 0.5]}, ["log_cap", "temperature", "text"]),
    ],
)
def test_only_what_the_rule_uses_is_searched(mixing, names):
    assert [axis.name for axis in space_of(study(mixing)).axes] == names


def test_a_rule_without_numbers_has_a_mix_for_each_subset():
    assert space_of(study({"rule": "uniform"})).n_mixes == 2**3


@pytest.mark.parametrize(
    ("mixing", "mix", "rates"),
    [
        ({"rule": "uniform"}, ALL, (1 / 3, 1 / 3, 1 / 3)),
        # Paper data: 200 rows for each split and language; toy_text has eight languages.
        ({"rule": "proportional"}, ALL, (0.1, 0.1, 0.8)),
        ({"rule": "capped"}, Mix.of(ALL.tasks, 400), (0.25, 0.25, 0.5)),
        ({"rule": "uniform", "text": [0.1, 0.5]}, Mix.of(ALL.tasks, text=0.4), (0.3, 0.3, 0.4)),
        (
            {"rule": "weights", "weights": {"toy_text": 1, "toy_entailment": 2, "toy_reading": 5}},
            ALL,
            (0.25, 0.625, 0.125),
        ),
        (
            {"rule": "weights", "weights": {"toy_entailment": 1, "toy_reading": 3}, "text": [0.2, 0.2]},
            Mix.of(ALL.tasks, text=0.2),
            (0.2, 0.6, 0.2),
        ),
        ({"rule": "weights", "weights": dict.fromkeys(TASKS, 7)}, Mix(("toy_text",)), (1.0,)),
        ({"text": [0.2, 0.2]}, Mix(("toy_text",)), (1.0,)),
    ],
)
def test_the_rates_of_a_mix_follow_the_rule(mixing, mix, rates):
    found = tree_of(study(mixing)).rates(mix)
    assert [name for name, _ in found] == sorted(mix.tasks)
    assert [rate for _, rate in found] == pytest.approx(rates, abs=1e-6)


@pytest.mark.parametrize(
    ("mixing", "problem"),
    [
        ({"cap": [5, 4]}, "cap: [5, 4] goes down; write the lower end first"),
        ({"text": [0.5, 0.4]}, "text: [0.5, 0.4] goes down; write the lower end first"),
        ({"text": [0.5, 1.0]}, "text.1: Input should be less than 1, got 1.0"),
        ({"rule": "uniform", "cap": [5, 6]}, "cap: the rule 'uniform' does not use it; remove the key"),
        (
            {"rule": "capped", "temperature": [1, 2]},
            "temperature: the rule 'capped' does not use it; remove the key, or choose a rule that does "
            "(temperature)",
        ),
        (
            {"rule": "weights", "weights": {**dict.fromkeys(TASKS, 1), "toy_reading": 1e-7}},
            "weights.toy_reading: 1e-07 of 2 is less than a millionth: the task would never be drawn",
        ),
        ({"text": [1e-9, 0.1]}, "text: 1e-09 is less than a millionth: text would never be drawn"),
        ({"weights": {"toy_text": 1}}, "weights: the rule is 'temperature'; remove them, or write rule"),
        ({"rule": "weights"}, "weights.toy_reading: is missing; the rule 'weights' needs one"),
        (
            {"rule": "weights", "weights": {**dict.fromkeys(TASKS, 1), "toy_txt": 1}},
            "weights.toy_txt: not among intermediate.tasks. Did you mean toy_text",
        ),
        (
            {"rule": "weights", "weights": dict.fromkeys(TASKS, 1), "text": [0.1, 0.2]},
            "weights.toy_text: its share is given by intermediate.mixing.text; remove one of the two",
        ),
        (
            {"rule": "weights", "weights": dict.fromkeys(TASKS, 0)},
            "weights.toy_text: Input should be gr",
        ),
    ],
)
def test_mixing_that_cannot_be_carried_out_is_a_problem(mixing, problem):
    assert any(line.startswith(f"intermediate.mixing.{problem}") for line in problems(mixing))


def test_a_share_of_text_needs_text_and_something_beside_it():
    mixing = {"rule": "uniform", "text": [0.1, 0.2]}
    (without,) = problems(mixing, ["toy_reading", "toy_entailment"])
    (alone,) = problems(mixing, ["toy_text"])
    assert "lists no masked text" in without
    assert "lists no other task than masked text" in alone


def test_a_mix_written_before_shares_of_text_is_read_as_one_without():
    old = {"tasks": ["a", "b"], "cap": 5, "temperature": 2.0}
    assert codec(Mix).decode(old) == Mix(("a", "b"), 5, 2.0, 0.0)
    mix = Mix.of(("a", "b"), 5, 2.0, 0.25)
    assert codec(Mix).decode(codec(Mix).encode(mix)) == mix


def test_a_study_begun_before_the_newer_keys_goes_on():
    spec = spec_of()
    begun = spec.model_dump(mode="json")
    for key in ("rule", "weights", "text"):
        del begun["intermediate"]["mixing"][key]
    for key in ("languages", "translations", "text_languages"):
        del begun["intermediate"][key]
    assert changed(StudyBegun("s", begun, "", {}).spec, spec) == []
    other = read(mapping_of({"intermediate.mixing": {"rule": "uniform"}}), "test")
    assert any(line.startswith("intermediate.mixing.rule:") for line in changed(begun, other))


def test_a_mix_is_told_apart_by_its_share_of_text():
    tree = tree_of(study({"rule": "uniform", "text": [0.1, 0.5]}))
    low, high = (tree.rates(Mix.of(ALL.tasks, text=share)) for share in (0.1, 0.5))
    assert low != high
