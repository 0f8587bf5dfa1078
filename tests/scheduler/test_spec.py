import copy
import json
from pathlib import Path

import pytest

from budgets.errors import SpecError
from budgets.spec import read_yaml
from scheduler.errors import StudyError
from scheduler.places import changed, journal_url, run_folder, store_url, tracking_url
from scheduler.spec import StudySpec, json_schema, load, read
from trainers.tasks.catalog import benchmark

ROOT = Path(__file__).parents[2] / "experiments"
SPECS = (
    ROOT / "quickstart.yaml",
    ROOT / "real-mini.yaml",
    ROOT / "studies/task-count-vs-budget.yaml",
    ROOT / "studies/xtreme-nine-by-nine.yaml",
)


@pytest.fixture
def mapping():
    return copy.deepcopy(read_yaml(SPECS[2])[0])


@pytest.fixture
def toy():
    return copy.deepcopy(read_yaml(SPECS[0])[0])


def put(mapping, path, value):
    *parents, last = path.split(".")
    for key in parents:
        mapping = mapping[key]
    mapping[last] = value


def problems(mapping):
    with pytest.raises(SpecError) as refusal:
        read(mapping, source="s.yaml")
    return refusal.value.problems


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_that_ships_is_valid_and_keeps_its_text(path):
    spec, text = load(path)
    assert (spec.name, text) == (path.stem, path.read_text())
    assert spec.languages
    assert all(languages for _, languages in spec.cells)


def test_numbers_arrive_in_their_unit(mapping):
    put(mapping, "intermediate.learning_rate", 1e-5)
    spec = read(mapping, "s.yaml")
    assert spec.intermediate.rungs == (1_000_000, 4_000_000, 16_000_000)
    assert (spec.intermediate.learning_rate, spec.target.learning_rate) == (1e-5, 2e-5)
    assert spec.intermediate.mixing.cap == (16_384, 131_072)
    assert spec.objectives.directions == ("max", "min")


def test_a_learning_rate_written_as_1e_5_is_a_number(tmp_path):
    text = SPECS[2].read_text().replace("1.0e-5", "1e-5")
    (tmp_path / "s.yaml").write_text(text)
    assert load(tmp_path / "s.yaml")[0].intermediate.learning_rate == 1e-5


def test_what_is_not_written_has_the_documented_value(mapping):
    spec = read(mapping, "s.yaml")
    assert (spec.search.eta, spec.search.max_trials) == (3, None)
    assert (spec.final.finalists, spec.final.max_seeds, spec.final.max_examples) == (2, 8, None)
    assert (spec.intermediate.batch_tokens, spec.intermediate.accumulation) == (16_000, 1)
    assert (spec.target.max_examples, spec.journal, spec.pretrain) == (None, None, None)


def test_one_objective_is_enough_and_the_score_is_it(mapping):
    put(mapping, "objectives", {"score": "max"})
    assert read(mapping, "s.yaml").objectives.directions == ("max",)
    put(mapping, "objectives", {"gpu_hours": "min"})
    assert problems(mapping) == ["objectives.score: is missing"]


def test_languages_by_definition_are_those_that_a_target_can_score(mapping):
    spec = read(mapping, "s.yaml")
    assert "qu" not in spec.languages
    assert set(spec.languages) == {code for _, languages in spec.cells for code in languages}
    assert dict(spec.cells)["xnli"] == ("sw",)
    assert "te" in dict(spec.missing_cells)["xnli"]
    assert "sw" not in dict(spec.missing_cells)["xnli"]


