"""What a stage is the first to read: no more than it needs, and never twice under one seed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.readings import UNKNOWN_ROWS, readings
from trainers.stage import IntermediateStage, ModelRef, Optimisation, TargetStage, TaskShare
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity

MODEL = ModelRef("mini-xlmr", "")


def target(tokens, n_rows=100_000, task="xquad", seed=3, batch_tokens=1024):
    data = (DataIdentity("squad", "v1", n_rows),)
    return TargetStage(MODEL, None, task, data, tokens, Optimisation(1e-3, batch_tokens), seed)


def mixed(tokens, rates, before=0):
    shares = tuple(
        TaskShare(task, rate, (DataIdentity(task, "v1", 300_000),)) for task, rate in rates.items()
    )
    return IntermediateStage(MODEL, None, None, shares, before, tokens, Optimisation(1e-3, 1024), 3)


def ms_of(stage):
    return sum(ms for _, ms in readings(stage, TASKS))


def test_a_stage_of_few_tokens_reads_a_pool_and_one_of_many_all_rows():
    assert ms_of(target(10_000)) == pytest.approx(0.3 * 1024, abs=1)
    assert ms_of(target(10**9)) == pytest.approx(0.3 * 100_000, abs=20)
    assert ms_of(target(10_000, task="xnli")) == pytest.approx(0.2 * 2048, abs=1)


@given(
    tokens=st.lists(st.integers(1, 10**8), min_size=2, max_size=2).map(sorted),
    n_rows=st.integers(0, 10**6),
    task=st.sampled_from(["xquad", "xnli", "panx", "lareqa"]),
    batch_tokens=st.sampled_from([512, 2048, 65_536]),
)
def test_a_longer_stage_reads_what_a_shorter_one_does_and_never_more_than_there_is(
    tokens, n_rows, task, batch_tokens
):
    shorter, longer = (
        dict(readings(target(n, n_rows, task, batch_tokens=batch_tokens), TASKS)) for n in tokens
    )
    assert shorter.items() <= longer.items()
    whole = dict(readings(target(10**12, n_rows, task, batch_tokens=batch_tokens), TASKS))
    assert longer.items() <= whole.items()
    per_row = {"xquad": 0.3, "xnli": 0.2, "panx": 0.15, "lareqa": 0.4}[task]
    assert sum(whole.values()) == pytest.approx(per_row * (n_rows or UNKNOWN_ROWS), rel=0.02, abs=10)


def test_another_seed_reads_other_rows_unless_there_are_few():
    assert not {*readings(target(10_000), TASKS)} & {*readings(target(10_000, seed=4), TASKS)}
    few = target(10_000, n_rows=900)
    assert readings(few, TASKS) == readings(replace(few, seed=4), TASKS)


def test_another_model_task_or_set_of_data_is_read_for_itself():
    given = target(10_000)
    others = [
        replace(given, model=ModelRef("xlm-r", "")),
        replace(given, task="mlqa"),
        replace(given, data=(DataIdentity("squad", "v2", 100_000),)),
    ]
    names = [{name for name, _ in readings(stage, TASKS)} for stage in (given, *others)]
    assert len(set.union(*names)) == sum(map(len, names))


def test_each_task_of_a_mix_reads_for_its_share_and_the_decay_branch_is_read_for_too():
    whole, half = mixed(4_000_000, {"mnli": 1.0}), mixed(4_000_000, {"mnli": 0.5, "squad_v1": 0.5})
    of_half = {reading for reading in readings(half, TASKS) if "/mnli/" in reading[0]}
    assert set() < of_half < {*readings(whole, TASKS)}
    assert len(readings(half, TASKS)) > len(of_half)
    longer = replace(whole, optimisation=replace(whole.optimisation, decay_share=3.0))
    assert ms_of(whole) < ms_of(longer)


def test_a_longer_rung_of_a_chain_finds_what_the_shorter_one_read():
    first, second = mixed(400_000, {"mnli": 1.0}), mixed(3_000_000, {"mnli": 1.0}, before=400_000)
    assert {*readings(first, TASKS)} < {*readings(second, TASKS)}
