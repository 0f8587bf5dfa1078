"""Whatever a warm worker did before, the encoder it gives is the one that a cold worker gives."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import tiny_encoder, tiny_tokenizer
from transformers import XLMRobertaModel
from worker_bench import Bench, tiny_mirror

from trainers.adapter_places import FULL, TUNINGS
from trainers.encoder import load_encoder, model_revision
from trainers.models import entry
from trainers.order import Outcome
from trainers.stage import Half, MergePart, MergeStage, ModelRef, stage_name
from trainers.warm import WarmCache

IDS = torch.tensor([[0, 6, 7, 8, 2], [0, 9, 10, 11, 2]])
PUBLISHED, ON_A_STAGE = "published", "lora on full"
OTHER, OTHER_TUNED = "another model", "lora in another model"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm")
    return Bench(tiny_mirror(folder / "mirror"), folder)


@pytest.fixture(scope="module")
def left(bench):
    """Stages by what they left, with their model; None for the published one."""
    found = {PUBLISHED: (None, bench.model)}
    targets = {tuning: bench.target(tokens=300) for tuning in TUNINGS}
    targets = {t: replace(s, model=replace(bench.model, tuning=t)) for t, s in targets.items()}
    above = replace(targets["lora"], parent=stage_name(targets[FULL]))
    other = wider_model(bench)
    found[OTHER] = (None, other)
    beside = replace(targets["lora"], model=replace(other, tuning="lora"))
    for name, stage in {**targets, ON_A_STAGE: above, OTHER_TUNED: beside}.items():
        assert bench.run(stage).outcome is Outcome.DONE
        found[name] = (stage_name(stage), stage.model)
    return found


def wider_model(bench):
    """Another published model of the same vocabulary, in a folder of its own."""
    config = tiny_encoder().config
    config.hidden_size, config.num_hidden_layers = 2 * config.hidden_size, 1
    folder = bench.folder / "wider"
    torch.manual_seed(1)
    XLMRobertaModel(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return ModelRef(str(folder), model_revision(entry(str(folder)), bench.kind, bench.place))


def cold(bench):
    return WarmCache(bench.worker._settings, bench.store)


def said(encoder):
    encoder.eval()
    with torch.inference_mode():
        return encoder(IDS, torch.ones_like(IDS)).last_hidden_state


@pytest.fixture(scope="module")
def expected(bench, left):
    names = [(name, folded) for name in left for folded in (False, True)]
    return {
        (name, folded): said(cold(bench).encoder(left[name][1], left[name][0], folded=folded))
        for name, folded in names
        if not (folded and name == "bottleneck")
    }


def train(warm, left, name, tuning):
    """Change what would be trained, as training does."""
    parent, model = left[name]
    encoder = warm.to_train(replace(model, tuning=tuning), parent, 5)
    with torch.no_grad():
        for weight in encoder.parameters():
            if weight.requires_grad:
                weight.add_(0.1)


def merge(warm, left):
    """An encoder that is nobody's."""
    parts = (MergePart(left[FULL][0], 0.5),)
    model = left[FULL][1]
    warm.merged_encoder(MergeStage(model, None, parts, 1.0, None, "tatoeba", ("sw",), Half.SEARCH, ()))


def allowed(name):
    """The tunings that can go on from what a stage left."""
    return TUNINGS if name in (PUBLISHED, FULL, OTHER) else (name,) if name in TUNINGS else ("lora",)


NAMES = (PUBLISHED, *TUNINGS, ON_A_STAGE, OTHER, OTHER_TUNED)


@st.composite
def days(draw):
    """What a worker is asked for, of few stages in turn so that states meet; at last an encoder."""
    names = st.sampled_from(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)))
    asked = st.tuples(names, st.booleans()).filter(lambda move: move != ("bottleneck", True))
    trained = names.flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(allowed(name))))
    moves = draw(st.lists(st.one_of(asked, trained, st.just("merge")), min_size=2, max_size=6))
    return [*moves, draw(asked)]


@settings(max_examples=40, deadline=None)
@given(day=days())
def test_after_anything_an_encoder_is_what_a_cold_worker_gives(bench, left, expected, day):
    warm = cold(bench)
    for move in day:
        if move == "merge":
            merge(warm, left)
        elif isinstance(move[1], bool):
            parent, model = left[move[0]]
            assert torch.equal(said(warm.encoder(model, parent, folded=move[1])), expected[move])
        else:
            train(warm, left, *move)


def test_from_model_to_model_and_back_no_encoder_is_built_again(bench, left, expected, monkeypatch):
    built, warm = [], cold(bench)

    def counted(entry, where):
        built.append(where)
        return load_encoder(entry, where)

    monkeypatch.setattr("trainers.warm.load_encoder", counted)
    for name in (PUBLISHED, OTHER, PUBLISHED, OTHER_TUNED, "lora", OTHER, PUBLISHED):
        parent, model = left[name]
        assert torch.equal(said(warm.encoder(model, parent)), expected[name, False]), name
    assert len(built) == 2


def test_an_encoder_that_a_stage_left_is_read_into_the_one_of_its_model(
    bench, left, expected, monkeypatch
):
    warm = cold(bench)
    warm.encoder(bench.model, None)

    def built(*_):
        raise AssertionError("the encoder was built again")

    monkeypatch.setattr("trainers.warm.load_encoder", built)
    assert torch.equal(said(warm.encoder(bench.model, left[FULL][0])), expected[FULL, False])
