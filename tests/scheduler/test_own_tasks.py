"""Tasks from ``custom_tasks`` of a spec, and what can be wrong with them."""

import copy
from pathlib import Path

import pytest

from budgets.errors import SpecError
from budgets.spec import read_yaml
from scheduler.spec import json_schema, read
from trainers.tasks.catalog import TASKS
from trainers.tasks.entries.structured import UPOS
from trainers.tasks.spec import FamilyName, FileData, HubData, Metric

ROOT = Path(__file__).parents[2] / "experiments"

POS = {
    "name": "sindhi_pos",
    "family": "tokens",
    "files": {
        "train": {"en": "en-train.conllu"},
        "search": {"sd": "sd-dev.conllu"},
        "report": {"sd": ["sd-test-1.conllu", "sd-test-2.conllu.gz"]},
    },
    "labels": "upos",
}
NLI = {
    "name": "my_nli",
    "family": "pair",
    "files": {"train": {"en": "train.tsv"}, "search": {"sw": "all.tsv", "qxq": "q.tsv"}},
    "labels": ["yes", "no"],
}


@pytest.fixture
def mapping():
    return copy.deepcopy(read_yaml(ROOT / "studies/task-count-vs-budget.yaml")[0])


@pytest.fixture
def toy():
    return copy.deepcopy(read_yaml(ROOT / "quickstart.yaml")[0])


def spec_of(mapping, *own, targets=(), languages=None):
    mapping["custom_tasks"] = list(own)
    if targets:
        mapping["target"]["tasks"] = list(targets)
    if languages:
        mapping["target"]["languages"] = languages
    return read(mapping, "s.yaml")


def problems(mapping, *own, **settings):
    with pytest.raises(SpecError) as refusal:
        spec_of(mapping, *own, **settings)
    return refusal.value.problems


def without(task, *keys):
    return {key: value for key, value in task.items() if key not in keys}


