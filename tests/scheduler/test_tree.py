"""Equal work is the same node, and nothing about where it runs is in its name."""

from __future__ import annotations

import pytest
from fakes import mapping_of, spec_of, tree_of

import scheduler.workload
from scheduler.mix import Mix
from scheduler.spec import read
from scheduler.study import tree_of as tree_from_data
from scheduler.tree import union
from scheduler.trial import Recipe
from trainers.errors import MissingDataError
from trainers.stage import EvaluateStage, Half, StageKind
from trainers.tasks.source import DataIdentity

PAIR = Mix.of(("toy_reading", "toy_roles"), 2000, 2.0)


def recipe(mix=PAIR, seed=13):
    return Recipe(mix, seed, "toy-tiny")


def names(nodes, *kinds):
    return [node.name for node in nodes if not kinds or node.stage.kind in kinds]


@pytest.fixture(scope="module")
def tree():
    return tree_of(spec_of())


def test_the_control_needs_the_same_stages_at_every_rung(tree):
    control = recipe(Mix())
    assert tree.nodes(control, 0, Half.SEARCH) == tree.nodes(control, 1, Half.SEARCH)
    assert StageKind.INTERMEDIATE not in {n.stage.kind for n in tree.nodes(control, 1, Half.SEARCH)}


def test_a_longer_rung_continues_the_shorter_ones_trunk(tree):
    short, long = (
        names(tree.nodes(recipe(), rung, Half.SEARCH), StageKind.INTERMEDIATE) for rung in (0, 1)
    )
    assert len(long) == 2
    assert long[:1] == short
    last = next(n.stage for n in tree.nodes(recipe(), 1, Half.SEARCH) if n.name == long[1])
    assert last.continues == short[0]
    assert (last.tokens_before, last.tokens) == (50_000, 150_000)


def test_targets_of_different_rungs_are_different_stages(tree):
    short, long = (names(tree.nodes(recipe(), rung, Half.SEARCH), StageKind.TARGET) for rung in (0, 1))
    assert not set(short) & set(long)


def test_mixes_that_are_drawn_alike_are_one_stage_whatever_their_cap_and_temperature(tree):
    # Every split has 200 rows: any cap and any temperature draw the two tasks at equal rates.
    other = Mix.of(PAIR.tasks, 5000, 3.5)
    assert tree.nodes(recipe(), 1, Half.SEARCH) == tree.nodes(recipe(other), 1, Half.SEARCH)


def test_mixes_that_are_drawn_differently_share_only_the_pretrained_encoder(tree):
    # The text task has 200 rows in each of several languages, so a cap decides how often it comes.
    tasks = ("toy_reading", "toy_text")
    flat, steep = Mix.of(tasks, 200, 1.0), Mix.of(tasks, 6000, 1.0)
    assert tree.rates(flat) != tree.rates(steep)
    stages = [names(tree.nodes(recipe(mix), 0, Half.SEARCH)) for mix in (flat, steep)]
    assert set(stages[0]) & set(stages[1]) == {tree.base("toy-tiny").name}


def test_report_cells_are_judged_on_the_search_s_own_training_stages(tree):
    search, report = (tree.nodes(recipe(), 1, half) for half in Half)
    trained = (StageKind.PRETRAIN, StageKind.INTERMEDIATE, StageKind.TARGET)
    assert names(search, *trained) == names(report, *trained)
    assert not set(names(search, StageKind.EVALUATE)) & set(names(report, StageKind.EVALUATE))


def test_another_seed_shares_the_pretrained_encoder_and_nothing_else(tree):
    one, other = (tree.nodes(recipe(seed=seed), 1, Half.SEARCH) for seed in (13, 14))
    assert set(names(one)) & set(names(other)) == {tree.base("toy-tiny").name}


def test_parents_come_before_their_children(tree):
    seen = set()
    for node in tree.nodes(recipe(), 1, Half.REPORT):
        parents = {getattr(node.stage, key, None) for key in ("parent", "continues")} - {None}
        assert parents <= seen
        seen.add(node.name)


def test_two_recipes_merged_count_a_shared_stage_once(tree):
    paths = [tree.nodes(recipe(mix), 0, Half.SEARCH) for mix in (Mix(), PAIR)]
    assert len(union(paths)) == sum(map(len, paths)) - 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "elsewhere"},
        {"store": "/data/runs"},
        {"budget.gpu_hours": 5},
        {"budget.devices": {"kind": "cpu", "count": 1, "per_trial": 1}},
        {"budget.devices": {"kind": "gpu", "count": 8, "per_trial": 2}},
        {"search.policy": "uniform"},
        {"final.max_seeds": 3},
    ],
)
def test_names_do_not_depend_on_devices_places_budget_or_search(tree, change):
    other = tree_of(spec_of(change))
    assert names(other.nodes(recipe(), 1, Half.REPORT)) == names(tree.nodes(recipe(), 1, Half.REPORT))


