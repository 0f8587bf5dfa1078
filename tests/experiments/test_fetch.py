import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.needs import needs_of
from scheduler.spec import load
from tests.experiments.fetched_study import (
    DATA,
    GLUE,
    MODEL,
    ROOT,
    SPEC,
    XTREME,
    add_model,
    environment,
    fill,
    interlude,
    write_spec,
)
from tests.stand_in_hub import StandInHub, serving
from trainers.tasks.fetching import read_index
from trainers.tasks.mirror import MirrorSource

PARQUET = [f"hub/{place}.parquet" for place in DATA]
MODEL_FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
QQP = "hub/nyu-mll/glue/qqp/train.parquet"
OFFLINE_MODEL = {"name": "xlm-roberta-base"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = StandInHub()
    fill(hub)
    add_model(hub, tmp_path_factory.mktemp("model"))
    with serving(hub):
        yield hub


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fetched(hub, cache, tmp_path_factory):
    """A mirror of what the small study reads; not to be changed."""
    folder = tmp_path_factory.mktemp("fetched")
    done = interlude("fetch", write_spec(folder), "--to", folder / "mirror", env=environment(hub, cache))
    assert done.returncode == 0, done.stderr
    assert "10 files fetched, 0 were there and are whole" in done.stdout
    return folder / "mirror"


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def copy_of(mirror, folder):
    to = folder / "mirror"
    subprocess.run(["cp", "-r", str(mirror), str(to)], check=True)
    return to


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


def test_a_mirror_gives_the_examples_that_the_hub_gives(hub, cache, fetched, tmp_path):
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
        env=environment(hub, cache),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["40", "30", "30", "30", "30", "30", "40", "20", "20", "20", "20"]


def test_what_is_there_and_whole_is_not_fetched_again(hub, cache, fetched, tmp_path):
    mirror = copy_of(fetched, tmp_path)
    n_asked = len(hub.asked)
    done = interlude("fetch", write_spec(tmp_path), "--to", mirror, env=environment(hub, cache))
    assert "0 files fetched, 10 were there and are whole" in done.stdout
    assert hub.asked[n_asked:] == []


def test_what_is_damaged_or_gone_is_fetched_again_from_the_cache_without_a_connection(
    hub, cache, fetched, tmp_path
):
    mirror = copy_of(fetched, tmp_path)
    (mirror / QQP).write_bytes((fetched / QQP).read_bytes()[:-1] + b"?")
    (mirror / "hub/google/xtreme/PAN-X.ur/validation.parquet").unlink()
    (mirror / "models/xlm-roberta-base/model.safetensors").write_bytes(b"")
    offline = environment(hub, cache, HF_HUB_OFFLINE="1")
    done = interlude("fetch", write_spec(tmp_path), "--to", mirror, env=offline)
    assert "3 files fetched, 7 were there and are whole" in done.stdout, done.stderr
    assert read_index(mirror) == read_index(fetched)
    assert all(
        (mirror / path).read_bytes() == (fetched / path).read_bytes() for path in files(mirror)[1:-5]
    )


def test_a_download_that_is_cut_off_is_taken_up_again(hub, tmp_path):
    weights = "model.safetensors"
    hub.cut = {weights: [20_000], "mnli/train-00000-of-00001.parquet": [500]}
    env = environment(hub, tmp_path / "cache")
    done = interlude("fetch", write_spec(tmp_path), "--to", tmp_path / "mirror", env=env)
    assert done.returncode == 0, done.stderr
    assert "10 files fetched" in done.stdout
    assert hub.cut == {weights: [], "mnli/train-00000-of-00001.parquet": []}


def test_a_hub_that_keeps_hanging_up_is_named_and_what_came_before_stays(hub, tmp_path):
    hub.cut = {"mnli/train-00000-of-00001.parquet": [500] * 6}
    env, mirror = environment(hub, tmp_path / "cache"), tmp_path / "mirror"
    done = interlude("fetch", write_spec(tmp_path), "--to", mirror, env=env)
    assert done.returncode == 2, done.stderr
    assert "the hub did not give nyu-mll/glue/mnli/train at commit aaaaaaaaaaaa" in done.stderr
    assert "Check the connection" in done.stderr
    before = [path for path in PARQUET if "PAN-X" in path or "qqp" in path]
    assert files(mirror) == [".fetch.lock", *sorted(before), "index.tsv"]
    again = interlude("fetch", write_spec(tmp_path), "--to", mirror, env=env)
    assert "6 files fetched, 4 were there and are whole" in again.stdout, again.stderr


@pytest.mark.parametrize("what", ["mnli/train-00000-of-00001.parquet", "model.safetensors"])
def test_a_fetch_that_is_killed_in_a_download_leaves_whole_files_only_and_goes_on(hub, tmp_path, what):
    env, mirror = environment(hub, tmp_path / "cache"), tmp_path / "mirror"
    command = ["fetch", str(write_spec(tmp_path)), "--to", str(mirror)]
    hub.stall = what
    running = subprocess.Popen(
        [sys.executable, "-m", "experiments", *command],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert hub.stalled.wait(60)
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    finally:
        hub.stall = ""
        hub.go_on.set()
    index = read_index(mirror)
    assert files(mirror) == sorted([".fetch.lock", "index.tsv", *index])
    again = interlude(*command, env=env)
    assert f"{10 - len(index)} files fetched, {len(index)} were there" in again.stdout, again.stderr
    hub.stalled.clear()
    hub.go_on.clear()


def test_a_commit_that_the_hub_does_not_have_is_refused(hub, cache, tmp_path):
    spec = write_spec(tmp_path, data={"source": "hub", "revisions": {"nyu-mll/glue": "d" * 40}})
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, cache))
    assert done.returncode == 2
    assert "nyu-mll/glue/qqp/train at commit dddddddddddd" in done.stderr
    assert "Mend its commit in data.revisions" in done.stderr
    assert files(tmp_path / "mirror") == [".fetch.lock"]