def test_a_treebank_of_the_users_own_is_a_task_like_any_other(mapping, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = spec_of(mapping, POS, targets=["sindhi_pos", "udpos"], languages=["sd", "te"])
    task = spec.catalogue["sindhi_pos"]
    assert (task.family, task.labels, task.metric) == (FamilyName.TOKENS, UPOS, Metric.SPAN_F1)
    assert (task.max_length, task.group, task.world) == (128, "structured", "hub")
    assert (task.train_languages, task.score_languages) == (("en",), ("sd",))
    assert task.report[0].data.files["sd"] == (
        f"{tmp_path}/sd-test-1.conllu",
        f"{tmp_path}/sd-test-2.conllu.gz",
    )
    assert dict(spec.cells)["sindhi_pos"] == ("sd",)


def test_universal_parts_of_speech_are_those_of_the_catalogue():
    assert TASKS["udpos"].labels == UPOS
    assert len(UPOS) == 17


def test_a_language_that_no_table_has_is_scored_where_a_task_of_the_users_own_has_it(mapping):
    spec = spec_of(mapping, NLI, targets=["my_nli"], languages=["qxq", "sw"])
    assert dict(spec.cells)["my_nli"] == ("qxq", "sw")
    every = spec_of(mapping, NLI, languages="all")
    assert "qxq" in dict(every.cells)["my_nli"]


def test_it_counts_as_low_resource_only_where_it_is_listed(mapping):
    by_name = spec_of(mapping, NLI, targets=["my_nli"], languages={"low_resource": "default"})
    assert dict(by_name.cells)["my_nli"] == ("sw",)
    listed = spec_of(mapping, NLI, languages={"low_resource": ["qxq", "sw", "te"]})
    assert dict(listed.cells)["my_nli"] == ("qxq", "sw")


def test_one_file_for_search_and_report_is_one_split_that_both_share(mapping):
    task = spec_of(mapping, NLI).catalogue["my_nli"]
    assert task.search == task.report
    assert [split.name for split in task.search] == ["scored"]
    assert task.score_languages == ("sw", "qxq")


def test_each_language_has_files_of_its_own_for_the_report_or_shares_those_of_the_search(mapping):
    files = {**NLI["files"], "report": {"sw": "report.tsv"}}
    task = spec_of(mapping, {**NLI, "files": files}).catalogue["my_nli"]
    assert [(split.name, split.languages) for split in task.search] == [
        ("scored", ("qxq",)),
        ("search", ("sw",)),
    ]
    assert [(split.name, split.languages) for split in task.report] == [
        ("scored", ("qxq",)),
        ("report", ("sw",)),
    ]


def test_columns_not_given_have_their_canonical_names(mapping):
    task = spec_of(mapping, {**NLI, "columns": {"label": "gold"}}).catalogue["my_nli"]
    assert task.columns == {"id": "id?", "first": "first", "second": "second?", "label": "gold"}


def test_a_task_like_another_is_narrowed_to_some_languages_and_else_the_same(mapping):
    narrow = {"name": "tydiqa_sw", "like": "tydiqa", "languages": ["sw"], "max_length": 256}
    task = spec_of(mapping, narrow).catalogue["tydiqa_sw"]
    assert task.score_languages == ("sw",)
    assert task.train == TASKS["tydiqa"].train
    assert (task.metric, task.columns) == (TASKS["tydiqa"].metric, TASKS["tydiqa"].columns)
    assert (task.max_length, task.world) == (256, "hub")


def test_a_task_like_a_text_is_narrowed_in_what_it_is_trained_on(mapping):
    task = spec_of(mapping, {"name": "text_sw", "like": "mlm", "languages": ["sw"]}).catalogue["text_sw"]
    assert task.train_languages == ("sw",)


def test_files_take_the_place_of_what_a_like_task_is_scored_on(mapping):
    own = {"name": "sd_pos", "like": "udpos", "files": {"search": {"sd": "sd.conllu"}}}
    task = spec_of(mapping, own).catalogue["sd_pos"]
    assert task.train == TASKS["udpos"].train
    assert task.score_languages == ("sd",)
    assert set(task.columns["tags"].split("|")) == {"pos_tags", "tags", "upos"}
    assert task.world == "hub"


def test_a_task_can_be_like_one_that_the_spec_named_before_it(mapping):
    narrow = {"name": "my_nli_sw", "like": "my_nli", "languages": ["sw"]}
    assert spec_of(mapping, NLI, narrow).catalogue["my_nli_sw"].score_languages == ("sw",)


def test_a_task_on_the_hub_has_its_languages_by_part(mapping):
    hub = {
        "repo": "masakhane/afripos",
        "config": "{language}",
        "splits": {"train": "train", "search": "validation", "report": "test"},
        "languages": {"train": ["en"], "search": ["sw", "yo"]},
        "language_names": {"sw": "swa", "yo": "yor"},
    }
    own = {**without(POS, "files"), "name": "afripos", "hub": hub}
    task = spec_of(mapping, own).catalogue["afripos"]
    assert isinstance(task.search[0].data, HubData)
    assert task.search[0].place("sw") == "masakhane/afripos/swa/validation"
    assert task.report[0].place("yo") == "masakhane/afripos/yor/test"
    assert (task.train_languages, task.score_languages) == (("en",), ("sw", "yo"))
    spec = spec_of(mapping, {**own, "hub": {**hub, "language_column": "lang"}})
    assert spec.catalogue["afripos"].search[0].language_field == ("lang", "{language}")


def test_a_commit_can_be_named_for_data_that_only_an_own_task_reads(mapping):
    hub = {"repo": "me/mine", "splits": {"train": "train", "search": "dev"}, "languages": ["en"]}
    mapping["data"]["revisions"] = {"me/mine": "a" * 40}
    spec_of(mapping, {**without(NLI, "files"), "hub": hub})
    with pytest.raises(SpecError, match="no task reads this data set"):
        spec_of(mapping)


def test_in_the_toy_world_files_make_a_task_of_the_toy_world(toy):
    spec = spec_of(toy, NLI)
    assert spec.catalogue["my_nli"].world == "toy"
    toy["intermediate"]["tasks"] += ["my_nli"]
    spec_of(toy, NLI)
    toy["intermediate"]["tasks"] += ["mine"]
    assert "belongs to the hub world" in problems(toy, NLI, {"name": "mine", "like": "qqp"})[0]


@pytest.mark.parametrize(
    ("task", "line"),
    [
        ({**POS, "name": "xnli"}, "name: there is a task 'xnli' already; give yours another name"),
        ({"name": "a", "like": "xnly"}, "like: no task 'xnly' here. Did you mean xnli"),
        (without(POS, "family"), "family: is missing; write one of pair, choice, spans"),
        ({"name": "a", "like": "xnli", "family": "tokens"}, "family: 'xnli' is of the family pair"),
        (without(POS, "files"), "files: is missing; give files, hub, or like"),
        (without(POS, "labels"), "labels: is missing; list them in the order of the data's label ids"),
        ({**NLI, "labels": "upos"}, "labels: upos are labels of words, the family is pair"),
        ({**NLI, "labels": ["a", "b", "a"]}, "labels: 'a' is there twice"),
        ({**NLI, "family": "spans"}, "labels: the family spans has none; remove the key"),
        ({**NLI, "metric": "span_f1"}, "metric: span_f1 does not score the family pair; accuracy does"),
        ({**NLI, "columns": {"lable": "l"}}, "columns.lable: the family pair reads no such column. Did"),
        (
            {"name": "a", "like": "xnli", "columns": {"label": "l"}},
            "columns: only data of its own has other columns",
        ),
        ({**NLI, "files": {"train": {"en": "a.txt"}}}, "files.train.en: a.txt does not say its format"),
        ({**NLI, "files": {"train": {"en": "s3://b/a.tsv"}}}, "files.train.en: s3://b/a.tsv is no path"),
        ({**POS, "header": ["a"]}, "header: names the columns of csv and tsv files"),
        ({"name": "a", "like": "xnli", "format": "csv"}, "format: is that of files"),
        ({**NLI, "files": {"search": {"sw": "a.tsv"}}}, "files.train: is missing; a target is trained"),
        (
            {**NLI, "files": {"train": {"en": "a.tsv"}, "search": {"en": "a.tsv"}}},
            "files.search.en: /",
        ),
        (
            {
                **NLI,
                "files": {
                    "train": {"en": "a.tsv"},
                    "search": {"sw": ["b.tsv", "c.tsv"]},
                    "report": {"sw": "b.tsv"},
                },
            },
            "files.report.sw: /",
        ),
        (
            {"name": "a", "family": "masked", "files": {"search": {"sw": "t.jsonl"}}},
            "files.search: masked text is trained on, and scores no target",
        ),
        (
            {"name": "a", "family": "retrieval", "files": {"train": {"sw": "t.jsonl"}}},
            "files.train: the family retrieval is never trained",
        ),
        ({**NLI, "files": {**NLI["files"], "pool": {"sw": "t.tsv"}}}, "files.pool: only ranking has"),
        (
            {"name": "a", "family": "ranking", "files": {"search": {"sw": "t.jsonl"}}},
            "like: is missing; name a ranking task",
        ),
        (
            {"name": "a", "like": "udpos", "files": {"search": {"sd": "a.conllu"}}, "labels": "upos"},
            "labels: some data of 'udpos' is kept, and so are its labels",
        ),
        ({"name": "a", "like": "xnli", "languages": ["sv"]}, "languages.0: 'xnli' has no 'sv'"),
        ({"name": "a", "like": "xnli", "languages": ["sw", "sw"]}, "languages.1: 'sw' is listed twice"),
        ({**POS, "languages": ["sd"]}, "languages: narrows a task that yours is like"),
        ({**POS, "after": "nothing"}, "after: no task 'nothing' here"),
        ({**POS, "after": "tatoeba"}, "after: 'tatoeba' is never trained"),
        ({**POS, "after": "sindhi_pos"}, "after: sindhi_pos after sindhi_pos never begins"),
        (
            {**NLI, "hub": {"repo": "a/b", "splits": {"train": "x"}, "languages": ["en"]}},
            "hub.splits.train: files has that part too",
        ),
        (
            {
                **without(NLI, "files"),
                "hub": {
                    "repo": "a/b",
                    "splits": {"train": "x", "search": "y"},
                    "languages": {"train": ["en"], "pool": ["sw"]},
                },
            },
            "hub.languages.search: is missing",
        ),
    ],
)
def test_what_is_wrong_with_an_own_task_is_said_at_the_door_with_its_path(mapping, task, line):
    found = problems(mapping, task)
    assert any(problem.startswith(f"custom_tasks.0.{line}") for problem in found), found


def test_every_problem_of_every_own_task_is_listed_and_no_name_is_blamed_for_it(mapping):
    first = {**without(NLI, "labels"), "metric": "span_f1", "after": "my_pos"}
    second = {**POS, "name": "my_pos", "columns": {"words": "w"}}
    mapping["intermediate"]["tasks"] += ["my_nli"]
    found = problems(mapping, first, second, targets=["my_pos"], languages=["sd"])
    assert [line.split(":")[0] for line in found] == [
        "custom_tasks.0.metric",
        "custom_tasks.0.labels",
        "custom_tasks.1.columns.words",
    ]


def test_a_circle_of_tasks_before_each_other_is_refused(mapping):
    one, two = ({**NLI, "name": name, "after": other} for name, other in (("a", "b"), ("b", "a")))
    assert problems(mapping, one, two)[0].startswith("custom_tasks.0.after: a after b after a never")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "My Task"}, "custom_tasks.0.name"),
        ({"files": {"dev": {"en": "a.tsv"}}}, "custom_tasks.0.files.dev"),
        ({"files": {"train": {"English": "a.tsv"}}}, "custom_tasks.0.files.train.English"),
        ({"labels": []}, "custom_tasks.0.labels"),
        ({"lables": ["a", "b"]}, "custom_tasks.0.lables: unknown key; did you mean 'labels'"),
        ({"max_length": True}, "custom_tasks.0.max_length"),
    ],
)
def test_an_own_task_of_another_shape_is_refused_with_its_path(mapping, change, path):
    found = problems(mapping, {**NLI, **change}, targets=["my_nli"])
    assert len(found) == 1
    assert found[0].startswith(path)


def test_the_codes_of_languages_are_text_even_where_yaml_once_read_them_as_no(tmp_path):
    text = "files: {train: {no: a.tsv, yes: b.tsv}}\n"
    (tmp_path / "a.yaml").write_text(text)
    assert list(read_yaml(tmp_path / "a.yaml")[0]["files"]["train"]) == ["no", "yes"]


def test_own_tasks_travel_to_the_workers_with_absolute_paths(mapping, tmp_path, monkeypatch):
    from scheduler.run import worker_settings

    monkeypatch.chdir(tmp_path)
    (task,) = worker_settings(spec_of(mapping, POS)).tasks
    assert isinstance(task.train[0].data, FileData)
    assert task.train[0].data.files["en"] == (f"{tmp_path}/en-train.conllu",)


def test_the_schema_for_editors_covers_own_tasks():
    parts = json_schema()["$defs"]
    assert set(parts["CustomTaskSpec"]["required"]) == {"name"}
    assert parts["CustomTaskSpec"]["additionalProperties"] is False
    assert {"files", "hub", "like", "labels", "columns"} <= set(parts["CustomTaskSpec"]["properties"])
    assert parts["FamilyName"]["enum"] == list(FamilyName)