def test_languages_by_list_keep_their_order(mapping):
    put(mapping, "target.languages", ["te", "sw"])
    spec = read(mapping, "s.yaml")
    assert spec.languages == ("te", "sw")
    assert dict(spec.cells)["tydiqa"] == ("te", "sw")
    assert spec.missing_cells == (("udpos", ("sw",)), ("xnli", ("te",)))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "intermediate.tasks",
            ["mnlli"],
            "intermediate.tasks.0: unknown task 'mnlli'. Did you mean mnli",
        ),
        ("intermediate.tasks", ["mnli", "mnli"], "intermediate.tasks.1: task 'mnli' is listed twice"),
        (
            "intermediate.tasks",
            ["toy_roles"],
            "intermediate.tasks.0: task 'toy_roles' belongs to the toy",
        ),
        ("intermediate.tasks", ["tatoeba"], "intermediate.tasks.0: task 'tatoeba' is never trained"),
        ("intermediate.count", [0, 10], "intermediate.count: [0, 10] is not a range within 0 and the 9"),
        ("intermediate.count", [3, 2], "intermediate.count: [3, 2] is not a range"),
        ("intermediate.rungs", ["4M", "1M"], "intermediate.rungs: must go up, got 4,000,000, 1,000,000"),
        ("intermediate.rungs", ["4M", "4M"], "intermediate.rungs: must go up"),
        ("intermediate.mixing.cap", [9, 8], "intermediate.mixing.cap: [9, 8] goes down"),
        (
            "intermediate.mixing.temperature",
            [2.0, 1.0],
            "intermediate.mixing.temperature: [2.0, 1.0] goes",
        ),
        ("intermediate.accumulation", 3, "intermediate.accumulation: 3 does not divide"),
        ("intermediate.batch_tokens", "2M", "intermediate.batch_tokens: 2,000,000 is more than a whole"),
        ("target.tasks", ["mnli"], "target.tasks.0: 'mnli' is not in xtreme"),
        ("target.tasks", ["panxx"], "target.tasks.0: unknown task 'panxx'. Did you mean panx"),
        ("target.languages", ["xx"], "target.languages.0: unknown language 'xx'"),
        ("target.languages", ["sw", "sw"], "target.languages.1: language 'sw' is listed twice"),
        ("target.languages", ["sw", "qu"], "target.languages.1: no target task has scored data in 'qu'"),
        ("target.languages", ["mr"], "target.tasks.2: task 'xnli' has none of the study's languages"),
        (
            "target.languages",
            {"low_resource": "defualt"},
            "target.languages.low_resource: no definition",
        ),
        (
            "target.languages",
            {"low_resource": ["xx"]},
            "target.languages.low_resource: no language 'xx'",
        ),
        ("model.name", "xlm-roberta-lrge", "model.name: no model 'xlm-roberta-lrge'"),
        ("model.name", "toy-tiny", "model.name: 'toy-tiny' belongs to the toy world"),
        ("pretrain", {"tokens": "1M"}, "pretrain: 'xlm-roberta-large' is pretrained already"),
        ("data.path", "/mirror", "data.path: only a mirror has one, the source is 'hub'"),
        ("store", "s3://bucket/runs", "journal: a store at s3://bucket/runs cannot hold a database"),
        ("journal", "postgresql://db/x", "journal: 'postgresql://db/x' is no journal; write"),
        ("tracking.mlflow", "mlruns", "tracking.mlflow: 'mlruns' is no URL"),
        ("tracking.mlflow", "file:///tmp/mlruns", "tracking.mlflow: MLflow refuses file stores"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_with_its_path_and_remedy(mapping, path, value, expected):
    put(mapping, path, value)
    assert any(line.startswith(expected) for line in problems(mapping)), problems(mapping)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("budget.devices.per_trial", 9, "budget.devices: per_trial is 9 of only 8 devices"),
        ("budget.final_share", 1.0, "budget.final_share: "),
        ("budget.gpu_hours", True, "budget.gpu_hours: "),
        ("intermediate.learning_rate", "1e-5x", "intermediate.learning_rate: "),
        ("intermediate.count", [0, True], "intermediate.count.1: "),
        (
            "intermediate.lerning_rate",
            1e-5,
            "intermediate.lerning_rate: unknown key; did you mean 'learn",
        ),
        ("traking", {}, "traking: unknown key; did you mean 'tracking'"),
        ("name", "Big Run", "name: "),
        ("search.sampler", "cmaes", "search.sampler: "),
        ("target.tokens", "0", "target.tokens: "),
    ],
)
def test_a_wrong_shape_is_refused_with_its_path(mapping, path, value, expected):
    put(mapping, path, value)
    assert any(line.startswith(expected) for line in problems(mapping)), problems(mapping)


