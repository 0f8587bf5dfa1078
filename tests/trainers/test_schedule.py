"""The learning rate as a function of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.schedule import branch, rise_and_fall, trunk

tokens = st.floats(0.0, 1e9)


def test_a_trunk_rises_and_stays():
    rate = trunk(warmup_tokens=100)
    assert [rate(t) for t in (0, 25, 100, 10_000)] == [0.0, 0.25, 1.0, 1.0]


def test_a_trunk_without_warmup_starts_at_the_peak():
    assert trunk(warmup_tokens=0)(0) == 1.0


def test_a_branch_falls_from_the_peak_to_zero_by_one_minus_square_root():
    rate = branch(start_tokens=1000, branch_tokens=100)
    assert [rate(t) for t in (1000, 1025, 1100, 1200)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


def test_a_target_rises_and_falls():
    rate = rise_and_fall(warmup_tokens=10, total_tokens=110)
    assert [rate(t) for t in (0, 5, 10, 60, 110, 150)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_a_warmup_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="leaves nothing"):
        rise_and_fall(warmup_tokens=100, total_tokens=100)


@given(tokens, st.floats(0.0, 1e6), st.floats(1.0, 1e6))
def test_every_rate_is_a_share_of_the_peak(at, warmup, more):
    for schedule in (
        trunk(warmup_tokens=warmup),
        branch(start_tokens=warmup, branch_tokens=more),
        rise_and_fall(warmup_tokens=warmup, total_tokens=warmup + more),
    ):
        assert 0.0 <= schedule(at) <= 1.0


@given(st.integers(1, 10**6), st.integers(1, 10**6), tokens)
def test_a_longer_chain_has_the_shorter_ones_trunk_once_it_is_warm(first, second, at):
    warmup = 0.06 * first
    if at >= first:
        assert trunk(warmup_tokens=0)(at + second) == trunk(warmup_tokens=warmup)(at + second) == 1.0
