"""Tasks that are trained one after the other: a stage that several targets share is one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import Bench, PaperSource, begun, engine_on, spec_of, tree_of

from budgets.amount import DeviceTime
from scheduler.cells import cells_in
from scheduler.drivers.table import drive_table
from scheduler.mix import Mix
from scheduler.run import worker_settings
from scheduler.trial import Recipe, TrialState
from trainers.errors import TaskError, UnknownTaskError
from trainers.stage import EvaluateStage, Half, StageKind, TargetStage
from trainers.tasks.catalog import Catalogue, installed

POS, NER = installed()["toy_pos"], installed()["toy_names"]
FOUND = installed()["toy_tatoeba"]
ROLES, READING = "toy_roles", "toy_reading"


def spec_with(*tasks, targets, mixed=(READING, ROLES)):
    """A study whose catalogue has ``tasks`` in place of the built-in ones of their names."""
    spec = spec_of(
        {"target.tasks": list(targets), "intermediate.tasks": [*mixed], "intermediate.count": [0, 2]}
    )
    known = {**installed(), **{task.name: task for task in tasks}}
    spec.__dict__["catalogue"] = Catalogue(known.values())
    return spec


@pytest.fixture
def spec():
    """Two tagging targets after the roles task, and sentence search after reading."""
    return spec_with(
        replace(POS, after=ROLES),
        replace(NER, after=ROLES),
        replace(FOUND, after=READING),
        targets=("toy_pos", "toy_names", "toy_tatoeba"),
    )


CONTROL = Mix()


def nodes_of(spec, mix=CONTROL):
    return tree_of(spec).nodes(Recipe(mix, 13, "toy-tiny"), 0, Half.SEARCH)


def targets_of(nodes):
    return {node.stage.task: node for node in nodes if isinstance(node.stage, TargetStage)}


def test_a_task_before_two_targets_is_one_stage_and_both_go_on_from_it(spec):
    nodes = nodes_of(spec)
    targets = targets_of(nodes)
    assert set(targets) == {ROLES, READING, "toy_pos", "toy_names"}
    assert sum(node.stage.kind is StageKind.TARGET for node in nodes) == 4
    for name in ("toy_pos", "toy_names"):
        assert targets[name].stage.parent == targets[ROLES].name
    assert targets[ROLES].stage.parent == next(n for n in nodes if n.stage.kind == "pretrain").name


def test_the_head_goes_on_where_both_tasks_are_of_one_family(spec):
    targets = targets_of(nodes_of(spec))
    assert {name: node.stage.head_of for name, node in targets.items()} == {
        ROLES: "",
        READING: "",
        "toy_pos": ROLES,
        "toy_names": ROLES,
    }


def test_a_target_that_is_never_trained_is_judged_on_the_task_before_it(spec):
    nodes = nodes_of(spec)
    judged = next(
        n.stage for n in nodes if isinstance(n.stage, EvaluateStage) and n.stage.task == FOUND.name
    )
    assert judged.parent == targets_of(nodes)[READING].name


def test_a_chain_is_trained_anew_on_every_mix(spec):
    control = targets_of(nodes_of(spec))
    mixed = targets_of(nodes_of(spec, Mix.of((READING, ROLES), 2000, 2.0)))
    assert not {node.name for node in control.values()} & {node.name for node in mixed.values()}


def test_the_engine_carries_a_chain_out_in_order_and_pays_for_what_is_shared_once(spec):
    tree = tree_of(spec)
    engine, account = engine_on(begun(tree, DeviceTime(200_000_000)), tree)
    bench = Bench(tree)
    drive_table(engine, bench.run, 1)
    done = [order.stage for order, _ in bench.answered]
    assert sum(isinstance(s, TargetStage) and s.task == ROLES for s in done) == len(
        {s.parent for s in done if isinstance(s, TargetStage) and s.task in ("toy_pos", "toy_names")}
    )
    assert account.balance.spent <= account.balance.cap
    assert any(trial.state is TrialState.DONE for trial in engine.state.trials.values())


def test_the_training_data_of_the_tasks_before_is_listed(spec):
    found = cells_in(spec, PaperSource().identity)
    roles = {(one.task.name, one.role) for one in found.training}
    assert roles >= {(ROLES, "before"), (READING, "before"), ("toy_pos", "target")}
    assert ("toy_tatoeba", "target") not in roles


def test_workers_are_sent_the_tasks_that_are_not_built_in(spec):
    sent = {task.name: task.after for task in worker_settings(spec).tasks}
    assert sent == {"toy_pos": ROLES, "toy_names": ROLES, "toy_tatoeba": READING}


def test_a_task_before_itself_is_refused():
    spec = spec_with(
        replace(POS, after="toy_names"), replace(NER, after="toy_pos"), targets=("toy_pos",)
    )
    with pytest.raises(TaskError, match="comes after itself"):
        nodes_of(spec)


def test_a_task_before_that_nobody_knows_is_refused():
    spec = spec_with(replace(POS, after="toy_rolls"), targets=("toy_pos",))
    with pytest.raises(UnknownTaskError, match="toy_roles"):
        nodes_of(spec)
