"""Data that the project has never seen becomes a target by a few lines of a spec."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from small_study import write_spec

from budgets.errors import SpecError
from budgets.spec import read_yaml
from experiments.cli import main
from experiments.load import open_study
from scheduler.interrupt import Interrupt
from scheduler.mix import Mix
from scheduler.run import run_study
from scheduler.spec import read
from scheduler.study import tree_of
from scheduler.trial import Recipe
from trainers.errors import MalformedDataError, MissingDataError
from trainers.stage import Half
from trainers.tasks import open_source
from trainers.tasks.canonical import examples
from trainers.tasks.spec import FamilyName, TaskSpec

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs/own-tasks.md").read_text()
WORDS = {"NOUN": ["mi", "ka", "سنڌي"], "VERB": ["do", "ra"], "ADP": ["so", "e\u0301"], "PUNCT": ["."]}


def blocks(language):
    """The code of that language in the documentation."""
    return re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)


EXAMPLE = yaml.safe_load(blocks("yaml")[0])


def treebank(sentences):
    """CoNLL-U of sentences, each a list of (word, part of speech); a multiword token in each."""
    lines = []
    for number, sentence in enumerate(sentences):
        lines += [f"# sent_id = s{number}", "1-2\tboth" + "\t_" * 8]
        lines += [
            f"{place}\t{word}\t_\t{upos}" + "\t_" * 6 for place, (word, upos) in enumerate(sentence, 1)
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


def write_data(folder):
    """The files that the documentation's example names."""
    generator = random.Random(5)

    def sentence():
        return [(generator.choice(WORDS[upos]), upos) for upos in generator.choices(list(WORDS), k=6)]

    data = folder / "data"
    data.mkdir()
    own, pairs = EXAMPLE["custom_tasks"]
    for languages in own["files"].values():
        for path in languages.values():
            (folder / path).write_text(treebank([sentence() for _ in range(30)]))
    for path in ["data/en-1.tsv", "data/en-2.tsv", *pairs["files"]["search"].values()]:
        rows = [(" ".join(w for w, _ in sentence()), f'say "{n}', n % 2) for n in range(40)]
        (folder / path).write_text("".join(f"{a}\t{b}\t{label}\n" for a, b, label in rows))


def example_spec(folder):
    """The documentation's example on the toy world, in sizes that take seconds."""
    mapping, _ = read_yaml(write_spec(folder, trials=1))
    mapping["custom_tasks"] = EXAMPLE["custom_tasks"]
    mapping["intermediate"] |= {
        "tasks": EXAMPLE["intermediate"]["tasks"],
        "count": [1, 1],
        "rungs": ["2K"],
    }
    mapping["target"] |= {**EXAMPLE["target"], "tokens": "2K"}
    mapping["target"]["languages"] = [*EXAMPLE["target"]["languages"], "qda"]
    mapping["target"]["tasks"] = [*EXAMPLE["target"]["tasks"], "toy_pos"]
    mapping["final"]["max_seeds"] = 1
    mapping["tracking"] = {"mlflow": None}
    return mapping


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    write_data(folder)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def run(mapping, place):
    spec = read(mapping, "test")
    run_study(spec, "", "inline", lambda state, balance: None, Interrupt())
    return open_study(place / "runs" / spec.name)


def scores_of(study):
    """Cells by half, over all evaluations that were done."""
    found = {half: {} for half in Half}
    for record in study.state.stages.values():
        for score in [score for done in record.measurements for score in done.scores]:
            found[record.config.half][score.task, score.language] = score
    return found


def test_the_documented_example_is_planned_and_run_to_scored_cells(here):
    (here / "own.yaml").write_text(yaml.safe_dump(example_spec(here)))
    planned = CliRunner().invoke(main, ["plan", "own.yaml"])
    assert planned.exit_code == 0, planned.output

    scores = scores_of(run(example_spec(here), here))

    for half in Half:
        assert set(scores[half]) == {
            ("sindhi_pos", "sd"),
            ("paraphrases", "sd"),
            ("paraphrases", "ur"),
            ("toy_pos", "qda"),
        }
        assert 0 <= scores[half]["sindhi_pos", "sd"].value <= 100
    assert scores[Half.SEARCH]["sindhi_pos", "sd"].n_examples == 20  # of 30, by max_examples
    assert scores[Half.SEARCH]["paraphrases", "ur"].n_examples <= 20


