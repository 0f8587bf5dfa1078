import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.needs import needs_of
from scheduler.spec import load
from tests.experiments.fetched_study import (
    GLUE,
    MODEL,
    PARQUET,
    QQP,
    ROOT,
    SPEC,
    copy_of,
    environment,
    files,
    interlude,
    write_spec,
)
from tests.stand_in_hub import StandInHub
from trainers.tasks.fetching import read_index
from trainers.tasks.mirror import MirrorSource

MODEL_FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
OFFLINE_MODEL = {"name": "xlm-roberta-base"}


def from_mirror(mirror):
    return {"source": "mirror", "path": str(mirror)}


def test_a_mirror_holds_what_the_spec_reads_and_nothing_else(fetched):
    model = [f"models/xlm-roberta-base/{name}" for name in MODEL_FILES]
    assert files(fetched) == [".fetch.lock", *sorted(PARQUET), "index.tsv", *model]
    index = read_index(fetched)
    assert sorted(index) == sorted([*PARQUET, *model])
    for path, entry in index.items():
        data = (fetched / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.n_bytes, entry.sha256)
    assert index[QQP].source == f"nyu-mll/glue@{GLUE}"
    assert index[QQP].n_rows == 40
    assert index[model[0]].source == f"FacebookAI/xlm-roberta-base@{MODEL}"


def test_a_mirror_gives_the_examples_that_the_hub_gives(hub, hf_cache, fetched, tmp_path):
    script = f"""
from scheduler.needs import needs_of
from scheduler.spec import load
from trainers.tasks import open_source
from trainers.tasks.canonical import examples
spec, _ = load({str(write_spec(tmp_path))!r})
hub = open_source("hub", None, spec.data.revisions)
mirror = open_source("mirror", {str(fetched)!r})
for need in needs_of(spec):
    task = spec.catalogue.task(need.user.partition("/")[0])
    one, two = (examples(task, need.split, need.language, source) for source in (hub, mirror))
    assert one.features == two.features
    assert one.to_list() == two.to_list()
    print(one.num_rows)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(hub, hf_cache),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["40", "30", "30", "30", "30", "30", "40", "20", "20", "20", "20"]


def test_what_is_there_and_whole_is_not_fetched_again(hub, hf_cache, fetched, tmp_path):
    mirror = copy_of(fetched, tmp_path)
    n_asked = len(hub.asked)
    done = interlude("fetch", write_spec(tmp_path), "--to", mirror, env=environment(hub, hf_cache))
    assert "0 files fetched, 10 were there and are whole" in done.stdout
    assert hub.asked[n_asked:] == []


def test_what_is_on_no_hub_is_refused_before_anything_is_asked_for(hub, hf_cache, tmp_path):
    spec = write_spec(tmp_path, intermediate={**SPEC["intermediate"], "tasks": ["qqp", "mlm"]})
    n_asked = len(hub.asked)
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, hf_cache))
    assert done.returncode == 2
    assert "local/multilingual-text is on no hub: only a mirror has it" in done.stderr
    assert hub.asked[n_asked:] == []
    assert not (tmp_path / "mirror").exists()


def test_a_part_of_a_mirror_is_copied_byte_for_byte(fetched, tmp_path):
    target = {**SPEC["target"], "tasks": ["xnli"]}
    spec = write_spec(tmp_path, data=from_mirror(fetched), model=OFFLINE_MODEL, target=target)
    done = interlude("fetch", spec, "--to", tmp_path / "part", env=environment(StandInHub(), tmp_path))
    assert done.returncode == 0, done.stderr
    part = [path for path in files(fetched) if "PAN-X" not in path]
    assert files(tmp_path / "part") == part
    assert all((tmp_path / "part" / p).read_bytes() == (fetched / p).read_bytes() for p in part[1:3])
    assert read_index(tmp_path / "part").items() <= read_index(fetched).items()
    one, two = MirrorSource(fetched), MirrorSource(tmp_path / "part")
    for need in needs_of(load(spec)[0]):
        assert one.identity(need.split, need.language) == two.identity(need.split, need.language)


def test_a_mirror_that_lacks_files_is_not_copied_in_part(fetched, tmp_path):
    mirror = copy_of(fetched, tmp_path)
    (mirror / QQP).unlink()
    spec = write_spec(tmp_path, data=from_mirror(mirror), model=OFFLINE_MODEL)
    done = interlude("fetch", spec, "--to", tmp_path / "part", env=environment(StandInHub(), tmp_path))
    assert done.returncode == 2
    assert "lacks 1 of the files" in done.stderr
    assert not (tmp_path / "part").exists()


def test_files_of_the_users_own_are_named_and_not_fetched(hub, hf_cache, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("first,second,label\n" + "".join(f"cat {n},dog {n},{n % 2}\n" for n in range(9)))
    parts = {"train": {"en": str(own)}, "search": {"sw": str(own)}, "report": {"sw": str(own)}}
    task = {"name": "own_pairs", "family": "pair", "files": parts, "labels": ["no", "yes"]}
    target = {**SPEC["target"], "tasks": ["panx", "own_pairs"]}
    spec = write_spec(tmp_path, custom_tasks=[task], target=target)
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, hf_cache))
    assert done.returncode == 0, done.stderr
    assert f"Not in the mirror, bring them along (they are yours): {own}" in done.stdout
    assert "8 files fetched" in done.stdout


def test_the_toy_world_needs_nothing(tmp_path):
    env = environment(StandInHub(), tmp_path)
    done = interlude("fetch", ROOT / "experiments/quickstart.yaml", "--to", tmp_path / "mirror", env=env)
    assert done.returncode == 0, done.stderr
    assert "Nothing to fetch: the toy world is generated" in done.stdout
    assert not (tmp_path / "mirror").exists()


def test_a_study_is_planned_and_run_from_a_fetched_mirror_with_the_hub_gone(fetched, tmp_path):
    spec = write_spec(tmp_path, data=from_mirror(fetched), model=OFFLINE_MODEL)
    env = environment(StandInHub(), tmp_path / "cache", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    planned = interlude("plan", spec, env=env)
    assert planned.returncode == 0, planned.stderr
    done = interlude("run", spec, "--driver", "inline", env=env)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "runs/fetched/report.json").read_text())
    assert report["answer"]["sentences"]


@pytest.mark.mirror
def test_a_real_mirror_is_copied_as_far_as_a_spec_reads_it(mirror, tmp_path):
    spec = ROOT / "experiments/real-mini.yaml"
    env = environment(StandInHub(), tmp_path, INTERLUDE_MIRROR=mirror)
    done = interlude("fetch", spec, "--to", tmp_path / "part", env=env)
    assert done.returncode == 0, done.stderr
    index = read_index(tmp_path / "part")
    wanted = {f"hub/{need.split.place(need.language)}.parquet" for need in needs_of(load(spec)[0])}
    assert {path for path in index if path.startswith("hub/")} == wanted
    assert {path for path in index if path.startswith("models/")} == {
        f"models/mini-xlmr/{name}" for name in MODEL_FILES
    }
    assert all((tmp_path / "part" / p).read_bytes() == (Path(mirror) / p).read_bytes() for p in index)
    planned = interlude("plan", spec, env={**env, "INTERLUDE_MIRROR": str(tmp_path / "part")})
    assert planned.returncode == 0, planned.stderr