def test_every_problem_is_listed_at_once(mapping):
    put(mapping, "intermediate.tasks", ["mnlli", "qpq"])
    put(mapping, "intermediate.count", [0, 5])
    put(mapping, "target.languages", ["sw", "klingon"])
    put(mapping, "store", "s3://bucket")
    starts = [line.split(":")[0] for line in problems(mapping)]
    assert starts[:4] == [
        "intermediate.tasks.0",
        "intermediate.tasks.1",
        "intermediate.count",
        "target.languages.1",
    ]
    assert "journal" in starts


def test_wrong_keys_and_wrong_meanings_are_listed_together(toy):
    toy["sed"] = 13
    put(toy, "budget.gpu_hours", -1)
    put(toy, "intermediate.rungs", ["2 apples", "4K"])
    put(toy, "target.tasks", ["toy_pos", "toy_poss"])
    put(toy, "search.sampler", "tea")
    paths = [line.split(":")[0] for line in problems(toy)]
    assert {"sed", "budget.gpu_hours", "intermediate.rungs.0", "search.sampler"} <= set(paths)
    assert "target.tasks.1" not in paths  # what is left without rungs is no spec to judge
    put(toy, "intermediate.rungs", ["2K", "4K"])
    put(toy, "budget.gpu_hours", 1.0)
    assert {"sed", "search.sampler", "target.tasks.1"} <= {p.split(":")[0] for p in problems(toy)}


def test_a_toy_model_needs_pretraining(toy):
    del toy["pretrain"]
    assert problems(toy) == [
        "pretrain: 'toy-tiny' starts from random weights; say how many tokens to train"
    ]


def test_a_toy_language_is_named_by_its_code(toy):
    put(toy, "target.languages", ["qda", "sw"])
    assert problems(toy)[0].startswith("target.languages.1: unknown language 'sw'. Known: qau, qbe")


def test_the_store_given_on_the_command_line_wins(tmp_path):
    spec, _ = load(SPECS[0], store=str(tmp_path))
    assert run_folder(spec) == tmp_path / "quickstart"