def test_stages_are_named_by_what_files_hold_and_not_by_where_they_lie(here, tmp_path, monkeypatch):
    recipe = Recipe(Mix(("paraphrases",)), 7, "toy-tiny")
    names = []
    for place in (here, tmp_path / "moved"):
        if place != here:
            place.mkdir()
            (here / "data").rename(place / "data")
        monkeypatch.chdir(place)
        tree = tree_of(read(example_spec(tmp_path), "test"))
        names.append([node.name for node in tree.nodes(recipe, 0, Half.SEARCH)])
    (tmp_path / "moved/data").rename(here / "data")
    assert names[0] == names[1]


def test_a_file_that_is_missing_is_a_refusal_of_the_plan(here):
    mapping = example_spec(here)
    mapping["custom_tasks"] = yaml.safe_load(yaml.safe_dump(EXAMPLE["custom_tasks"]))
    mapping["custom_tasks"][0]["files"]["search"]["sd"] = "data/absent.conllu"
    with pytest.raises(MissingDataError, match=r"absent\.conllu"):
        run(mapping, here)


def test_a_file_in_another_encoding_is_a_refusal_before_anything_is_paid(here):
    (here / "data/latin.tsv").write_bytes("één\ttwee\t1\n".encode("latin-1"))
    mapping = example_spec(here)
    mapping["custom_tasks"] = yaml.safe_load(yaml.safe_dump(EXAMPLE["custom_tasks"]))
    mapping["custom_tasks"][1]["files"]["search"]["ur"] = "data/latin.tsv"
    with pytest.raises(MalformedDataError, match=r"latin\.tsv: is not UTF-8: byte 0"):
        run(mapping, here)


@pytest.mark.parametrize(
    ("task", "part", "of", "says"),
    [
        (
            0,
            "report",
            "data/sd_mazhar-dev.conllu",
            r"copy\.conllu \(report\) is a copy of .*-dev.*\(search\)",
        ),
        (1, "search", "data/en-2.tsv", r"copy\.tsv \(search\) is a copy of .*en-2\.tsv \(train\)"),
    ],
)
def test_a_copy_of_a_file_under_another_name_is_refused(here, task, part, of, says):
    mapping = example_spec(here)
    own = yaml.safe_load(yaml.safe_dump(EXAMPLE["custom_tasks"]))
    copy = Path("data/copy").with_suffix(Path(of).suffix)
    copy.write_bytes((here / of).read_bytes())
    own[task]["files"]["train"].setdefault("sd", own[task]["files"]["train"]["en"])
    own[task]["files"][part]["sd"] = str(copy)
    mapping["custom_tasks"] = own
    with pytest.raises(MalformedDataError, match=says):
        tree_of(read(mapping, "test"))


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_every_spec_in_the_documentation_is_sound(number):
    mapping, _ = read_yaml(ROOT / "experiments/studies/task-count-vs-budget.yaml")
    shown = yaml.safe_load(blocks("yaml")[number])
    mapping["custom_tasks"] = shown["custom_tasks"]
    if "target" in shown:
        mapping["target"] |= shown["target"]
        mapping["intermediate"] |= {**shown["intermediate"], "count": [0, 1]}
    spec = read(mapping, "docs")
    assert [task.name for task in spec.own_tasks.tasks] == [t["name"] for t in shown["custom_tasks"]]


def test_the_plugin_in_the_documentation_is_a_task():
    names: dict[str, object] = {}
    exec(blocks("python")[0], names)
    assert isinstance(names["REVIEWS"], TaskSpec)
    assert names["REVIEWS"].family is FamilyName.PAIR


