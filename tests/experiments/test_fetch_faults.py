import signal
import subprocess
import sys

import pytest

from tests.experiments.fetched_study import (
    GLUE,
    PARQUET,
    QQP,
    ROOT,
    XTREME,
    copy_of,
    environment,
    files,
    interlude,
    write_spec,
)
from trainers.tasks.fetching import read_index


def test_what_is_damaged_or_gone_is_fetched_again_from_the_cache_without_a_connection(
    hub, hf_cache, fetched, tmp_path
):
    mirror = copy_of(fetched, tmp_path)
    (mirror / QQP).write_bytes((fetched / QQP).read_bytes()[:-1] + b"?")
    (mirror / "hub/google/xtreme/PAN-X.ur/validation.parquet").unlink()
    (mirror / "models/xlm-roberta-base/model.safetensors").write_bytes(b"")
    offline = environment(hub, hf_cache, HF_HUB_OFFLINE="1")
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
        assert hub.stalled.wait(240)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
    finally:
        hub.stall = ""
        hub.go_on.set()
    index = read_index(mirror)
    assert files(mirror) == sorted([".fetch.lock", "index.tsv", *index])
    again = interlude(*command, env=env)
    assert f"{10 - len(index)} files fetched, {len(index)} were there" in again.stdout, again.stderr
    hub.stalled.clear()
    hub.go_on.clear()


def test_a_commit_that_the_hub_does_not_have_is_refused(hub, hf_cache, tmp_path):
    spec = write_spec(tmp_path, data={"source": "hub", "revisions": {"nyu-mll/glue": "d" * 40}})
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, hf_cache))
    assert done.returncode == 2
    assert "nyu-mll/glue/qqp/train at commit dddddddddddd" in done.stderr
    assert "Mend its commit in data.revisions" in done.stderr
    assert files(tmp_path / "mirror") == [".fetch.lock"]


def test_a_model_commit_that_the_hub_does_not_have_is_refused(hub, hf_cache, tmp_path):
    spec = write_spec(tmp_path, model={"name": "xlm-roberta-base", "revision": "d" * 40})
    done = interlude("fetch", spec, "--to", tmp_path / "mirror", env=environment(hub, hf_cache))
    assert done.returncode == 2
    assert f"FacebookAI/xlm-roberta-base has no commit {'d' * 40}. Mend model.revision" in done.stderr


def test_without_a_connection_and_a_cache_it_says_what_to_check(hub, tmp_path):
    env = environment(hub, tmp_path / "cache", HF_HUB_OFFLINE="1")
    done = interlude("fetch", write_spec(tmp_path), "--to", tmp_path / "mirror", env=env)
    assert done.returncode == 2
    assert "Check the connection and HF_HUB_OFFLINE" in done.stderr


def test_files_of_another_commit_or_of_nobody_are_left_alone(hub, hf_cache, fetched, tmp_path):
    mirror = copy_of(fetched, tmp_path)
    (mirror / "index.tsv").write_text(
        "".join(entry.line() for path, entry in read_index(mirror).items() if "PAN-X.sw" not in path)
    )
    revisions = {"nyu-mll/glue": "d" * 40, "google/xtreme": XTREME}
    spec = write_spec(tmp_path, data={"source": "hub", "revisions": revisions})
    n_asked = len(hub.asked)
    done = interlude("fetch", spec, "--to", mirror, env=environment(hub, hf_cache))
    assert done.returncode == 2
    assert "3 files have names that the spec's files need and are not those" in done.stderr
    assert f"{QQP}: from nyu-mll/glue@{GLUE}" in done.stderr
    assert "PAN-X.sw/validation.parquet: not in index.tsv" in done.stderr
    assert hub.asked[n_asked:] == []


def test_two_fetches_at_once_into_one_folder_end_with_one_whole_mirror(hub, hf_cache, fetched, tmp_path):
    line = [sys.executable, "-m", "experiments", "fetch", str(write_spec(tmp_path))]
    both = [
        subprocess.Popen(
            [*line, "--to", str(tmp_path / "mirror")],
            cwd=ROOT,
            env=environment(hub, hf_cache),
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
