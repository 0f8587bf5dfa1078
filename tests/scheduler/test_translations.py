"""Intermediate tasks in languages that the catalogue does not have, from a mirror of made files."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from budgets.errors import SpecError
from budgets.spec import read_yaml
from scheduler.mix import Mix
from scheduler.needs import check_there, needs_of
from scheduler.spec import read
from scheduler.tree import StageTree
from trainers.errors import MalformedDataError, MissingDataError
from trainers.tasks.canonical import training_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.files import FileSource
from trainers.tasks.mirror import MirrorSource
from trainers.tasks.spec import FamilyName

_SPEC = Path(__file__).parents[2] / "experiments" / "real-mini.yaml"
N_ROWS = 6


def study(**part):
    """The real-data study with MNLI and QQP in the mixes and XNLI, trained on MNLI too, as a target."""
    mapping = copy.deepcopy(read_yaml(_SPEC)[0])
    mapping["intermediate"] |= {"tasks": ["mnli", "qqp"], "count": [0, 2], **part}
    mapping["target"] |= {"tasks": ["xnli"], "languages": ["sw"], "skip": []}
    return read(mapping, "test")


def save(root, path, columns):
    file = root / "hub" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def nli(language):
    return {
        "premise": [f"premise {i} {language}" for i in range(N_ROWS)],
        "hypothesis": [f"hypothesis {i} {language}" for i in range(N_ROWS)],
        "label": [i % 3 for i in range(N_ROWS)],
    }


def pairs(language):
    return {
        "question1": [f"one {i} {language}" for i in range(N_ROWS)],
        "question2": [f"two {i} {language}" for i in range(N_ROWS)],
        "label": [i % 2 for i in range(N_ROWS)],
    }


def told(columns, *without):
    """Translations of ``columns`` into sw; of the rows ``without`` there is none."""
    texts = [name for name in columns if name != "label"]
    return [
        {"sw": None if i in without else {name: f"sw {columns[name][i]}" for name in texts}}
        for i in range(N_ROWS)
    ]


@pytest.fixture
def configs(tmp_path):
    """A mirror with a configuration per language."""
    for language in ("", ".sw"):
        save(tmp_path, f"nyu-mll/glue/mnli{language}/train.parquet", nli(language or "en"))
        save(tmp_path, f"nyu-mll/glue/qqp{language}/train.parquet", pairs(language or "en"))
    return MirrorSource(tmp_path)


@pytest.fixture
def column(tmp_path):
    """A mirror whose English files hold translations of some rows in a column."""
    of_nli, of_pairs = nli("en"), pairs("en")
    half = told(of_nli)
    half[4]["sw"]["hypothesis"] = None
    save(tmp_path, "nyu-mll/glue/mnli/train.parquet", {**of_nli, "translations": half})
    translations = told(of_pairs, 1, 5)
    save(tmp_path, "nyu-mll/glue/qqp/train.parquet", {**of_pairs, "translations": translations})
    return MirrorSource(tmp_path)


def taught(spec, source, name):
    """What a mix trains a task on, by the name of its data."""
    task = spec.catalogue[name]
    return {
        source.identity(split, language).name: training_examples(task, split, language, source).examples
        for split in task.train
        for language in split.languages
        if language in spec.mixed_languages(name)
    }


def test_a_configuration_for_each_language_is_read_beside_the_english_one(configs):
    spec = study(languages=["en", "sw"])
    found = taught(spec, configs, "mnli")
    assert list(found) == ["nyu-mll/glue/mnli/train", "nyu-mll/glue/mnli.sw/train"]
    assert found["nyu-mll/glue/mnli.sw/train"][0]["first"] == "premise 0 .sw"
    assert spec.catalogue["mnli"].definition == TASKS["mnli"].definition


def test_a_translated_row_keeps_the_label_and_an_untranslated_one_is_left_out(column):
    spec = study(languages=["en", "sw"], translations="column")
    found = taught(spec, column, "qqp")
    english, swahili = found["nyu-mll/glue/qqp/train"], found["nyu-mll/glue/qqp/train[sw]"]
    assert english["first"][:] == pairs("en")["question1"]
    assert swahili["first"][:] == [f"sw one {i} en" for i in (0, 2, 3, 4)]
    assert swahili["label"][:] == [english["label"][i] for i in (0, 2, 3, 4)]
    assert spec.catalogue["qqp"].definition == TASKS["qqp"].definition


def test_a_row_of_which_a_part_is_translated_is_left_out(column):
    spec = study(languages=["sw"], translations="column")
    (found,) = taught(spec, column, "mnli").values()
    assert found["first"][:] == [f"sw premise {i} en" for i in (0, 1, 2, 3, 5)]


def test_sizes_and_stages_count_the_rows_of_every_language(column):
    spec = study(languages=["en", "sw"], translations="column", mixing={"rule": "proportional"})
    tree = StageTree(spec, column, lambda _: "r")
    # MNLI 6 English and 5 translated rows, QQP 6 and 4.
    assert dict(tree.rates(Mix.of(("mnli", "qqp")))) == {
        "mnli": pytest.approx(11 / 21, abs=1e-6),
        "qqp": pytest.approx(10 / 21, abs=1e-6),
    }
    plain = StageTree(study(mixing={"rule": "proportional"}), column, lambda _: "r")
    assert dict(plain.rates(Mix.of(("mnli", "qqp")))) == {"mnli": 0.5, "qqp": 0.5}


def test_a_target_is_trained_on_english_whatever_languages_a_mix_has():
    mapping = copy.deepcopy(read_yaml(_SPEC)[0])
    mapping["intermediate"] |= {"tasks": ["xnli", "qqp"], "count": [0, 2], "languages": ["sw", "en"]}
    mapping["target"] |= {"tasks": ["xnli"], "languages": ["sw"], "skip": []}
    spec = read(mapping, "test")
    read_by = {(need.key, need.language) for need in needs_of(spec) if need.split.name == "train"}
    assert spec.mixed_languages("xnli") == ("sw", "en")
    assert ("target.tasks", "en") in read_by
    assert ("target.tasks", "sw") not in read_by


def test_a_language_that_is_missing_is_named_with_the_file_and_what_to_remove(configs, tmp_path):
    spec = study(languages=["en", "sw", "yo"])
    (tmp_path / "hub/nyu-mll/glue/qqp.sw/train.parquet").unlink()
    with pytest.raises(MissingDataError) as refusal:
        check_there(spec, configs.identity)
    said = str(refusal.value)
    assert f"{tmp_path}/hub/nyu-mll/glue/mnli.yo/train.parquet: yo in intermediate.languages" in said
    assert f"{tmp_path}/hub/nyu-mll/glue/qqp.sw/train.parquet: sw in intermediate.languages" in said


def test_a_language_that_the_column_lacks_is_named_with_those_it_has(column):
    spec = study(languages=["en", "yo"], translations="column")
    with pytest.raises(MissingDataError, match="no translation into 'yo', only sw"):
        taught(spec, column, "mnli")
    with pytest.raises(MissingDataError, match=r"train\.parquet \[yo\]: yo in intermediate\.languages"):
        check_there(spec, column.identity)


@pytest.mark.parametrize(
    ("translations", "problem"),
    [
        (["Paka"] * N_ROWS, "to be a struct with a field per language and is string"),
        ([{"sw": "Paka"}] * N_ROWS, "the field 'sw' of its column 'translations' is string"),
        ([{"sw": {"premice": "Paka"}}] * N_ROWS, "translates premice into 'sw'; the file has no such"),
    ],
)
def test_a_column_of_another_shape_is_refused(tmp_path, translations, problem):
    save(tmp_path, "nyu-mll/glue/mnli/train.parquet", {**nli("en"), "translations": translations})
    spec = study(languages=["sw"], translations="column")
    with pytest.raises(MalformedDataError, match=problem):
        MirrorSource(tmp_path).rows(spec.catalogue["mnli"].train[1], "sw")


def test_a_file_without_the_column_is_refused(tmp_path):
    save(tmp_path, "nyu-mll/glue/mnli/train.parquet", nli("en"))
    spec = study(languages=["sw"], translations="column")
    with pytest.raises(MalformedDataError, match=r"'translations' is to be a struct .* is not there"):
        MirrorSource(tmp_path).rows(spec.catalogue["mnli"].train[1], "sw")


def test_a_language_that_nothing_is_translated_into_is_missing(tmp_path):
    rows = told(nli("en"), *range(1, N_ROWS))
    rows[0]["sw"]["premise"] = None
    save(tmp_path, "nyu-mll/glue/mnli/train.parquet", {**nli("en"), "translations": rows})
    spec = study(languages=["sw"], translations="column")
    with pytest.raises(MissingDataError, match="none of 6 rows is translated into 'sw'"):
        MirrorSource(tmp_path).identity(spec.catalogue["mnli"].train[1], "sw")


def test_where_configurations_are_named_by_language_the_one_so_named_is_read():
    spec = study(tasks=["pawsx", "mnli"], languages=["en", "sw"])
    split = spec.catalogue["pawsx"].train[0]
    assert split.place("sw") == "google/xtreme/PAWS-X.sw/train"
    assert split.place("en") == TASKS["pawsx"].train[0].place("en")


def test_where_a_column_divides_the_languages_what_is_beside_it_has_a_file_of_its_own():
    spec = study(tasks=["tydiqa", "mnli"], languages=["en", "yo"])
    native, beside = spec.catalogue["tydiqa"].train
    assert native == TASKS["tydiqa"].train[0]
    assert (beside.place("yo"), beside.language_field) == ("google/xtreme/tydiqa.yo/train", ())


def test_masked_text_has_languages_of_its_own():
    part = {"tasks": ["mlm", "mnli"], "languages": ["en", "sw"], "text_languages": ["te"]}
    spec = study(**part)
    assert spec.mixed_languages("mlm") == ("te",)
    assert spec.catalogue["mlm"] == TASKS["mlm"]
    assert spec.catalogue["mlm"].family is FamilyName.MASKED


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"languages": ["sw", "sw"]}, "languages.1: language 'sw' is listed twice"),
        ({"languages": ["Swahili"]}, "languages.0: 'Swahili' is no language code; write one as in ISO"),
        ({"translations": "column"}, "translations: no intermediate.languages are listed"),
        ({"text_languages": ["te"]}, "text_languages: no masked text is among intermediate.tasks"),
        (
            {"tasks": ["mlm", "mnli"], "text_languages": ["xx"]},
            "text_languages.0: task 'mlm' has no text in 'xx'",
        ),
        (
            {"tasks": ["mlm"], "count": [0, 1], "languages": ["sw"]},
            "languages: every task is masked text",
        ),
    ],
)
def test_languages_that_cannot_be_trained_in_are_problems(part, problem):
    with pytest.raises(SpecError) as refusal:
        study(**part)
    assert any(line.startswith(f"intermediate.{problem}") for line in refusal.value.problems)


def own_task(tmp_path, part, **files):
    """A study with a pair task of its own in a JSON-lines file, in English and Swahili."""
    mapping = copy.deepcopy(read_yaml(_SPEC)[0])
    mapping["custom_tasks"] = [
        {
            "name": "shop",
            "family": "pair",
            "files": {"train": {"en": str(tmp_path / "shop.jsonl"), **files}},
            "columns": {"first": "title", "second": "review", "label": "label"},
            "labels": ["good", "bad"],
        }
    ]
    mapping["intermediate"] |= {"tasks": ["shop", "qqp"], "count": [0, 2], **part}
    mapping["target"] |= {"tasks": ["xnli"], "languages": ["sw"], "skip": []}
    return mapping


def test_a_column_of_translations_is_read_from_a_file_of_the_users_own(tmp_path):
    rows = [
        {"title": "Pen", "review": "It writes.", "label": "good", "translations": {"sw": None}},
        {
            "title": "Cup",
            "review": "It leaks.",
            "label": "bad",
            "translations": {"sw": {"title": "Kikombe", "review": "Kinavuja."}},
        },
    ]
    (tmp_path / "shop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    part = {"languages": ["en", "sw"], "translations": "column"}
    spec = read(own_task(tmp_path, part), "test")
    found = taught(spec, FileSource(), "shop")
    assert {name: rows["first"][:] for name, rows in found.items()} == {
        "files/shop/en/train": ["Pen", "Cup"],
        "files/shop/sw/train": ["Kikombe"],
    }
    assert found["files/shop/sw/train"]["label"][:] == [1]


def test_a_file_task_without_a_file_in_a_language_is_a_problem_that_says_what_to_add(tmp_path):
    with pytest.raises(SpecError, match=r"task 'shop' has no file in sw; add one to files\.train"):
        read(own_task(tmp_path, {"languages": ["en", "sw"]}), "test")
    both = own_task(tmp_path, {"languages": ["en", "sw"]}, sw=str(tmp_path / "sw.jsonl"))
    assert read(both, "test").mixed_languages("shop") == ("en", "sw")
