"""A spec is read once, by YAML 1.2, and everything wrong with it is said at once."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from budgets.amount import DeviceTime
from budgets.errors import SpecError
from budgets.spec import BudgetSpec, Count, SpecModel, Whole, parse, read_yaml


class Tasks(SpecModel):
    names: tuple[str, ...] = ()
    rungs: tuple[Count, ...] = (1,)
    languages: tuple[str, ...] | str = "default"


class Study(SpecModel):
    name: str = Field(pattern="^[a-z0-9-]+$")
    seed: Whole = 0
    budget: BudgetSpec
    intermediate: Tasks | None = None


GOOD = {"name": "a", "budget": {"gpu_hours": 2.5, "devices": {"kind": "cpu", "count": 2}}}


def read(tmp_path, text):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return read_yaml(path)[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-3", -3),
        ("017", 17),
        ("0o17", 15),
        ("0xff", 255),
        ("-.inf", -math.inf),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("16M", "16M"),
        ("2030-01-01", "2030-01-01"),
        ("null", None),
        ("", None),
        ("~", None),
        ("'7'", "7"),
        ("0b11", "0b11"),
        ("1e-5x", "1e-5x"),
    ],
)
def test_a_scalar_means_what_it_looks_like(tmp_path, written, meant):
    value = read(tmp_path, f"key: {written}\n")["key"]
    assert value == meant
    assert type(value) is type(meant)


def test_keys_are_text_too(tmp_path):
    assert read(tmp_path, "{no: 1, yes: 2, <<: 3}") == {"no": 1, "yes": 2, "<<": 3}


def test_the_text_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("# why\nname: ä\n", encoding="utf-8")
    assert read_yaml(path) == ({"name": "ä"}, "# why\nname: ä\n")


def test_every_double_key_is_named_with_both_lines(tmp_path):
    with pytest.raises(SpecError) as error:
        read(tmp_path, "name: a\nbudget:\n  gpu_hours: 1\n  gpu_hours: 2\nname: b\n")
    assert error.value.problems == [
        "line 5: key 'name' is already on line 1; keep one",
        "line 4: key 'gpu_hours' is already on line 3; keep one",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected 'key: value' lines"),
        ("- a\n- b\n", "expected 'key: value' lines"),
        ("name: [a\n", "not YAML: line 2, column 1"),
        ("a: !!python/object:os.system x\n", "not YAML: line 1, column 4"),
        ("a: !!int 12:30\n", "'12:30' is no whole number"),
        ("a: !!float much\n", "'much' is no number"),
        ("a: 1\n---\nb: 2\n", "not YAML: line 2"),
        ("[a]: 1\n", "not YAML: line 1"),
        ("a: " + "[" * 3000, "not YAML"),
    ],
)
def test_what_is_not_a_spec_is_said_with_its_line(tmp_path, text, complaint):
    with pytest.raises(SpecError, match=r"spec\.yaml: 1 problem") as error:
        read(tmp_path, text)
    assert complaint in error.value.problems[0]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe4\n")
    for name, reason in (
        ("none.yaml", "No such file"),
        (".", "Is a directory"),
        ("latin.yaml", "not UTF-8"),
    ):
        with pytest.raises(SpecError, match=reason):
            read_yaml(tmp_path / name)


def test_a_good_spec_becomes_typed(tmp_path):
    spec = parse(Study, GOOD, "spec.yaml")
    assert spec.budget.cap == DeviceTime(9_000_000)
    assert (spec.budget.final_share, spec.budget.devices.per_trial) == (0.25, 1)


def test_every_problem_is_listed_with_its_path_its_value_and_the_nearest_key():
    with pytest.raises(SpecError) as error:
        parse(
            Study,
            {
                "name": "Big Run",
                "sead": 13,
                "budget": {
                    "gpu_hours": -1,
                    "devices": {"kind": "tpu", "cuont": 3},
                    "final_share": 1,
                    "zzz": None,
                },
                "intermediate": {"rungs": ["1M", "many"], "languages": 7, "name": "mnli"},
            },
            "big.yaml",
        )
    assert str(error.value).splitlines() == [
        "big.yaml: 10 problems",
        "  name: String should match pattern '^[a-z0-9-]+$', got 'Big Run'",
        "  budget.gpu_hours: Input should be greater than 0, got -1",
        "  budget.devices.kind: Input should be 'gpu' or 'cpu', got 'tpu'",
        "  budget.devices.cuont: unknown key; did you mean 'count'?",
        "  budget.final_share: Input should be less than 1, got 1",
        "  budget.zzz: unknown key; known here: account, charge, devices, final_share, gpu_hours",
        "  intermediate.rungs.1: Input should be a whole number such as 131072, 4K, 16M or 1B, "
        "got 'many'",
        "  intermediate.languages: Input should be a valid tuple or a valid string, got 7",
        "  intermediate.name: unknown key; did you mean 'names'?",
        "  sead: unknown key; did you mean 'seed'?",
    ]


def test_what_is_missing_is_named():
    with pytest.raises(SpecError) as error:
        parse(Study, {"budget": {"devices": {}}}, "spec.yaml")
    assert error.value.problems == [
        "name: is missing",
        "budget.gpu_hours: is missing",
        "budget.devices.kind: is missing",
    ]


@pytest.mark.parametrize("hours", [True, "200", math.inf, math.nan, 0, -1, None])
def test_hours_are_a_positive_number_and_nothing_else(hours):
    with pytest.raises(SpecError, match=r"budget\.gpu_hours: Input should be"):
        parse(Study, {**GOOD, "budget": {**GOOD["budget"], "gpu_hours": hours}}, "spec.yaml")


@pytest.mark.parametrize("count", [True, 2.0, "2", 0, -1])
def test_a_device_count_is_a_positive_whole_number(count):
    with pytest.raises(SpecError, match=r"devices\.count: Input should be"):
        parse(BudgetSpec, {"gpu_hours": 1, "devices": {"kind": "gpu", "count": count}}, "spec.yaml")


def test_a_trial_cannot_hold_more_devices_than_there_are():
    with pytest.raises(SpecError) as error:
        parse(BudgetSpec, {"gpu_hours": 1, "devices": {"kind": "gpu", "count": 2, "per_trial": 4}}, "s")
    assert error.value.problems == ["devices: per_trial is 4 of only 2 devices; lower it"]


DEVICES = {"kind": "gpu"}
BUDGET = {"gpu_hours": 1, "devices": DEVICES}


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"account": "Lab 2026"}, "account: String should match pattern '^[a-z0-9][a-z0-9-]*$', got "),
        ({"account": "-"}, "account: String should match pattern '^[a-z0-9][a-z0-9-]*$', got '-'"),
        ({"account": "a" * 81}, "account: String should have at most 80 characters, got 'aaa"),
        ({"account": 7}, "account: Input should be a valid string, got 7"),
        ({"charge": "all"}, "charge: Input should be 'held' or 'allocated', got 'all'"),
        ({"devices": {"rates": 2}}, "devices.rates: Input should be a valid dictionary, got 2"),
        (
            {"devices": {"rates": {"h200": 0}}},
            "devices.rates.h200: Input should be greater than 0, got 0",
        ),
        (
            {"devices": {"rates": {"h200": 10.5}}},
            "devices.rates.h200: Input should be less than or equal to 10, got 10.5",
        ),
        (
            {"devices": {"rates": {"h200": True}}},
            "devices.rates.h200: Input should be a valid number, got",
        ),
        (
            {"devices": {"rates": {"h200": "1"}}},
            "devices.rates.h200: Input should be a valid number, got",
        ),
        (
            {"devices": {"rates": {"NVIDIA H200": 1}}},
            "devices.rates.NVIDIA H200: String should match pattern",
        ),
    ],
)
def test_what_is_wrong_with_accounts_charges_and_rates_is_said(part, problem):
    devices = {**DEVICES, **part.get("devices", {})}
    with pytest.raises(SpecError) as error:
        parse(BudgetSpec, {**BUDGET, **part, "devices": devices}, "s")
    (said,) = error.value.problems
    assert said.startswith(problem)


def test_a_study_has_no_account_and_pays_for_what_it_holds_unless_it_says_otherwise():
    plain = parse(BudgetSpec, BUDGET, "s")
    assert (plain.account, plain.charge, plain.devices.rates) == (None, "held", {})
    shared = parse(BudgetSpec, {**BUDGET, "account": "lab-2026", "charge": "allocated"}, "s")
    assert (shared.account, shared.charge) == ("lab-2026", "allocated")


@pytest.mark.parametrize(
    ("device", "rate"),
    [
        ("NVIDIA H200", 1.5),
        ("NVIDIA A100-SXM4-40GB", 0.45),
        ("NVIDIA A100-SXM4-80GB", 0.6),
        ("NVIDIA A1000", 1.0),
        ("cpu", 0.1),
        ("", 1.0),
    ],
)
def test_a_device_costs_what_the_nearest_name_says(device, rate):
    rates = {"h200": 1.5, "a100": 0.45, "a100-80gb": 0.6, "cpu": 0.1}
    spec = parse(BudgetSpec, {**BUDGET, "devices": {**DEVICES, "rates": rates}}, "s")
    assert spec.devices.rate(device) == rate


def test_a_number_for_a_key_is_refused(tmp_path):
    with pytest.raises(SpecError, match="1: "):
        parse(Study, read(tmp_path, "1: a\n") | GOOD, "spec.yaml")


COUNT = TypeAdapter(Count)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("16M", 16_000_000),
        ("131072", 131_072),
        (131_072, 131_072),
        ("4K", 4_000),
        ("4k", 4_000),
        (1e6, 1_000_000),
        ("1e6", 1_000_000),
        ("1.5M", 1_500_000),
        ("16_000_000", 16_000_000),
        ("2B", 2_000_000_000),
        (0, 0),
        (1e15, 10**15),
    ],
)
def test_a_count_may_be_written_as_people_do(written, meant):
    assert COUNT.validate_python(written) == meant


@pytest.mark.parametrize(
    "written",
    [True, -1, 1.5, "1.0001K", "M", "", "16 apples", "1e99", math.inf, math.nan, None, [1], "٣"],
)
def test_what_is_no_count_is_refused(written):
    with pytest.raises(ValidationError, match="Input should be a whole number"):
        COUNT.validate_python(written)


@given(st.integers(0, 10**15))
def test_a_whole_number_is_itself_as_number_and_as_text(number):
    assert COUNT.validate_python(number) == COUNT.validate_python(str(number)) == number


def test_the_schema_for_editors_can_be_made():
    schema = Study.model_json_schema()
    count = schema["$defs"]["Tasks"]["properties"]["rungs"]["items"]
    assert {option["type"] for option in count["anyOf"]} == {"integer", "string"}
    assert schema["additionalProperties"] is False
    budget, devices = schema["$defs"]["BudgetSpec"]["properties"], schema["$defs"]["DeviceSpec"]
    assert budget["charge"]["enum"] == ["held", "allocated"]
    assert budget["account"]["anyOf"][0]["pattern"] == "^[a-z0-9][a-z0-9-]*$"
    (rate,) = devices["properties"]["rates"]["patternProperties"].values()
    assert (rate["exclusiveMinimum"], rate["maximum"]) == (0, 10)
    assert json.loads(json.dumps(schema)) == schema
