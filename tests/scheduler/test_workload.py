"""What stages cost alike, and how much of it they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import small_tree, spec_of, tree_of

from budgets.forecast import Forecast
from scheduler.climb import Climb
from scheduler.mix import Mix
from scheduler.readings import readings
from scheduler.state import StudyState
from scheduler.trial import Recipe
from scheduler.workload import _MASKED_SHARE
from trainers.families.masked import MASKED_SHARE
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    MergePart,
    MergeStage,
    ModelRef,
    TargetStage,
)
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity


def stages(tree, tasks=("toy_entailment", "toy_roles")):
    spec = tree.spec
    mix = Mix(tuple(sorted(tasks)), 10_000, 1.0)
    recipe = Recipe(mix, spec.seed, spec.model.name, spec.model.tuning)
    return [node.stage for node in tree.nodes(recipe, 1, Half.SEARCH)]


def of_type(tree, kind, **mix):
    return next(stage for stage in stages(tree, **mix) if isinstance(stage, kind))


def test_a_key_names_family_task_model_and_how_it_is_computed():
    tree = small_tree()
    model = f"{tree.spec.model.name}/full/{tree.spec.model.precision}"
    target, evaluation = of_type(tree, TargetStage), of_type(tree, EvaluateStage)
    batch = f"{target.optimisation.batch_tokens}x1"
    assert tree.work(target).key == f"target/tokens/toy_pos/{model}/{batch}"
    assert tree.work(evaluation).key == f"evaluate/tokens/toy_pos/{model}"


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelRef("xlm-roberta-base", "")},
        {"model": ModelRef("toy-tiny", "random", "full", "bf16")},
    ],
)
def test_another_model_or_precision_is_other_work(change):
    tree = small_tree()
    stage = of_type(tree, TargetStage)
    assert tree.work(replace(stage, **change)).key != tree.work(stage).key


def test_a_larger_model_is_guessed_to_take_longer_by_its_weights():
    tree = small_tree()
    stage = of_type(tree, TargetStage)
    small, large = (
        tree.work(replace(stage, model=ModelRef(name, "")))
        for name in ("xlm-roberta-base", "xlm-roberta-large")
    )
    assert large.prior_ms - 400 == pytest.approx((small.prior_ms - 400) * 2 * (4 / 3) ** 2, rel=0.001)


def test_masked_text_costs_its_share_of_the_vocabulary_too():
    tree = small_tree()
    without = of_type(tree, IntermediateStage)
    text = of_type(tree, IntermediateStage, tasks=("toy_entailment", "toy_text"))
    assert tree.work(text).n_units > tree.work(without).n_units
    assert _MASKED_SHARE == MASKED_SHARE


def test_a_merge_reads_the_rows_of_its_evaluation_and_every_encoder_that_it_is_made_of():
    tree = small_tree()
    judged = of_type(tree, EvaluateStage)
    model = ModelRef("xlm-roberta-base", "")

    def merged(n_parts, target):
        parts = tuple(MergePart(f"{number}", 1.0) for number in range(n_parts))
        cells = (judged.task, judged.languages, judged.half, judged.data)
        return tree.work(MergeStage(model, "base", parts, 1.0, target, *cells, judged.max_examples))

    evaluation = tree.work(replace(judged, model=model))
    assert merged(2, None).key == evaluation.key.replace("evaluate/", "merge/")
    assert merged(2, None).n_units == evaluation.n_units
    read_ms = merged(3, None).prior_ms - merged(2, None).prior_ms
    assert read_ms > 1_000  # 1.1 GB
    assert merged(2, "target").prior_ms == merged(3, None).prior_ms
    assert merged(2, None).prior_ms == evaluation.prior_ms + 3 * read_ms


def test_a_stage_of_a_task_that_the_study_cannot_name_has_no_size():
    tree = small_tree()
    with pytest.raises(KeyError):
        tree.work(replace(of_type(tree, TargetStage), task="nobody"))


def test_a_batch_of_another_size_is_other_work():
    small, large = (tree_of(spec_of({"target.batch_tokens": n})) for n in (512, 1024))
    keys = [tree.work(of_type(tree, TargetStage)).key for tree in (small, large)]
    assert keys[0] != keys[1]


def test_the_toy_worlds_data_takes_no_time_to_read_and_other_data_does():
    tree = small_tree()
    target = of_type(tree, TargetStage)
    assert tree.work(target).once == ()
    other = replace(target, task="xquad", data=(DataIdentity("squad", "v1", 10_000),))
    assert replace(tree._workload, tasks=TASKS).of(other).once == readings(other, TASKS) != ()


def test_what_several_stages_need_once_costs_once():
    tree = small_tree()
    spec = tree.spec
    nodes = tree.nodes(
        Recipe(Mix(("toy_roles",), 10_000, 1.0), spec.seed, spec.model.name), 1, Half.SEARCH
    )
    plain = Climb(tree, StudyState(), Forecast()).cost_of(nodes)
    needing = [replace(node, work=replace(node.work, once=(("data", 60_000),))) for node in nodes]
    cost = Climb(tree, StudyState(), Forecast()).cost_of(needing)
    # The longest stage's bound is further from what is expected by as much as it may take longer.
    assert plain.ms + 60_000 < cost.ms < plain.ms + 3 * 60_000
