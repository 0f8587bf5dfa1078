"""How many encoders stay in host memory: the latest three always, more while they fit."""

import pytest
import torch
from torch import nn

from trainers.kept_weights import KeptWeights

BYTES = 40


def kept_of(n_encoders, room_bytes):
    """Names that are still kept, of so many encoders kept one after the other."""
    kept = KeptWeights(None, room_bytes)
    for number in range(n_encoders):
        kept.keep_whole(str(number), nn.Linear(BYTES // 4, 1, bias=False))
    return [number for number in range(n_encoders) if kept.whole(str(number)) is not None]


@pytest.mark.parametrize(
    ("room_bytes", "n_kept"), [(0, 3), (3 * BYTES, 3), (5 * BYTES, 5), (6 * BYTES - 1, 5), (10**9, 12)]
)
def test_the_latest_encoders_are_kept_as_far_as_there_is_room(room_bytes, n_kept):
    assert kept_of(20, room_bytes) == list(range(20 - n_kept, 20))


def test_what_is_kept_is_a_copy_and_going_back_to_it_makes_it_the_latest():
    kept, encoder = KeptWeights(None, 0), nn.Linear(2, 1, bias=False)
    before = encoder.weight.detach().clone()
    for name in "abc":
        kept.keep_whole(name, encoder)
    with torch.no_grad():
        encoder.weight.zero_()
    assert torch.equal(kept.whole("a")["weight"], before)
    kept.keep_whole("d", encoder)
    assert kept.whole("a") is not None
    assert kept.whole("b") is None
