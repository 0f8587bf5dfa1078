"""The device is waited for once for many batches, and no score knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_evaluate import cell_of

import trainers.families.fetching
from trainers.families.fetching import fetched
from trainers.tasks.spec import FamilyName


@pytest.fixture
def fetches(monkeypatch):
    """The ways in which a tensor was brought to the host."""
    seen = []

    def counting(way, fetch):
        def counted(tensor, *given):
            seen.append(way)
            return fetch(tensor, *given)

        return counted

    for way in ("cpu", "tolist", "item"):
        monkeypatch.setattr(torch.Tensor, way, counting(way, getattr(torch.Tensor, way)))
    return seen


@pytest.mark.parametrize("name", FamilyName)
def test_many_batches_wait_for_the_device_as_often_as_one(name, fetches):
    cell_of(name, batch_tokens=100_000)
    n_for_one = len(fetches)
    assert n_for_one
    fetches.clear()
    cell_of(name, batch_tokens=1)
    assert len(fetches) == n_for_one


@pytest.mark.parametrize("name", ["pair", "choice", "spans", "tokens", "masked"])
def test_records_are_the_same_however_many_batches_wait(name, fetches, monkeypatch):
    together = cell_of(name, batch_tokens=1)[2]
    n_together = len(fetches)
    monkeypatch.setattr(trainers.families.fetching, "AT_ONCE", 1)
    fetches.clear()
    alone = cell_of(name, batch_tokens=1)[2]
    assert len(fetches) > n_together
    for statistic in together:
        assert together[statistic].tolist() == alone[statistic].tolist()


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 7))
def test_results_stay_with_their_rows_in_order_and_few_wait(lengths, at_once):
    made = []

    def results():
        for number, length in enumerate(lengths):
            made.append(number)
            yield torch.full((length, 2), number, dtype=torch.float64), [{"number": number}]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainers.families.fetching, "AT_ONCE", at_once)
        for n_given, (found, ((row),)) in enumerate(fetched(results())):
            assert row == {"number": n_given}
            assert np.array_equal(found, np.full((lengths[n_given], 2), n_given))
            assert len(made) - n_given <= at_once
    assert made == list(range(len(lengths)))
