"""The throughput benchmark counts what it says it counts. Nothing here is timed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny_shape import TINY

from experiments.benchmarks import compare as compare_module
from experiments.benchmarks import throughput
from experiments.benchmarks.cases import CASES, features, sequence_lengths
from experiments.benchmarks.compare import ratios, void
from experiments.benchmarks.peers import Collator, Peer, Way
from experiments.benchmarks.runs import Run, Workload, ours
from experiments.benchmarks.shapes import SHAPES, encoder_of, ops_per_token
from trainers.families import family
from trainers.tasks.spec import FamilyName

CPU = torch.device("cpu")
ALIKE = replace(CASES["pair"], mu=np.log(12), sigma=0.0)  # every sequence has 12 + 4 tokens


def run_of(tokens_per_s=1000.0, loss=1.0):
    return Run(wall_s=1.0, n_tokens=int(tokens_per_s), n_padded=2000, peak_bytes=None, loss=loss)


@pytest.fixture
def tiny_mini(monkeypatch):
    monkeypatch.setitem(SHAPES, "mini", TINY)
    monkeypatch.setattr(compare_module, "compiler_fault", lambda _: "no compiler here")


def test_a_quick_run_reports_every_way_as_json(tiny_mini):
    words = ["--json", "--quick", "--device", "cpu", "--steps", "2", "--family", "pair"]
    done = CliRunner().invoke(throughput.main, words, catch_exceptions=False)
    record = json.loads(done.stdout)
    assert record["settings"] == {
        "n_steps": 2,
        "n_repetitions": 2,
        "batch_tokens": {"mini": TINY.batch_tokens},
    }
    assert record["device"]["matrix_ops_per_s"]["fp32"] > 0
    assert [result["family"] for result in record["results"]] == ["pair"]
    for result in record["results"]:
        assert list(result["against"]) == ["scripts", "grouped", "compiled"]
        assert result["against"]["compiled"] == {
            "figures": None,
            "ratio": None,
            "void": "",
            "skipped": "no compiler here",
        }
        scripts, grouped = result["against"]["scripts"], result["against"]["grouped"]
        for against in (scripts, grouped):
            assert against["skipped"] == ""
            ratio = against["ratio"]
            assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"]
            # About as many tokens were trained on: a batch of rows is a batch of tokens on average.
            assert against["figures"]["n_tokens"] == pytest.approx(result["ours"]["n_tokens"], rel=0.5)
        for figures in (result["ours"], scripts["figures"], grouped["figures"]):
            assert 0 <= figures["padding_share"] < 1
            assert figures["tokens_per_s"]["median"] > 0
            assert 0 < figures["matrix_share"] < 1


def test_the_table_says_which_ways_were_not_run_and_why(tiny_mini):
    words = ["--device", "cpu", "--steps", "1", "--repetitions", "1", "--family", "tokens"]
    shown = CliRunner().invoke(
        throughput.main, [*words, "--way", "grouped", "--way", "compiled"], catch_exceptions=False
    )
    assert "mini, tokens, compiled: no compiler here" in shown.stdout
    assert "mini, tokens, grouped: 1 repetition shows no spread" in shown.stdout


def test_the_tokens_of_a_step_can_be_given(tiny_mini):
    words = ["--json", "--device", "cpu", "--steps", "2", "--repetitions", "1", "--family", "pair"]
    done = CliRunner().invoke(
        throughput.main, [*words, "--way", "grouped", "--batch-tokens", "256"], catch_exceptions=False
    )
    record = json.loads(done.stdout)
    assert record["settings"]["batch_tokens"] == {"mini": 256}
    assert record["results"][0]["ours"]["n_tokens"] == pytest.approx(2 * 256, rel=0.5)


def test_steps_that_would_cut_a_sorted_stretch_are_refused():
    refused = CliRunner().invoke(throughput.main, ["--steps", "75"])
    assert refused.exit_code == 2
    assert "a multiple of it" in refused.stderr


def test_without_accelerate_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(throughput, "find_spec", lambda _: None)
    refused = CliRunner().invoke(throughput.main, ["--quick"])
    assert refused.exit_code == 1
    assert "pip install 'interlude-scheduler[benchmarks]'" in refused.stderr


def test_padding_is_counted_as_by_hand():
    rows = [
        {"input_ids": [0, *range(5, 5 + n), 2], "n_tokens": n + 2, "label": 0} for n in (1, 3, 4)
    ]  # 3 + 5 + 6 tokens
    collators = [Collator(family(FamilyName.PAIR), pad_to) for pad_to in (0, 16)]
    for collator, n_padded in zip(collators, (3 * 6, 3 * 16), strict=True):
        batch = collator(rows)
        assert (collator.n_tokens, collator.n_padded) == ([14], [n_padded])
        assert batch["attention_mask"].sum() == 14
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, n_padded // 3)
        assert (batch["input_ids"][batch["attention_mask"] == 0] == 1).all()
    collators[0](rows)
    assert (collators[0].n_tokens, collators[0].n_padded) == ([14, 14], [18, 18])
    assert Run(1.0, 14, 48, None, 0.0).padding_share == pytest.approx(34 / 48)


def test_sequences_of_one_length_are_padded_by_the_scripts_alone():
    work = Workload(ALIKE, TINY, CPU, 2)
    assert work.rows_per_batch == 64  # of 16 tokens each
    mine, grouped = ours(work, 1, 2), Peer(work, Way.GROUPED).run(1, 2)
    scripts = Peer(work, Way.SCRIPTS).run(1, 2)
    assert mine.n_tokens == grouped.n_tokens == scripts.n_tokens == 2048
    assert mine.padding_share == grouped.padding_share == 0
    assert scripts.padding_share == pytest.approx(1 - 16 / 128)


@pytest.mark.parametrize("way", list(Way)[:2])
def test_every_run_starts_from_the_same_weights(way):
    work = Workload(CASES["masked"], TINY, CPU, 2)
    peer = Peer(work, way)
    first, mine = peer.run(1, 2).loss, ours(work, 1, 2).loss
    assert peer.run(2, 2).loss != first
    assert peer.run(1, 2).loss == first
    assert ours(work, 1, 2).loss == mine


def test_both_loops_learn_the_same_from_the_same_batches():
    """One batch that holds all rows leaves no order: only schedule and rounding differ."""
    work = Workload(ALIKE, TINY, CPU, 1)
    work.features, work.rows_per_batch = work.features.select(range(64)), 64
    work.held_out = work.features.to_list()
    work.optimisation = replace(work.optimisation, learning_rate=0.02, warmup_share=0.0)
    before = ours(work, 1, 1).loss
    mine, theirs = ours(work, 1, 40).loss, Peer(work, Way.GROUPED).run(1, 40).loss
    assert mine < 0.7 * before
    assert theirs == pytest.approx(mine, rel=0.05)


@pytest.mark.parametrize("name", ["choice", "spans", "tokens"])
def test_trainer_takes_the_batches_of_every_family(name):
    work = Workload(CASES[name], TINY, CPU, 2)
    run = Peer(work, Way.SCRIPTS).run(1, 2)
    assert np.isfinite(run.loss)
    assert 0 < run.n_tokens < run.n_padded


def test_the_compiled_way_trains_through_what_was_compiled_and_the_others_do_not(monkeypatch):
    calls = []

    def compiled(function):
        return lambda *given: calls.append(1) or function(*given)

    monkeypatch.setattr(torch, "compile", compiled)
    work = Workload(ALIKE, TINY, CPU, 2)
    for way, n_calls in ((Way.GROUPED, 0), (Way.COMPILED, 2), (Way.GROUPED, 2)):
        Peer(work, way).run(1, 2)
        assert len(calls) == n_calls


def test_a_ratio_is_paired_by_repetition():
    mine = [run_of(100), run_of(300), run_of(800)]
    theirs = [run_of(50), run_of(100), run_of(1000)]
    found = ratios(mine, theirs)
    assert (found.median, found.least, found.most) == (2.0, 0.8, 3.0)


@pytest.mark.parametrize(
    ("mine", "theirs", "fault"),
    [
        ([1.0, 1.2], [1.1, 1.3], ""),
        ([1.0, 1.2], [0.5, 2.0], ""),
        ([1.0, 1.2], [1.2, 1.3], ""),
        ([1.0, 1.2], [1.21, 1.3], "the losses differ: ours 1 to 1.2, theirs 1.21 to 1.3"),
        ([1.0, 1.2], [0.8, 0.9], "the losses differ: ours 1 to 1.2, theirs 0.8 to 0.9"),
        ([1.0, float("nan")], [1.0, 1.1], "a loss is not a finite number"),
        ([1.0], [1.0], "1 repetition shows no spread of the loss; 2 are needed"),
    ],
)
def test_a_ratio_is_void_where_the_losses_do_not_meet(mine, theirs, fault):
    assert void([run_of(loss=loss) for loss in mine], [run_of(loss=loss) for loss in theirs]) == fault


def test_a_trained_token_takes_the_operations_of_the_equation():
    # A layer: four D x D and two D x F matrices with biases, two LayerNorms.
    layer = 4 * (16 * 16 + 16) + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 2 * 16
    by_hand = 6 * 2 * layer + 12 * 2 * 16 * 30 + 6 * 16 * 200 * 0.15
    assert ops_per_token(encoder_of(TINY, 0), 30, 0.15) == pytest.approx(by_hand)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_made_sequences_are_as_long_as_stated_and_never_longer_than_allowed(case):
    rows = features(case, n_rows=600, n_vocabulary=500, seed=3)
    lengths = sequence_lengths(rows)
    n_special = 2 if case.family in (FamilyName.TOKENS, FamilyName.MASKED) else 4
    assert lengths.max() <= case.max_length
    assert lengths.sum() == sum(rows["n_tokens"])
    assert np.median(lengths) == pytest.approx(np.exp(case.mu) + n_special, rel=0.15)
    ids = [token for row in rows["input_ids"] for part in row for token in np.atleast_1d(part)]
    assert max(ids) < 500
    assert features(case, n_rows=600, n_vocabulary=500, seed=3).to_list() == rows.to_list()


def test_labels_lie_inside_their_sequences():
    for row in features(CASES["spans"], n_rows=200, n_vocabulary=500, seed=0):
        assert row["start"] <= row["end"] < row["n_tokens"] - 1
        assert row["input_ids"][row["start"]] == 5
    for row in features(CASES["tokens"], n_rows=200, n_vocabulary=500, seed=0):
        assert row["tags"] == [row["input_ids"][place] % 17 for place in row["positions"]]