def test_a_task_that_is_wrong_is_refused_with_its_path(here):
    mapping = example_spec(here)
    mapping["custom_tasks"] = [{**EXAMPLE["custom_tasks"][0], "labels": "upo"}]
    with pytest.raises(SpecError) as refusal:
        read(mapping, "test")
    assert refusal.value.problems[0].startswith("custom_tasks.0.labels: ")


@pytest.mark.mirror
def test_parts_of_speech_on_the_hub_are_read_by_their_names_in_whatever_order(mirror):
    mapping, _ = read_yaml(ROOT / "experiments/real-mini.yaml")
    hub = {
        "repo": "masakhane/masakhapos",
        "config": "{language}",
        "splits": {"search": "test"},
        "languages": ["sw", "yo", "ig"],
        "language_names": {"sw": "swa", "yo": "yor", "ig": "ibo"},
    }
    mapping["custom_tasks"] = [{"name": "afripos", "like": "udpos", "hub": hub}]
    mapping["target"] |= {"tasks": ["afripos"], "languages": ["sw", "yo", "ig"], "skip": []}
    task = read(mapping, "test").catalogue["afripos"]
    source = open_source("mirror", mirror)

    for language in ("sw", "yo", "ig"):
        rows = source.rows(task.search[0], language)
        classes = rows.features["upos"].feature.names
        assert tuple(classes) != task.labels
        read_here = examples(task, task.search[0], language, source)
        for given, tags in zip(rows["upos"][:50], read_here["tags"][:50], strict=True):
            assert [task.labels[tag] for tag in tags] == [classes[label] for label in given]


def write_treebank(mirror, config, split, file, n_sentences):
    """Sentences of a treebank of the mirror as CoNLL-U."""
    folder = Path(mirror) / "hub/universal-dependencies/universal_dependencies" / config
    table = pq.read_table(folder / f"{split}.parquet").slice(0, n_sentences)
    described = json.loads(table.schema.metadata[b"huggingface"])
    classes = described["info"]["features"]["upos"]["feature"]["names"]
    rows = [row for row in table.to_pylist() if len(row["tokens"]) > 1]
    file.write_text(
        treebank([(w, classes[t]) for w, t in zip(r["tokens"], r["upos"], strict=True)] for r in rows)
    )


@pytest.mark.mirror
def test_a_treebank_of_real_sentences_is_a_target_of_a_real_encoder(mirror, tmp_path):
    write_treebank(mirror, "en_ewt", "validation", tmp_path / "en.conllu", 800)
    write_treebank(mirror, "te_mtg", "test", tmp_path / "te.conllu", 200)
    mapping, _ = read_yaml(ROOT / "experiments/real-mini.yaml")
    mapping |= {"store": str(tmp_path / "runs"), "tracking": {"mlflow": None}}
    mapping["data"] = {"source": "mirror", "path": mirror}
    files = {"train": {"en": str(tmp_path / "en.conllu")}, "search": {"te": str(tmp_path / "te.conllu")}}
    mapping["custom_tasks"] = [
        {"name": "te_mtg", "family": "tokens", "files": files, "labels": "upos"},
        {"name": "en_pos", "like": "te_mtg"},
    ]
    mapping["intermediate"] |= {"tasks": ["en_pos"], "count": [1, 1], "rungs": ["4K"]}
    mapping["target"] |= {
        "tasks": ["te_mtg"],
        "languages": ["te"],
        "skip": [],
        "tokens": "20K",
        "max_examples": 40,
    }
    mapping["search"]["max_trials"] = 1
    mapping["final"] = {"finalists": 1, "max_seeds": 1, "max_examples": 40}

    scores = scores_of(run(mapping, tmp_path))

    assert set(scores[Half.REPORT]) == {("te_mtg", "te")}
    assert scores[Half.REPORT]["te_mtg", "te"].n_examples == 40
    assert scores[Half.SEARCH]["te_mtg", "te"].value > 10  # one tag for all is one span
