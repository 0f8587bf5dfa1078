"""The merging benchmark compares orders of the same mixes and times only what ran."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import spec_of, tree_of

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from experiments.benchmarks.merging import (
    SINGLES,
    Bench,
    another,
    both_seeds,
    foretold,
    scale_of,
    with_merged,
)
from scheduler.errors import StudyError
from scheduler.mix import Mix
from scheduler.study import space_of
from scheduler.trial import Recipe
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import (
    EvaluateStage,
    IntermediateStage,
    MergeStage,
    ScoringStage,
    StageKind,
    TargetStage,
    stage_name,
)

WORTH = {"toy_text": 1.0, "toy_entailment": 4.1, "toy_reading": 2.3, "toy_roles": 3.7}
N_POINTS = 40.0


class World:
    """What a mix is worth follows from its tasks; merging is worth ``sign`` times that."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign
        self.worth: dict[str, float] = {}
        self.scales: list[float] = []

    def run(self, order) -> Measurement:
        stage, name = order.stage, stage_name(order.stage)
        match stage:
            case IntermediateStage():
                self.worth[name] = sum(share.rate * WORTH[share.task] for share in stage.shares)
                self.worth[name] *= 1 + stage.tokens / 1e6
            case TargetStage() | EvaluateStage():
                self.worth[name] = self.worth.get(stage.parent, 0.0)
            case MergeStage():
                self.scales.append(stage.scale)
                self.worth[name] = self.sign * sum(self.worth[p.stage] * p.weight for p in stage.parts)
        scores = ()
        if isinstance(stage, ScoringStage):
            scores = tuple(
                CellScore(stage.task, code, "accuracy", N_POINTS + self.worth[name], 9)
                for code in stage.languages
            )
        purpose = Purpose.EVALUATE if scores else Purpose.TRAIN
        bill = Bill({Purpose.LOAD: DeviceTime(500), purpose: DeviceTime(1_500)})
        return Measurement(order.hold, name, Outcome.DONE, bill, scores)


@pytest.fixture(scope="module")
def tree():
    return tree_of(with_merged(spec_of({"intermediate.mixing": {"rule": "uniform"}})))


@pytest.fixture(scope="module")
def recipes(tree):
    several = [mix for mix in space_of(tree.spec).all_mixes() if mix.count > 1]
    return [Recipe(mix, 13, tree.spec.model.name) for mix in several]


def of(rows, look, rung="rung 1"):
    return next(row for row in rows if (row.look, row.rung, row.of) == (look, rung, "score"))


def test_a_look_that_orders_mixes_as_training_does_has_a_tau_of_one_and_the_reverse_minus_one(
    tree, recipes
):
    for sign in (1.0, -1.0):
        found = Bench(tree, World(sign).run).looks(recipes, ["1"], 2)
        rows = foretold(found, 2, seed=1)
        assert of(rows, "merged, scale 1").tau == pytest.approx(sign)
        assert of(rows, "rung 0").tau == pytest.approx(1.0)
        assert of(rows, SINGLES).tau == pytest.approx(1.0)
        assert of(rows, SINGLES, "rung 0").gap == pytest.approx(0.0, abs=1e-4)  # rates are rounded
        assert of(rows, SINGLES).gap < 0


def test_no_rung_foretells_itself_or_one_below_it(tree, recipes):
    rows = foretold(Bench(tree, World().run).looks(recipes, ["1"], 2), 2, seed=1)
    trained = {(row.look, row.rung) for row in rows if row.look.startswith("rung")}
    assert trained == {
        ("rung 0", "rung 1"),
        ("rung 0", both_seeds(1)),
        (another(1), "rung 1"),
    }
    assert of(rows, another(1)).tau == pytest.approx(1.0)  # this world has no chance in it


def test_mixes_that_score_alike_have_no_tau():
    cells = (CellScore("t", "sw", "accuracy", 50.0, 9),)
    same = {Mix.of((f"task{number}",)): cells for number in range(6)}
    looks = {"merged, scale 1": same, "rung 0": same, another(0): same}
    row = of(foretold(looks, 1, 1), "merged, scale 1", "rung 0")
    assert (row.tau, row.low, row.gap) == (None, None, 0.0)


def test_a_look_that_is_right_on_the_mean_of_two_seeds_is_right_on_neither(tree, recipes):
    def cells(value):
        return (CellScore("t", "sw", "accuracy", value, 9),)

    noise = [3.0, -3.0, 2.0, -2.0, 2.5, -2.5]
    mixes = [Mix.of((f"task{number}",)) for number in range(6)]
    looks = {
        "merged, scale 1": {mix: cells(50.0 + n) for n, mix in enumerate(mixes)},
        "rung 0": {mix: cells(50.0 + n + noise[n]) for n, mix in enumerate(mixes)},
        another(0): {mix: cells(50.0 + n - noise[n]) for n, mix in enumerate(mixes)},
    }
    rows = foretold(looks, 1, 1)
    assert of(rows, "merged, scale 1", both_seeds(0)).tau == pytest.approx(1.0)
    assert of(rows, "merged, scale 1", "rung 0").tau < 1.0


def test_a_scale_is_a_number_or_follows_the_number_of_tasks(tree, recipes):
    assert [scale_of(text, 4) for text in ("0.5", "sqrt", "k")] == [0.5, 2.0, 4.0]
    world = World()
    Bench(tree, world.run).looks(recipes, ["sqrt"], 1)
    assert set(world.scales) == {recipe.mix.count**0.5 for recipe in recipes}
    with pytest.raises(ValueError, match="could not convert"):
        scale_of("many", 4)


def test_times_are_per_mix_and_leave_out_what_mixes_share_and_what_was_there(tree, recipes):
    bench = Bench(tree, World().run)
    bench.looks(recipes, ["1"], 1)
    n_tasks = len(tree.spec.target.tasks)
    per_mix = {what: time_s * 1_000 for what, time_s in bench.seconds().items()}
    assert per_mix["merged, scale 1: merge"] == 2_000 * n_tasks
    assert per_mix["rung 0: intermediate"] == 2_000
    assert "shared" not in str(per_mix)
    assert len(bench.ms["rung 0", StageKind.INTERMEDIATE]) == len(recipes)


def test_a_stage_that_fails_ends_the_benchmark_with_its_error(tree, recipes):
    class Failing(World):
        def run(self, order):
            found = super().run(order)
            failed = order.stage.kind is StageKind.MERGE
            return replace(found, outcome=Outcome.FAILED, error="no room") if failed else found

    with pytest.raises(StudyError, match=r"merge .* ended failed: no room"):
        Bench(tree, Failing().run).looks(recipes, ["1"], 1)
