"""Stages that train an adapter: what they keep, what goes from stage to stage, and what is refused."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from worker_bench import GRACE, OPTIMISATION, Bench, assert_same, tiny_mirror

from budgets.amount import DeviceTime
from trainers.adapter_places import TUNINGS
from trainers.adapters import Left, adapter_weights, what_was_left
from trainers.encoder import load_encoder
from trainers.order import Outcome
from trainers.stage import Half, MergePart, MergeStage, PretrainStage, TaskShare, stage_name
from trainers.warm import WarmCache

ADAPTERS = TUNINGS[1:]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def bench(place, tmp_path):
    return Bench(place, tmp_path)


def tuned(bench, tuning):
    """The same bench, its stages tuned that way."""
    bench.model = replace(bench.model, tuning=tuning)
    return bench


def done(bench, stage, worker=None):
    found = bench.run(stage, worker=worker)
    assert found.outcome is Outcome.DONE, found.error
    return found


def adapter_of(bench, stage):
    return adapter_weights(bench.store.open(stage_name(stage), thorough=True))


def n_bytes(bench, stage):
    return sum(file["bytes"] for file in bench.store.manifest(stage_name(stage))["files"].values())


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_a_target_goes_on_with_the_adapter_of_its_intermediate_stage(bench, tuning):
    tuned(bench, tuning)
    first = bench.intermediate(1_000)
    target = bench.target(first, tokens=600)
    still = replace(target, optimisation=replace(OPTIMISATION, learning_rate=0.0))
    for stage in (first, target, still):
        done(bench, stage)
    assert_same(adapter_of(bench, still), adapter_of(bench, first))
    trained = adapter_of(bench, target)
    assert all(not torch.equal(trained[name], old) for name, old in adapter_of(bench, first).items())
    for stage in (first, target):
        assert what_was_left(bench.store.open(stage_name(stage))) == Left(tuning, None)
    scores = done(bench, bench.evaluation(target)).scores
    assert [score.language for score in scores] == ["sw", "ur"]


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_a_warm_worker_finds_what_a_cold_one_finds(bench, tuning):
    full = bench.target(tokens=300)
    tuned(bench, tuning)
    first = bench.intermediate(500)
    target, control = bench.target(first, tokens=300), bench.target(tokens=300)
    warm = bench.new_worker()
    found = {}
    for stage in (first, target, control, full):
        found[stage] = done(bench, stage, warm)
    scores = done(bench, bench.evaluation(target), warm).scores
    cold = tuned(Bench(bench.place, bench.folder / "cold"), tuning)
    for stage in (first, target, control, full):
        done(cold, stage, cold.new_worker())
        if stage is not full:
            assert_same(adapter_of(bench, stage), adapter_of(cold, stage))
        assert_same(bench.tensors(stage, "heads.safetensors"), cold.tensors(stage, "heads.safetensors"))
    assert_same(bench.tensors(full), cold.tensors(full))
    assert done(cold, cold.evaluation(target), cold.new_worker()).scores == scores


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_a_stage_keeps_adapter_and_heads_and_no_encoder(bench, tuning):
    full, stages = (bench.intermediate(500), bench.target(tokens=300)), []
    tuned(bench, tuning)
    for whole in full:
        stages.append(replace(whole, model=bench.model))
        for stage in (whole, stages[-1]):
            done(bench, stage)
        assert n_bytes(bench, stages[-1]) < 0.5 * n_bytes(bench, whole)
    folder = bench.store.open(stage_name(stages[0]))
    assert not (folder / "model.safetensors").exists()
    state = load_file(folder / "trunk" / "state.safetensors")
    weights = {name for name in state if name.startswith("weight/encoder.")}
    assert len(weights) == len(adapter_of(bench, stages[0]))


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_a_longer_stage_and_a_stopped_one_go_on_exactly(bench, tuning):
    tuned(bench, tuning)
    short = bench.intermediate(500)
    long = bench.intermediate(3_000, short, 500)
    for stage in (short, long):
        done(bench, stage)
    other = tuned(Bench(bench.place, bench.folder / "other"), tuning)
    done(other, short)
    ends = [other.run(long, GRACE + DeviceTime(20), other.new_worker()).outcome for _ in range(9)]
    assert ends[0] is Outcome.TRUNCATED
    assert ends[-1] is Outcome.DONE
    assert_same(adapter_of(other, long), adapter_of(bench, long))


def test_an_adapter_sits_in_the_encoder_of_its_stage_and_not_in_the_published_one(bench):
    whole = bench.intermediate(500)
    done(bench, whole)
    tuned(bench, "lora")
    target = bench.target(whole, tokens=300)
    done(bench, target)
    assert what_was_left(bench.store.open(stage_name(target))) == Left("lora", stage_name(whole))
    warm = done(bench, bench.evaluation(target)).scores
    bench.store.drop(stage_name(bench.evaluation(target)))
    assert done(bench, bench.evaluation(target), bench.new_worker()).scores == warm


@pytest.mark.parametrize("tuning", ["lora", "ia3"])
def test_an_encoder_is_asked_for_with_the_adapter_folded_in_or_beside_it(bench, tuning):
    tuned(bench, tuning)
    target = bench.target(tokens=600)
    done(bench, target)
    warm = WarmCache(bench.new_worker()._settings, bench.store)
    published = {k: v.clone() for k, v in warm.encoder(bench.model, None).state_dict().items()}
    ids = torch.tensor([[0, 6, 7, 8, 2]])
    said = {}
    with torch.inference_mode():
        for folded in (False, True, False, True):
            encoder = warm.encoder(bench.model, stage_name(target), folded=folded).eval()
            hidden = encoder(ids, torch.ones_like(ids)).last_hidden_state
            if folded in said:
                assert torch.equal(said[folded], hidden)
            said[folded] = hidden
            assert (warm.adapter is None) == folded
    torch.testing.assert_close(said[True], said[False], atol=1e-5, rtol=1e-4)
    assert_same(warm.encoder(bench.model, None).state_dict(), published)
    with torch.inference_mode():
        untuned = warm.encoder(bench.model, None).eval()(ids, torch.ones_like(ids)).last_hidden_state
    assert not torch.equal(said[True], untuned)


def test_from_adapter_to_adapter_the_encoder_is_not_read_again(bench, monkeypatch):
    tuned(bench, "lora")
    targets = [replace(bench.target(tokens=300), seed=seed) for seed in (3, 4)]
    worker, read = bench.new_worker(), []

    def counted(entry, where):
        read.append(where)
        return load_encoder(entry, where)

    monkeypatch.setattr("trainers.warm.load_encoder", counted)
    for stage in (*targets, *(bench.evaluation(target) for target in targets)):
        done(bench, stage, worker)
    assert len(read) == 1


def test_retrieval_reads_the_encoder_that_an_adapter_was_trained_in(bench):
    tuned(bench, "bottleneck")
    first = bench.intermediate(500)
    done(bench, first)
    for parent in (first, None):
        done(bench, bench.evaluation(parent, "tatoeba", ("sw",)))


def test_an_adapter_of_another_kind_is_refused_with_both_kinds(bench):
    tuned(bench, "lora")
    first = bench.intermediate(500)
    done(bench, first)
    for tuning in ("full", "ia3"):
        found = bench.run(tuned(bench, tuning).target(first, tokens=300))
        assert found.outcome is Outcome.FAILED
        assert "trained a lora adapter and cannot be trained on with tuning" in found.error
        assert tuning in found.error


def test_a_merge_of_adapters_is_refused(bench):
    tuned(bench, "lora")
    first = bench.intermediate(500)
    done(bench, first)
    parts = (MergePart(stage_name(first), 1.0),)
    merged = MergeStage(bench.model, None, parts, 1.0, None, "tatoeba", ("sw",), Half.SEARCH, ())
    found = bench.run(merged)
    assert found.outcome is Outcome.FAILED
    assert "encoders tuned with lora are not merged" in found.error


def test_random_weights_are_not_pretrained_with_an_adapter(tmp_path):
    bench = tuned(Bench(None, tmp_path, kind="toy", model="toy-tiny"), "lora")
    share = TaskShare("toy_text", 1.0, bench.data("toy_text")[:1])
    found = bench.run(PretrainStage(bench.model, (share,), 200, OPTIMISATION, 3))
    assert found.outcome is Outcome.FAILED
    assert "starts from random weights, and tuning lora would leave them as they are" in found.error


@pytest.mark.mirror
def test_a_real_encoder_is_tuned_in_every_way_on_real_data(mirror, tmp_path):
    bench, scores = Bench(mirror, tmp_path), {}
    for tuning in ADAPTERS:
        tuned(bench, tuning)
        target = bench.target(tokens=600, name="panx")
        done(bench, target)
        (scores[tuning],) = done(bench, bench.evaluation(target, "panx", ("yo",))).scores
        assert n_bytes(bench, target) < 0.02 * 4 * 2_907_264  # of the weights of mini-xlmr in float32
    assert {score.n_examples for score in scores.values()} == {scores["lora"].n_examples} != {0}
