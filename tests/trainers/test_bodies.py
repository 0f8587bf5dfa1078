"""Which encoders stay on the device: the one in use always, others while they fit."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainers.bodies import Bodies, Body

CPU = torch.device("cpu")
BYTES = {"small": 4, "middle": 12, "large": 40}  # of float32: 1, 3 and 10 weights
ORDERS = st.lists(st.sampled_from(sorted(BYTES)), min_size=1)


def encoder(name):
    """So many weights and nothing else."""
    return nn.ParameterList([nn.Parameter(torch.zeros(BYTES[name] // 4))])


@given(order=ORDERS, room_bytes=st.integers(0, 60))
def test_what_waits_stays_within_its_share_and_the_one_in_use_is_never_dropped(order, room_bytes):
    bodies = Bodies(CPU, room_bytes)
    for name in order:
        body = bodies.of(name) or bodies.put(name, Body(encoder(name), ""))
        assert bodies.in_use is body
        kept = list(bodies._bodies)
        assert kept[-1] == name
        assert sum(BYTES[other] for other in kept[:-1]) <= room_bytes


@given(order=ORDERS)
def test_where_all_fit_each_is_made_once(order):
    bodies, n_made = Bodies(CPU, sum(BYTES.values())), 0
    for name in order:
        if bodies.of(name) is None:
            bodies.put(name, Body(encoder(name), ""))
            n_made += 1
    assert n_made == len(set(order))


def test_the_one_that_was_used_longest_ago_is_dropped_first():
    bodies = Bodies(CPU, BYTES["small"] + BYTES["middle"])
    for name in ("small", "middle", "large"):
        bodies.put(name, Body(encoder(name), ""))
    bodies.of("small")
    assert list(bodies._bodies) == ["small"]
    bodies.put("middle", Body(encoder("middle"), ""))
    bodies.put("large", Body(encoder("large"), ""))
    assert list(bodies._bodies) == ["small", "middle", "large"]
