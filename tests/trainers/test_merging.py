"""An encoder of task vectors is what the equation says, and nothing of another kind is added to it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import tiny_encoder
from torch import nn

from trainers.errors import ModelError
from trainers.merging import Term, merge, terms
from trainers.stage import Half, MergePart, MergeStage, ModelRef

weights = st.floats(0, 1).map(lambda value: round(value, 6))
scales = st.floats(0, 3)


def stage_of(parts, scale=1.0, target=None):
    named = tuple(MergePart(f"part-{number}", weight) for number, weight in enumerate(parts))
    return MergeStage(ModelRef("m", "r"), "base", named, scale, target, "xnli", ("sw",), Half.SEARCH, ())


def encoders(seed):
    """A function that gives each stage a linear layer's weights, drawn by its name."""

    def weights_of(stage):
        torch.manual_seed(seed + sum(map(ord, stage or "published")))
        return nn.Linear(3, 2).state_dict()

    return weights_of


def merged(stage, weights_of):
    encoder = nn.Linear(3, 2)
    merge(encoder, terms(stage), weights_of)
    return encoder.state_dict()


@given(st.lists(weights, min_size=1, max_size=5), scales, st.booleans(), st.integers(0, 99))
def test_a_merge_is_the_base_and_the_scaled_sum_of_task_vectors(parts, scale, with_target, seed):
    stage = stage_of(parts, scale, "target" if with_target else None)
    weights_of = encoders(seed)
    base = weights_of("base")
    for name, found in merged(stage, weights_of).items():
        vectors = [part.weight * (weights_of(part.stage)[name] - base[name]) for part in stage.parts]
        expected = base[name] + scale * sum(vectors)
        if with_target:
            expected = expected + weights_of("target")[name] - base[name]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert found.dtype == torch.float32


@given(st.lists(weights, min_size=1, max_size=5), scales, st.integers(0, 99))
def test_a_merge_is_linear_in_its_scale(parts, scale, seed):
    weights_of = encoders(seed)
    base = weights_of("base")
    once, scaled = (merged(stage_of(parts, factor), weights_of) for factor in (1.0, scale))
    for name in base:
        torch.testing.assert_close(
            scaled[name] - base[name], scale * (once[name] - base[name]), atol=1e-5, rtol=1e-5
        )


@given(st.lists(weights, max_size=5), scales, st.booleans())
def test_coefficients_add_up_to_one_and_none_is_zero(parts, scale, with_target):
    found = terms(stage_of(parts, scale, "target" if with_target else None))
    assert sum(term.coefficient for term in found) == pytest.approx(1.0)
    assert all(term.coefficient for term in found)


@pytest.mark.parametrize(
    ("stage", "only"),
    [
        (stage_of([1.0]), "part-0"),
        (stage_of([0.5], scale=2.0), "part-0"),
        (stage_of([]), "base"),
        (stage_of([0.0, 0.0]), "base"),
        (stage_of([0.7], scale=0.0), "base"),
        (stage_of([0.0], target="target"), "target"),
    ],
)
def test_what_comes_down_to_one_encoder_is_that_encoder_to_the_bit(stage, only):
    weights_of = encoders(1)
    assert terms(stage) == (Term(only, 1.0),)
    found = merged(stage, weights_of)
    assert all(torch.equal(found[name], weight) for name, weight in weights_of(only).items())


class Shared(nn.Module):
    """Two layers with one weight, a table of positions, and a buffer that no state dict has."""

    def __init__(self, value: float, positions: int = 0) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        nn.init.constant_(self.first.weight, value)
        self.register_buffer("mean", torch.tensor([value]))
        self.register_buffer("positions", torch.arange(3) + positions)
        self.register_buffer("scratch", torch.tensor([5.0]), persistent=False)


def test_tied_weights_count_once_buffers_are_merged_and_whole_numbers_are_the_first_ones():
    encoder = Shared(9.0, positions=50)
    sources = {"a": Shared(1.0, positions=7).state_dict(), "b": Shared(2.0).state_dict()}
    merge(encoder, (Term("a", 0.5), Term("b", 2.0)), lambda stage: sources[stage])
    assert encoder.first.weight is encoder.second.weight
    assert torch.equal(encoder.first.weight, torch.full((2, 2), 4.5))
    assert torch.equal(encoder.mean, torch.tensor([4.5]))
    assert encoder.positions.tolist() == [7, 8, 9]
    assert encoder.scratch.item() == 5.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state | {"bias": torch.zeros(3)}, r"bias has shape \(3,\), .* shape \(2,\)"),
        (lambda state: {"weight": state["weight"]}, r"bias has no values, .* shape \(2,\)"),
        (lambda state: state | {"more": torch.zeros(1)}, r"more has shape \(1,\), .* no values"),
    ],
)
def test_an_encoder_of_another_shape_is_refused_with_stage_and_tensor(change, problem):
    right = encoders(1)

    def weights_of(stage):
        return change(right(stage)) if stage == "part-1" else right(stage)

    with pytest.raises(ModelError, match=f"stage part-1 cannot be merged: its {problem}"):
        merged(stage_of([0.5, 0.5]), weights_of)


def test_a_vocabulary_of_another_size_is_refused_by_name():
    other = tiny_encoder(n_vocabulary=99).state_dict()
    with pytest.raises(ModelError, match=r"published encoder .* embeddings.word_embeddings.weight"):
        merge(tiny_encoder(), (Term(None, 1.0),), lambda _: other)


@settings(max_examples=10, deadline=None)
@given(st.lists(weights, min_size=2, max_size=4), st.integers(0, 9))
def test_the_order_of_the_parts_changes_rounding_only(parts, seed):
    named = {f"part-{number}": tiny_encoder(seed + number).state_dict() for number in range(len(parts))}
    named["base"] = tiny_encoder(seed + 50).state_dict()
    found = []
    for wanted in (terms(stage_of(parts)), terms(stage_of(parts))[::-1]):
        encoder = tiny_encoder()
        merge(encoder, wanted, named.__getitem__)
        found.append(encoder.state_dict())
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], atol=1e-6, rtol=1e-5)
