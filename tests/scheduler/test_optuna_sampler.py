import json
import math
import subprocess
import sys

import pytest

from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.mix import Mix
from scheduler.space import MixSpace

SPACE = MixSpace(("a", "b", "c", "d", "e"), (0, 5), (1_000, 64_000), (1.0, 4.0))
TEXTED = MixSpace(("a", "b", "c", "d", "t"), (0, 5), (1_000, 64_000), (1.0, 4.0), (0.1, 0.5), ("t",))
BARE = MixSpace(("a", "b", "c", "d", "t"), (0, 5))  # a rule that has nothing to search
NAMES = ("tpe", "nsga2", "gp", "random")


def value(mix):
    """Task a helps, b hurts, more tasks cost more."""
    return (50.0 + 5 * ("a" in mix.tasks) - 5 * ("b" in mix.tasks), 1.0 + mix.count)


def history(sampler, n):
    tried = []
    for i in range(n):
        mix = sampler.propose(i, tried)
        tried.append(mix)
        sampler.tell(mix, value(mix))
    return tried


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
@pytest.mark.parametrize("seed", range(4))
def test_proposals_in_between_change_no_later_one(name, seed):
    asked, told = (OptunaSampler(TEXTED, ("max", "min"), name, seed) for _ in range(2))
    tried = history(asked, 24)
    for mix in tried:
        told.tell(mix, value(mix))
    assert asked.n_told == told.n_told == 24
    assert told.propose(24, tried) == asked.propose(24, tried)


@pytest.mark.parametrize(
    ("name", "space"),
    [*((name, SPACE) for name in NAMES), ("tpe", TEXTED), ("nsga2", TEXTED)],
)
def test_the_same_history_gives_the_same_proposal_in_a_fresh_process(name, space):
    sampler = OptunaSampler(space, ("max", "min"), name, seed=3)
    n = 8 if name == "gp" else 24
    tried = history(sampler, n)
    told = [[list(m.tasks), m.cap, m.temperature, m.text, *value(m)] for m in tried]
    script = f"""
import json
from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.mix import Mix
from scheduler.space import MixSpace
sampler = OptunaSampler({space!r}, ("max", "min"), {name!r}, seed=3)
tried = []
for tasks, cap, temperature, text, score, hours in json.loads({json.dumps(told)!r}):
    tried.append(Mix.of(tuple(tasks), cap, temperature, text))
    sampler.tell(tried[-1], (score, hours))
print(repr(sampler.propose({n}, tried)))
"""
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == repr(sampler.propose(n, tried))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [TEXTED, BARE], ids=["text", "bare"])
def test_what_a_model_proposes_lies_in_the_space_and_is_new(name, space):
    sampler = OptunaSampler(space, ("max", "min"), name, seed=3)
    tried = history(sampler, 7 if name == "gp" else 20)
    assert all(mix in space for mix in tried)
    assert len(set(tried)) == len(tried)
    assert any("t" in mix.tasks and mix.count > 1 for mix in tried)
    if space is TEXTED:
        assert all((mix.text > 0) == ("t" in mix.tasks and mix.count > 1) for mix in tried)


def test_a_sampler_learns_which_share_of_text_helps():
    space = MixSpace(("a", "t"), (2, 2), text=(0.05, 0.95), texts=("t",))
    sampler, tried = OptunaSampler(space, ("max",), "tpe", seed=3), []
    for i in range(16):
        tried.append(sampler.propose(i, tried))
        sampler.tell(tried[-1], (-abs(tried[-1].text - 0.8),))
    early, late = (sum(abs(m.text - 0.8) for m in part) / 6 for part in (tried[:6], tried[10:16]))
    assert late < early


def test_a_value_that_is_missing_or_not_a_number_is_never_told():
    sampler = OptunaSampler(SPACE, ("max", "min"), "tpe", seed=3)
    sampler.tell(Mix.of(("a",)), None)
    sampler.tell(Mix.of(("a",)), (math.nan, 1.0))
    sampler.tell(Mix.of(("a",)), (50.0, math.inf))
    assert sampler.n_told == 0


def test_one_value_for_two_objectives_is_refused():
    sampler = OptunaSampler(SPACE, ("max", "min"), "tpe", seed=3)
    with pytest.raises(ValueError, match="2 objectives, told 1"):
        sampler.tell(Mix.of(("a",)), (50.0,))


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_a_sampler_learns_which_task_helps(name):
    sampler = OptunaSampler(SPACE, ("max",), name, seed=3)
    tried = []
    for i in range(40):
        mix = sampler.propose(i, tried)
        tried.append(mix)
        sampler.tell(mix, value(mix)[:1])
    late = tried[-20:]
    helped = sum("a" in mix.tasks for mix in late) - sum("b" in mix.tasks for mix in late)
    early = tried[:6]
    assert helped >= 6
    assert helped / 20 > (sum("a" in m.tasks for m in early) - sum("b" in m.tasks for m in early)) / 6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "space",
    [
        MixSpace(("a", "b", "c"), (0, 1), (1_000, 64_000), (1.0, 4.0)),
        MixSpace(("a", "t"), (0, 2), text=(0.1, 0.12), texts=("t",)),
    ],
    ids=["plain", "text"],
)
def test_an_exhausted_space_gives_none(name, space):
    sampler = OptunaSampler(space, ("max",), name, seed=3)
    tried = []
    while (mix := sampler.propose(len(tried), tried)) is not None:
        tried.append(mix)
        sampler.tell(mix, (float(len(tried)),))
        for _ in range(3):
            sampler.tell(mix, (float(len(tried)),))
    assert sorted(tried) == sorted(space.all_mixes())


@pytest.mark.parametrize("name", NAMES)
def test_the_record_names_the_sampler_and_its_arguments(name):
    description = OptunaSampler(SPACE, ("max",), name, seed=3).description
    expected = {"tpe": "constant_liar=False", "nsga2": "population_size=10", "gp": "GPSampler"}
    assert expected.get(name, "random: k uniform") in description