@pytest.mark.parametrize(
    "change",
    [
        {"pretrain.tokens": "500K"},
        {"target.tokens": "60K"},
        {"target.learning_rate": 2e-3},
        {"intermediate.rungs": ["60K", "150K"]},
    ],
)
def test_names_depend_on_what_decides_the_result(tree, change):
    mapping = mapping_of(change)
    other = tree_of(read(mapping, "test"))
    assert names(other.nodes(recipe(), 1, Half.SEARCH)) != names(tree.nodes(recipe(), 1, Half.SEARCH))


def test_a_stage_s_work_grows_with_its_tokens_and_an_evaluation_s_with_its_rows(tree):
    short, long = [
        n.work for n in tree.nodes(recipe(), 1, Half.SEARCH) if n.stage.kind is StageKind.INTERMEDIATE
    ]
    assert long.key == short.key
    assert long.n_units > short.n_units
    assert long.prior_ms > short.prior_ms
    capped = tree_of(spec_of({"target.max_examples": 10}))
    rows = [
        next(
            n.work.n_units
            for n in t.nodes(recipe(Mix()), 0, Half.SEARCH)
            if "evaluate/tokens/toy_pos" in n.work.key
        )
        for t in (capped, tree)
    ]
    assert rows == [5 * 10, 5 * 200]


def test_of_a_split_that_search_and_report_share_each_half_scores_half_the_rows(tree):
    model = tree.nodes(recipe(), 0, Half.SEARCH)[0].stage.model
    data = (DataIdentity("google/xtreme/PAN-X.sw/validation", "paper", 200),)
    for half in Half:
        stage = EvaluateStage(model, None, "panx", ("sw",), half, data)
        assert tree.work(stage).n_units == 100


def test_a_mined_report_reads_the_search_s_half_too(tree):
    model = tree.nodes(recipe(), 0, Half.SEARCH)[0].stage.model
    data = tuple(DataIdentity(f"local/bucc2018/zh-en/{side}", "paper", 200) for side in ("s", "t"))
    units = {
        half: tree.work(EvaluateStage(model, None, "bucc", ("zh",), half, data)).n_units for half in Half
    }
    assert units == {Half.SEARCH: 200, Half.REPORT: 400}


def test_data_that_is_not_there_is_listed_all_at_once_with_what_to_remove(tmp_path):
    (tmp_path / "hub").mkdir()
    spec = read(
        {
            "name": "no-data",
            "budget": {"gpu_hours": 1, "devices": {"kind": "cpu", "count": 1}},
            "model": {"name": "FacebookAI/xlm-roberta-base"},
            "data": {"source": "mirror", "path": str(tmp_path)},
            "intermediate": {
                "tasks": ["mnli", "qqp"],
                "count": [0, 2],
                "rungs": ["100K"],
                "learning_rate": 1e-5,
            },
            "target": {
                "benchmark": "xtreme",
                "tasks": ["panx", "tatoeba"],
                "languages": ["sw", "te"],
                "tokens": "100K",
            },
        },
        "test",
    )
    with pytest.raises(MissingDataError) as refusal:
        tree_from_data(spec)
    said = str(refusal.value)
    assert said.startswith("the mirror lacks 7 of the files that no-data reads. Add them: without")
    for user in ("train.parquet: mnli", "PAN-X.en/train.parquet: panx", "tatoeba/te"):
        assert user in said
    assert said.count(str(tmp_path)) == 7


def test_the_candidates_of_a_ranking_are_work_once_unless_their_vectors_are_too_many(monkeypatch):
    changes = {
        "data.source": "hub",
        "model.name": "xlm-roberta-base",
        "pretrain": None,
        "intermediate.tasks": ["mnli"],
        "intermediate.count": [0, 1],
        "target.benchmark": "xtreme-r",
        "target.tasks": ["lareqa"],
        "target.max_examples": 30,
    }

    def units(languages):
        spec = spec_of({**changes, "target.languages": languages})
        nodes = tree_of(spec).nodes(Recipe.of(Mix(), 13, spec.arms[0]), 0, Half.SEARCH)
        (work,) = (n.work for n in nodes if isinstance(n.stage, EvaluateStage))
        return work.n_units

    n_pool = 11 * 200  # languages of the pool, rows each
    assert units(["vi"]) >= n_pool + 30
    assert units(["vi", "th"]) == units(["vi"])  # their questions are among the candidates' rows
    n_bytes = 4 * 768 * n_pool
    monkeypatch.setattr(scheduler.workload, "MOST_BYTES", n_bytes)
    assert units(["vi", "th"]) == units(["vi"])
    monkeypatch.setattr(scheduler.workload, "MOST_BYTES", n_bytes - 1)
    assert units(["vi", "th"]) - units(["vi"]) == n_pool
