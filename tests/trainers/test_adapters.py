"""Adapters of every kind in every architecture, small and with random weights."""

import json

import pytest
import torch
from peft import PeftModel
from small_models import ARCHITECTURES, batch_of, build
from transformers import AutoModel

from trainers.adapter_places import PLACES, TUNINGS, places_of
from trainers.adapters import FOLDABLE, Adapter, Left, adapter_weights, what_was_left
from trainers.errors import ModelError, StoreError
from trainers.families.sequences import encode_batch, pad
from trainers.stage import Optimisation
from trainers.state import Learner
from trainers.tasks.spec import FamilyName

ADAPTERS = TUNINGS[1:]
TEXT = [[0, 6, 7, 8, 2], [0, 9, 10, 2]]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def built(request, tmp_path_factory):
    return build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory):
    return build("xlm-roberta", tmp_path_factory.mktemp("xlmr"))


def output(encoder):
    encoder.eval()
    with torch.inference_mode():
        return encode_batch(encoder, pad(TEXT, 1))


def shaken(adapter):
    """The adapter with weights that change what the encoder says."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapter.weights().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return adapter


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_an_adapter_changes_nothing_at_first_and_a_step_trains_it_and_nothing_else(built, tuning):
    shape, task, batch, _ = batch_of(built, FamilyName.PAIR)
    encoder, head = built.encoder(), shape.make_head(32, task)
    before, said = {k: v.clone() for k, v in encoder.state_dict().items()}, output(encoder)
    adapter = Adapter(encoder, tuning, seed=3)
    torch.testing.assert_close(output(encoder), said)
    of_adapter = adapter.weights().values()
    optimiser = torch.optim.AdamW([*of_adapter, *head.parameters()], lr=1e-2)
    losses, first = [], [parameter.clone() for parameter in of_adapter]
    for _ in range(6):
        optimiser.zero_grad()
        loss = shape.loss(encoder, head, batch)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert any(
        not torch.equal(now, then) for now, then in zip(adapter.weights().values(), first, strict=True)
    )
    assert sum(p.grad is not None for p in encoder.parameters()) == len(of_adapter)
    assert not torch.allclose(output(encoder), said, atol=1e-5)
    adapter.detach()
    assert encoder.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_under_autocast_an_adapter_is_trained_in_float32(xlmr, tuning):
    shape, task, batch, _ = batch_of(xlmr, FamilyName.PAIR)
    head = shape.make_head(32, task)
    adapter = shaken(Adapter(xlmr.encoder(), tuning, seed=3))
    whole = shape.loss(adapter.encoder, head, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = shape.loss(adapter.encoder, head, batch)
    half.backward()
    assert {weight.grad.dtype for weight in adapter.weights().values()} == {torch.float32}
    torch.testing.assert_close(half.float(), whole, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_an_adapter_that_was_saved_says_in_another_encoder_what_it_said(built, tuning, tmp_path):
    adapter = shaken(Adapter(built.encoder(), tuning, seed=3))
    adapter.save(tmp_path, "1234567890abcdef")
    assert what_was_left(tmp_path) == Left(tuning, "1234567890abcdef")
    again = Adapter(built.encoder(), tuning, seed=8)
    again.load(adapter_weights(tmp_path))
    assert torch.equal(output(again.encoder), output(adapter.encoder))


@pytest.mark.parametrize("tuning", FOLDABLE)
def test_a_folded_adapter_says_the_same_with_the_weights_of_the_encoder_alone(built, tuning):
    plain = built.encoder().state_dict()
    adapter = shaken(Adapter(built.encoder(), tuning, seed=3))
    beside = output(adapter.encoder)
    adapter.fold()
    folded = adapter.encoder.state_dict()
    assert {k: v.shape for k, v in folded.items()} == {k: v.shape for k, v in plain.items()}
    assert any(not torch.equal(folded[name], plain[name]) for name in plain)
    torch.testing.assert_close(output(adapter.encoder), beside, atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's PeftModel asks
@pytest.mark.parametrize("tuning", FOLDABLE)
def test_peft_reads_what_was_saved(xlmr, tuning, tmp_path):
    adapter = shaken(Adapter(xlmr.encoder(), tuning, seed=3))
    adapter.save(tmp_path, None)
    theirs = PeftModel.from_pretrained(
        AutoModel.from_pretrained(xlmr.folder, add_pooling_layer=False), str(tmp_path)
    )
    torch.testing.assert_close(output(theirs), output(adapter.encoder))


@pytest.mark.parametrize(
    ("tuning", "n_weights"),
    [
        # Three layers of width 32, 64 inside their feed-forward blocks.
        ("lora", 3 * 2 * 8 * (32 + 32)),
        ("ia3", 3 * (32 + 32 + 64)),
        ("bottleneck", 3 * (2 * 32 * 2 + 2 + 32)),
    ],
)
def test_an_adapter_has_as_many_weights_as_its_paper_says(xlmr, tuning, n_weights):
    adapter = Adapter(xlmr.encoder(), tuning, seed=3)
    assert sum(weight.numel() for weight in adapter.weights().values()) == n_weights


@pytest.mark.parametrize("tuning", ["lora", "bottleneck"])
def test_the_first_weights_follow_from_the_seed_alone(xlmr, tuning):
    first, again, other = (
        list(Adapter(xlmr.encoder(), tuning, seed=seed).weights().values()) for seed in (3, 3, 4)
    )
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert any(not torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_scales_of_ia3_are_not_pulled_to_zero_and_matrices_of_lora_are(xlmr):
    decayed = {}
    for tuning in ("lora", "ia3"):
        encoder = Adapter(xlmr.encoder(), tuning, seed=3).encoder
        learner = Learner(encoder, [], width=32, optimisation=Optimisation(1e-3), seed=3)
        shrinking, still = learner.optimiser.param_groups
        assert still["weight_decay"] == 0
        decayed[tuning] = (len(shrinking["params"]), len(still["params"]))
    assert decayed == {"lora": (12, 0), "ia3": (0, 9)}


def test_a_bottleneck_cannot_be_folded(xlmr):
    adapter = Adapter(xlmr.encoder(), "bottleneck", seed=3)
    with pytest.raises(ModelError, match=r"is not linear .* lora and ia3 can. Run it as it is"):
        adapter.fold()


def test_weights_of_another_adapter_are_refused_with_the_first_that_differs(xlmr, tmp_path):
    Adapter(xlmr.encoder(), "ia3", seed=3).save(tmp_path, None)
    lora = Adapter(xlmr.encoder(), "lora", seed=3)
    with pytest.raises(ModelError, match=r"not the weights of this lora adapter: .*layer\.0\.attention"):
        lora.load(adapter_weights(tmp_path))


def test_a_damaged_adapter_is_refused(xlmr, tmp_path):
    Adapter(xlmr.encoder(), "ia3", seed=3).save(tmp_path, None)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(StoreError, match=r"cannot read the adapter in .* run it again"):
        adapter_weights(tmp_path)


def test_an_architecture_whose_layers_nobody_named_is_refused_with_those_that_are_known():
    with pytest.raises(
        ModelError, match=r"some-model is a mobilebert, .* bert, camembert, .*Tune it in full"
    ):
        places_of("mobilebert", "some-model")


def test_a_tuning_that_is_unknown_is_refused_with_those_that_are(xlmr):
    with pytest.raises(ModelError, match=r"tuning 'prefix' is not known. Known: full, lora, ia3"):
        Adapter(xlmr.encoder(), "prefix", seed=3)


@pytest.mark.parametrize("tuning", ADAPTERS)
def test_an_encoder_that_calls_its_layers_otherwise_is_refused(xlmr, tuning):
    encoder = xlmr.encoder()
    encoder.config.model_type = "eurobert"
    with pytest.raises(ModelError, match=f"eurobert encoder has no layers where a {tuning} adapter"):
        Adapter(encoder, tuning, seed=3)


def test_every_architecture_of_the_table_has_places(built):
    kind = json.loads((built.folder / "config.json").read_text())["model_type"]
    assert kind in PLACES
