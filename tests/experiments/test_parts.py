"""The benchmark of the loop's parts takes out what it says, and the loop learns the same without."""

import json

import pytest
import torch
from click.testing import CliRunner
from tiny_shape import TINY

from experiments.benchmarks import parts
from experiments.benchmarks.cases import CASES
from experiments.benchmarks.runs import Workload, ours
from experiments.benchmarks.shapes import SHAPES

CPU = torch.device("cpu")


@pytest.fixture
def tiny_mini(monkeypatch):
    monkeypatch.setitem(SHAPES, "mini", TINY)


def test_every_part_of_a_family_gets_a_gain(tiny_mini):
    words = ["--json", "--device", "cpu", "--steps", "1", "--repetitions", "2", "--family", "masked"]
    done = CliRunner().invoke(parts.main, words, catch_exceptions=False)
    record = json.loads(done.stdout)
    assert [line["part"] for line in record] == ["length", "ahead", "fused", "attention", "labelled"]
    assert all(0 < line["gain"]["least"] <= line["gain"]["most"] for line in record)


def test_only_masked_text_has_a_vocabulary_to_score(tiny_mini):
    words = ["--device", "cpu", "--steps", "1", "--repetitions", "1", "--family", "pair"]
    shown = CliRunner().invoke(parts.main, words, catch_exceptions=False)
    assert "attention" in shown.stdout
    assert "labelled" not in shown.stdout


@pytest.mark.parametrize("part", ["ahead", "fused", "attention", "labelled"])
def test_without_a_part_the_loop_learns_the_same(part):
    work = Workload(CASES["masked"], TINY, CPU, 3)
    whole = ours(work, 1, 3)
    with parts.PARTS[part](work):
        less = ours(work, 1, 3)
    assert less.loss == pytest.approx(whole.loss, rel=1e-4)
    assert (less.n_tokens, less.n_padded) == (whole.n_tokens, whole.n_padded)
    assert ours(work, 1, 3).loss == whole.loss  # the part is back


def test_without_sorting_by_length_there_is_more_padding_within_the_same_budget():
    work = Workload(CASES["tokens"], TINY, CPU, 3)
    sorted_run = ours(work, 1, 3)
    with parts.PARTS["length"](work):
        unsorted_run = ours(work, 1, 3)
    assert unsorted_run.padding_share > sorted_run.padding_share + 0.1