def test_a_model_commit_that_the_hub_does_not_have_is_refused(hub, cache, tmp_path):
    spec = write_spec(tmp_path, model={"name": "xlm-roberta-base", "revision": "d" * 40})
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, cache))
    assert done.returncode == 2
    assert f"FacebookAI/xlm-roberta-base has no commit {'d' * 40}. Mend model.revision" in done.stderr


def test_without_a_connection_and_a_cache_it_says_what_to_check(hub, tmp_path):
    env = environment(hub, tmp_path / "cache", HF_HUB_OFFLINE="1")
    done = interlude("fetch", write_spec(tmp_path), "--to", tmp_path / "mirror", env=env)
    assert done.returncode == 2
    assert "Check the connection and HF_HUB_OFFLINE" in done.stderr


def test_what_is_on_no_hub_is_refused_before_anything_is_asked_for(hub, cache, tmp_path):
    spec = write_spec(tmp_path, intermediate={**SPEC["intermediate"], "tasks": ["qqp", "mlm"]})
    n_asked = len(hub.asked)
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, cache))
    assert done.returncode == 2
    assert "local/multilingual-text is on no hub: only a mirror has it" in done.stderr
    assert hub.asked[n_asked:] == []
    assert not (tmp_path / "mirror").exists()


def test_files_of_another_commit_or_of_nobody_are_left_alone(hub, cache, fetched, tmp_path):
    mirror = copy_of(fetched, tmp_path)
    (mirror / "index.tsv").write_text(
        "".join(entry.line() for path, entry in read_index(mirror).items() if "PAN-X.sw" not in path)
    )
    revisions = {"nyu-mll/glue": "d" * 40, "google/xtreme": XTREME}
    spec = write_spec(tmp_path, data={"source": "hub", "revisions": revisions})
    n_asked = len(hub.asked)
    done = interlude("fetch", spec, "--to", mirror, env=environment(hub, cache))
    assert done.returncode == 2
    assert "3 files have names that the spec's files need and are not those" in done.stderr
    assert f"{QQP}: from nyu-mll/glue@{GLUE}" in done.stderr
    assert "PAN-X.sw/validation.parquet: not in index.tsv" in done.stderr
    assert hub.asked[n_asked:] == []


def test_two_fetches_at_once_into_one_folder_end_with_one_whole_mirror(hub, cache, fetched, tmp_path):
    line = [sys.executable, "-m", "experiments", "fetch", str(write_spec(tmp_path))]
    both = [
        subprocess.Popen(
            [*line, "--to", str(tmp_path / "mirror")],
            cwd=ROOT,
            env=environment(hub, cache),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    counts = sorted(int(out.partition(" files fetched")[0].split()[-1]) for out, _ in said)
    assert counts == [0, 10]
    assert read_index(tmp_path / "mirror") == read_index(fetched)


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


def test_files_of_the_users_own_are_named_and_not_fetched(hub, cache, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("first,second,label\n" + "".join(f"cat {n},dog {n},{n % 2}\n" for n in range(9)))
    parts = {"train": {"en": str(own)}, "search": {"sw": str(own)}, "report": {"sw": str(own)}}
    task = {"name": "own_pairs", "family": "pair", "files": parts, "labels": ["no", "yes"]}
    target = {**SPEC["target"], "tasks": ["panx", "own_pairs"]}
    spec = write_spec(tmp_path, custom_tasks=[task], target=target)
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, cache))
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
