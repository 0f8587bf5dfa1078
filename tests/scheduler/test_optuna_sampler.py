import json
import math
import subprocess
import sys

import pytest

from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.mix import Mix
from scheduler.space import MixSpace

SPACE = MixSpace(("a", "b", "c", "d", "e"), (0, 5), (1_000, 64_000), (1.0, 4.0))
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


@pytest.mark.parametrize("name", NAMES)
def test_the_same_history_gives_the_same_proposal_in_a_fresh_process(name):
    sampler = OptunaSampler(SPACE, ("max", "min"), name, seed=3)
    n = 8 if name == "gp" else 24
    tried = history(sampler, n)
    told = [[list(m.tasks), m.cap, m.temperature, *value(m)] for m in tried]
    script = f"""
import json
from scheduler.adapters.optuna_sampler import OptunaSampler
from scheduler.mix import Mix
from scheduler.space import MixSpace
sampler = OptunaSampler({SPACE!r}, ("max", "min"), {name!r}, seed=3)
tried = []
for tasks, cap, temperature, score, hours in json.loads({json.dumps(told)!r}):
    tried.append(Mix.of(tuple(tasks), cap, temperature))
    sampler.tell(tried[-1], (score, hours))
print(repr(sampler.propose({n}, tried)))
"""
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == repr(sampler.propose(n, tried))


@pytest.mark.parametrize("name", NAMES)
def test_no_trial_is_left_running_and_only_tells_are_complete(name):
    sampler = OptunaSampler(SPACE, ("max", "min"), name, seed=3)
    n = 7 if name == "gp" else 15
    tried = history(sampler, n)
    for i in range(2):
        assert sampler.propose(100 + i, tried) not in tried
    states = [state.name for state in sampler.states()]
    assert states.count("COMPLETE") == n
    assert set(states) <= {"COMPLETE", "FAIL"}


def test_a_value_that_is_missing_or_not_a_number_is_never_told():
    sampler = OptunaSampler(SPACE, ("max", "min"), "tpe", seed=3)
    sampler.tell(Mix.of(("a",)), None)
    sampler.tell(Mix.of(("a",)), (math.nan, 1.0))
    sampler.tell(Mix.of(("a",)), (50.0, math.inf))
    assert sampler.states() == ()


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
def test_an_exhausted_space_gives_none(name):
    space = MixSpace(("a", "b", "c"), (0, 1), (1_000, 64_000), (1.0, 4.0))
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