def test_a_relative_place_lies_in_the_store_and_the_store_in_the_current_directory(
    toy, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    spec = read(toy, "s.yaml")
    assert store_url(spec) == f"{tmp_path}/runs"
    assert journal_url(spec) == f"sqlite:///{tmp_path}/runs/quickstart/journal.db"
    assert tracking_url(spec) == f"sqlite:///{tmp_path}/runs/mlflow.db"


def test_an_absolute_place_or_a_server_stays(toy):
    put(toy, "store", "/data/runs")
    put(toy, "tracking.mlflow", "http://mlflow:5000")
    put(toy, "journal", "sqlite:////data/journal.db")
    spec = read(toy, "s.yaml")
    assert (store_url(spec), tracking_url(spec)) == ("/data/runs", "http://mlflow:5000")
    assert journal_url(spec) == "sqlite:////data/journal.db"
    put(toy, "tracking.mlflow", None)
    assert tracking_url(read(toy, "s.yaml")) is None


def test_a_store_elsewhere_takes_a_journal_of_its_own(toy):
    put(toy, "store", "s3://bucket/runs/")
    put(toy, "journal", "sqlite:////data/journal.db")
    put(toy, "tracking.mlflow", "http://mlflow:5000")
    assert store_url(read(toy, "s.yaml")) == "s3://bucket/runs"
    put(toy, "tracking.mlflow", "sqlite:///mlflow.db")
    assert problems(toy)[0].startswith("tracking.mlflow: sqlite:///mlflow.db would lie in s3://bucket")


def test_a_relative_store_is_refused_inside_a_ray_job(toy, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(StudyError, match="--store /absolute/path"):
        run_folder(read(toy, "s.yaml"))
    put(toy, "store", "/data/runs")
    assert run_folder(read(toy, "s.yaml")) == Path("/data/runs/quickstart")


def begun(mapping):
    return json.loads(json.dumps(read(mapping, "s.yaml").model_dump(mode="json")))


def test_a_spec_that_did_not_change_may_go_on(mapping):
    assert changed(begun(mapping), read(mapping, "s.yaml")) == []


@pytest.mark.parametrize("gpu_hours", [100, 300])
def test_another_cap_and_moved_places_may_go_on(mapping, gpu_hours):
    before = begun(mapping)
    put(mapping, "budget.gpu_hours", gpu_hours)
    put(mapping, "store", "/elsewhere")
    put(mapping, "tracking.mlflow", None)
    put(mapping, "question", "In other words?")
    assert changed(before, read(mapping, "s.yaml")) == []


def test_a_run_begun_before_a_key_existed_may_go_on(mapping):
    before = begun(mapping)
    del before["final"]["max_examples"]
    assert changed(before, read(mapping, "s.yaml")) == []


def test_a_run_begun_with_a_key_that_is_gone_is_told(mapping):
    before = {**begun(mapping), "old_key": 1}
    assert changed(before, read(mapping, "s.yaml")) == ["old_key: was 1, is not there"]


def test_what_changes_the_meaning_of_a_run_is_listed_with_old_and_new_values(mapping):
    before = begun(mapping)
    put(mapping, "budget.gpu_hours", 100)
    put(mapping, "seed", 14)
    put(mapping, "intermediate.rungs", ["1M", "4M"])
    put(mapping, "target.languages", ["sw", "te"])
    assert changed(before, read(mapping, "s.yaml")) == [
        "seed: was 13, is 14",
        "intermediate.rungs: was [1000000, 4000000, 16000000], is [1000000, 4000000]",
        "target.languages.low_resource: was 'default', is not there",
        "target.languages: was not there, is ['sw', 'te']",
    ]


def test_the_schema_is_json_and_knows_every_key():
    schema = json.loads(json.dumps(json_schema()))
    assert set(schema["properties"]) == set(StudySpec.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("skip", "said"),
    [
        (["udpos"], "target.skip.0: 'udpos' is no cell; write task/language"),
        (["udpos/te", "udpos/te"], "target.skip.1: 'udpos/te' is listed twice"),
        (["udpso/te"], "target.skip.0: 'udpso' is not in target.tasks. Did you mean udpos?"),
        (["xnli/te"], "target.skip.0: task 'xnli' has no cell in 'te'. Known: "),
        (["tydiqa/sw", "tydiqa/te"], "target.tasks.3: target.skip leaves no cell of 'tydiqa'; take"),
    ],
)
def test_skipped_cells_are_cells_of_the_listed_tasks_and_leave_each_task_some(mapping, skip, said):
    mapping["target"] |= {"languages": ["sw", "te", "ur"], "skip": skip}
    with pytest.raises(SpecError) as refusal:
        read(mapping, "s.yaml")
    assert any(problem.startswith(said) for problem in refusal.value.problems)


def test_a_skipped_cell_is_no_cell_of_the_study(mapping):
    mapping["target"] |= {"languages": ["sw", "te"], "skip": ["tydiqa/te"]}
    assert dict(read(mapping, "s.yaml").cells)["tydiqa"] == ("sw",)


def test_all_languages_are_those_that_the_benchmark_counts_for_each_task(mapping):
    mapping["target"]["languages"] = "all"
    spec = read(mapping, "s.yaml")
    counted = benchmark("xtreme").cells
    assert {task: set(codes) for task, codes in spec.cells} == {
        task: set(counted[task]) for task in mapping["target"]["tasks"]
    }
