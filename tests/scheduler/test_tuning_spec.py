"""How a spec says that encoders are tuned, and with which learning rates."""

from __future__ import annotations

import json

import pytest
from fakes import mapping_of, spec_of

from budgets.errors import SpecError
from budgets.spec import parse
from scheduler.spec import StudySpec, json_schema, read
from scheduler.spec_parts import steps_of
from trainers.adapter_places import PLACES, TUNINGS
from trainers.models import MODELS

RATES = {"full": 2e-5, "lora": 2e-4}


def problems(changes):
    with pytest.raises(SpecError) as refusal:
        read(mapping_of(changes), source="s.yaml")
    return refusal.value.problems


@pytest.mark.parametrize("part", ["intermediate", "target"])
def test_each_tuning_steps_at_its_own_rate_or_all_at_one(part):
    changes = {"model.tuning": ["full", "lora"], f"{part}.learning_rate": RATES}
    given = parse(StudySpec, mapping_of(changes), "test")
    for tuning, rate in RATES.items():
        assert steps_of(getattr(given, part), tuning).learning_rate == rate
    one = spec_of({f"{part}.learning_rate": 3e-4})
    assert steps_of(getattr(one, part), "full").learning_rate == 3e-4


def test_rates_for_other_tunings_than_the_study_s_are_refused_by_name():
    rates = {"full": 2e-5, "ia3": 3e-3}
    said = problems({"model.tuning": ["full", "lora"], "intermediate.learning_rate": rates})
    assert "intermediate.learning_rate: has none for tuning 'lora' of model.tuning; add it" in said
    assert "intermediate.learning_rate.ia3: model.tuning does not have 'ia3'; remove the key" in said


@pytest.mark.parametrize("rates", [{}, {"full": 2.0}, {"full": "fast"}])
def test_rates_that_are_none_are_refused(rates):
    assert any(
        one.startswith("target.learning_rate") for one in problems({"target.learning_rate": rates})
    )


def test_a_merged_rung_with_an_adapter_is_refused():
    said = problems({"model.tuning": ["full", "ia3"], "intermediate.merged": {}})
    assert any(
        one.startswith("intermediate.merged: only encoders that were tuned in full") and "ia3" in one
        for one in said
    )


@pytest.mark.parametrize("tuning", TUNINGS[1:])
def test_an_adapter_in_a_model_whose_layers_nobody_named_is_refused_before_it_costs(tmp_path, tuning):
    config = {"model_type": "mobilebert", "num_hidden_layers": 2, "hidden_size": 32}
    config |= {"max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = {"name": str(tmp_path), "tuning": ["full", tuning]}
    said = problems({"model": model})
    assert any(
        one.startswith(f"model.tuning: {tmp_path} is a mobilebert, and where an adapter sits")
        for one in said
    )
    assert not any("mobilebert" in one for one in problems({"model": {"name": str(tmp_path)}}))


def test_every_model_of_the_table_can_have_an_adapter():
    assert {model.architecture for model in MODELS.values()} <= PLACES.keys()


def test_the_schema_has_every_tuning():
    assert all(f'"{tuning}"' in json.dumps(json_schema()) for tuning in TUNINGS)
