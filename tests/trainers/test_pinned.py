"""The hub's own protocol, from a stand-in; the libraries read its address once, hence the processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.fetched_study import GLUE, XTREME, environment, fill
from tests.stand_in_hub import StandInHub, serving

ROOT = Path(__file__).parents[2]
OTHER = "f" * 40
_ASK = f"""
import json, sys
sys.path.insert(0, {str(ROOT)!r})
from trainers.errors import TrainerError
from trainers.tasks.pinned import load_pinned
for question in json.loads(sys.argv[1]):
    try:
        rows = load_pinned(*question)
        print(json.dumps([rows.num_rows, rows.column_names]))
    except TrainerError as refusal:
        print(json.dumps([type(refusal).__name__, str(refusal)]))
"""


def ask(*questions, env, cwd=ROOT):
    """What ``load_pinned`` says to each of the questions, all asked in one other process."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, json.dumps(questions)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub():
    hub = StandInHub()
    fill(hub)
    rows = hub.files["datasets", "nyu-mll/glue"][GLUE]["qqp/train-00000-of-00001.parquet"]
    hub.add(
        "datasets", "org/converted", GLUE, {f"plain/{n}/0000.parquet": rows for n in ("train_r1", "dev")}
    )
    hub.add("datasets", "org/script", GLUE, {"script.py": b"", "README.md": b"# a script\n"})
    hub.add("datasets", "org/broken", GLUE, {"data/train-00000-of-00001.parquet": rows[:-9] + b"PAR1"})
    with serving(hub):
        yield hub


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_rows_come_from_the_configuration_split_and_commit_that_were_asked_for(hub, cache):
    qqp = ["question1", "question2", "label"]
    assert ask(
        ("nyu-mll/glue", "qqp", "train", GLUE),
        ("google/xtreme", "XNLI", "validation", XTREME),
        ("org/converted", "plain", "train_r1", GLUE),
        env=environment(hub, cache),
    ) == [[40, qqp], [40, ["sentence1", "sentence2", "gold_label", "language"]], [40, qqp]]


def test_what_the_hub_does_not_have_is_refused_with_what_to_do(hub, cache):
    said = ask(
        ("nyu-mll/glue", "qqp", "train", OTHER),
        ("org/nowhere", "default", "train", GLUE),
        ("nyu-mll/glue", "wnli", "train", GLUE),
        ("nyu-mll/glue", "qqp", "dev", GLUE),
        ("org/script", "default", "train", GLUE),
        ("org/broken", "default", "train", GLUE),
        env=environment(hub, cache),
    )
    kinds = [kind for kind, _ in said]
    assert kinds == ["MissingDataError"] * 5 + ["MalformedDataError"]
    commit, repository, config, split, script, broken = (text for _, text in said)
    assert f"glue/qqp/train at commit {OTHER[:12]}" in commit
    assert "Mend its commit in data.revisions" in commit
    assert "'org/nowhere' doesn't exist" in repository
    assert "'wnli' not found" in config
    assert "Pin a commit that has this configuration and split" in config
    assert "['train', 'test']" in split
    assert "Pin a commit of its parquet conversion" in script
    assert "Clear it from the Hugging Face cache" in broken


def test_without_a_connection_the_cache_gives_the_pinned_commit_and_no_other(hub, cache):
    ask(("nyu-mll/glue", "qqp", "train", GLUE), env=environment(hub, cache))
    offline = environment(hub, cache, HF_HUB_OFFLINE="1")
    same, other, uncached = ask(
        ("nyu-mll/glue", "qqp", "train", GLUE),
        ("nyu-mll/glue", "qqp", "train", OTHER),
        ("nyu-mll/glue", "cola", "train", GLUE),
        env=offline,
    )
    assert same[0] == 40
    assert other[0] == "MissingDataError"
    assert f"the datasets cache holds commit {GLUE[:12]} of it. Check the connection" in other[1]
    assert "HF_HUB_OFFLINE" in uncached[1]


def test_a_local_folder_of_the_same_name_is_not_taken_for_the_data_set(hub, cache, tmp_path):
    folder = tmp_path / "nyu-mll/glue"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("text\nnot the hub's\n")
    (found,) = ask(("nyu-mll/glue", "qqp", "train", GLUE), env=environment(hub, cache), cwd=tmp_path)
    assert found[0] == 40
