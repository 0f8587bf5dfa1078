"""A stage in the store is whole or it is not there."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from trainers.checkpoints import StageStore
from trainers.errors import ManifestMismatchError, StoreError
from trainers.fingerprint import canonical
from trainers.manifest import MANIFEST
from trainers.stage import EvaluateStage, Half, ModelRef, stage_name

STAGE = EvaluateStage(ModelRef("tiny", "1"), None, "xnli", ("sw", "ur"), Half.SEARCH, ())
NAME = stage_name(STAGE)


@pytest.fixture(params=["local", "remote"])
def store(request, tmp_path):
    url = str(tmp_path / "runs") if request.param == "local" else f"memory://{uuid.uuid4().hex}/runs"
    return StageStore(url, cache_dir=tmp_path / "cache")


def stages_in(folder):
    """What lies in a local store, its locks aside."""
    return [path.name for path in (folder / "stages").iterdir() if path.name != ".locks"]


def write(store, text="weights", name=NAME, stage=STAGE):
    with store.write(name, stage) as folder:
        (folder / "model.txt").write_text(text)
        (folder / "trunk").mkdir(exist_ok=True)
        (folder / "trunk" / "state.txt").write_text("state of " + text)


def test_what_was_written_can_be_opened(store):
    assert not store.has(NAME)
    write(store)
    assert store.has(NAME)
    folder = store.open(NAME, thorough=True)
    assert (folder / "model.txt").read_text() == "weights"
    assert (folder / "trunk" / "state.txt").read_text() == "state of weights"


def test_the_manifest_says_what_the_stage_is_and_where_it_was_made(store):
    write(store)
    record = store.manifest(NAME)
    assert record["config"] == json.loads(json.dumps(canonical(STAGE)))
    assert record["fingerprint"] == NAME
    assert record["files"]["model.txt"]["bytes"] == len("weights")
    assert "python" in record["environment"]
    assert record["created_at"].startswith("20")


def test_a_write_that_raises_leaves_nothing(store):
    def broken():
        with store.write(NAME, STAGE) as folder:
            (folder / "model.txt").write_text("half")
            raise KeyError("the loop broke")

    with pytest.raises(KeyError):
        broken()
    assert not store.has(NAME)
    write(store, "whole")
    assert (store.open(NAME) / "model.txt").read_text() == "whole"


def test_the_first_writer_wins_and_the_second_is_discarded(store):
    with store.write(NAME, STAGE) as late:
        (late / "model.txt").write_text("late")
        write(store, "early")
    assert (store.open(NAME) / "model.txt").read_text() == "early"


def test_a_partial_state_is_replaced_by_the_newer_one(store):
    for text in ("at step 10", "at step 20"):
        write(store, text, name=f"{NAME}.partial")
    assert (store.open(f"{NAME}.partial") / "model.txt").read_text() == "at step 20"
    assert not store.has(NAME)


def test_a_dropped_stage_is_gone_and_can_be_written_again(store):
    write(store)
    store.drop(NAME)
    assert not store.has(NAME)
    store.drop(NAME)
    write(store, "again")
    assert (store.open(NAME) / "model.txt").read_text() == "again"


def test_a_missing_stage_says_where_it_was_looked_for(store):
    with pytest.raises(StoreError, match=f"no stage {NAME}"):
        store.open(NAME)


def test_a_stage_cannot_be_stored_under_another_name(store):
    with pytest.raises(ManifestMismatchError):
        write(store, name="0" * 16)
    assert not store.has("0" * 16)


@pytest.fixture
def written(tmp_path):
    store = StageStore(str(tmp_path))
    write(store)
    return store, tmp_path / "stages" / NAME


def test_a_folder_without_manifest_does_not_exist_and_is_written_over(written):
    store, folder = written
    (folder / MANIFEST).unlink()
    assert not store.has(NAME)
    write(store, "second")
    assert (store.open(NAME) / "model.txt").read_text() == "second"


def test_a_truncated_file_is_an_error(written):
    store, folder = written
    (folder / "model.txt").write_text("weigh")
    with pytest.raises(ManifestMismatchError, match="5 bytes, 7 in the manifest"):
        store.open(NAME)


def test_a_changed_small_file_is_an_error(written):
    store, folder = written
    (folder / "model.txt").write_text("WEIGHTS")
    with pytest.raises(ManifestMismatchError, match="SHA-256"):
        store.open(NAME)


def test_a_missing_file_is_an_error(written):
    store, folder = written
    (folder / "trunk" / "state.txt").unlink()
    with pytest.raises(ManifestMismatchError, match="not in the folder"):
        store.open(NAME)


def test_a_changed_large_file_is_found_when_asked(tmp_path):
    store = StageStore(str(tmp_path))
    write(store, "a" * 2_000_000)
    (store.open(NAME) / "model.txt").write_text("b" * 2_000_000)
    store.open(NAME)
    with pytest.raises(ManifestMismatchError, match="SHA-256"):
        store.open(NAME, thorough=True)


def test_a_config_that_does_not_hash_to_its_name_is_an_error(written):
    store, folder = written
    record = json.loads((folder / MANIFEST).read_text())
    record["config"] = canonical(replace(STAGE, task="panx"))
    (folder / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(ManifestMismatchError, match="hashes to"):
        store.open(NAME)


def test_a_folder_under_a_false_name_is_an_error(written):
    store, folder = written
    folder.rename(folder.with_name("f" * 16))
    with pytest.raises(ManifestMismatchError):
        store.open("f" * 16)


def test_a_manifest_that_is_not_json_is_an_error(written):
    store, folder = written
    (folder / MANIFEST).write_text("{")
    with pytest.raises(ManifestMismatchError, match="not JSON"):
        store.manifest(NAME)


def test_a_store_that_cannot_be_written_says_where_and_what_to_do(tmp_path):
    (tmp_path / "stages").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot write stage .* Free space or make the place"):
        write(StageStore(str(tmp_path)))


def test_a_full_disk_says_where_and_what_to_do(tmp_path):
    store = StageStore(str(tmp_path))

    def fill_up():
        with store.write(NAME, STAGE):
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device"):
        fill_up()
    assert not store.has(NAME)


def test_a_disk_that_is_full_is_told_in_words_when_a_library_has_no_class_for_it(tmp_path):
    def fill_up():
        with StageStore(str(tmp_path)).write(NAME, STAGE):
            raise Exception("No space left on device (os error 28)")  # noqa: TRY002 - as tokenizers does

    with pytest.raises(StoreError, match=rf"os error 28\)\. .* GB are free at {tmp_path}"):
        fill_up()


def test_a_bug_while_writing_is_raised_as_it_is(tmp_path):
    def broken():
        with StageStore(str(tmp_path)).write(NAME, STAGE):
            raise ValueError("not about the disk")

    with pytest.raises(ValueError, match="not about"):
        broken()


WRITER = """
import json, sys
from trainers.checkpoints import StageStore
from trainers.stage import EvaluateStage, Half, ModelRef, stage_name

stage = EvaluateStage(ModelRef("tiny", "1"), None, "xnli", ("sw", "ur"), Half.SEARCH, ())
store, name = StageStore(sys.argv[1]), stage_name(stage) + ".partial"
print("ready", flush=True)
for number in range(10**9):
    with store.write(name, stage) as folder:
        for file in ("state", "progress"):
            (folder / file).write_text(f"{sys.argv[2]} {number} " * 500)
    if number % 10 == 9:
        store.drop(name)
"""


def test_a_partial_state_that_many_write_drop_and_die_over_is_whole_whenever_it_is_there(tmp_path):
    """Workers of two studies on one stage, all the while killed and replaced by others."""
    begin = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*begin, str(n)], stdout=subprocess.PIPE) for n in range(4)]
    for writer in writers:
        writer.stdout.readline()
    store = StageStore(str(tmp_path))
    while writers:
        n_read, until_s = 0, time.monotonic() + 60
        while n_read < 30:
            assert time.monotonic() < until_s, "the writers left too little to read"
            with store.reading(f"{NAME}.partial") as folder:
                if folder is not None:
                    assert (folder / "state").read_text() == (folder / "progress").read_text()
                    n_read += 1
        writer = writers.pop()
        writer.kill()
        writer.communicate()
    write(store, name=f"{NAME}.partial")
    assert stages_in(tmp_path) == [f"{NAME}.partial"]
    assert len(list((tmp_path / "stages" / f"{NAME}.partial").iterdir())) == 2


def test_a_partial_state_that_a_killed_writer_was_replacing_is_the_old_or_the_new(tmp_path):
    store = StageStore(str(tmp_path))
    write(store, "old", name=f"{NAME}.partial")
    moments = ["mkdir", "rename", "replace", "rmtree"]
    for moment in moments:
        pid = os.fork()
        if pid == 0:
            owner = {"replace": os, "rmtree": shutil}.get(moment, Path)
            with store.write(f"{NAME}.partial", STAGE) as folder:
                (folder / "model.txt").write_text("new")
                setattr(owner, moment, lambda *_, **__: os._exit(9))
        os.waitpid(pid, 0)
        with store.reading(f"{NAME}.partial") as folder:
            assert (folder / "model.txt").read_text() == ("new" if moment == "rmtree" else "old")


def test_tensors_that_cannot_be_written_are_told_the_same_way(tmp_path):
    def write_nowhere():
        with StageStore(str(tmp_path)).write(NAME, STAGE) as folder:
            save_file({"weight": np.zeros(2)}, folder / "no such folder" / "model.safetensors")

    with pytest.raises(StoreError, match="Free space or make the place"):
        write_nowhere()


@pytest.mark.parametrize("url", ["nowhere://runs", "gs://bucket/runs"])
def test_a_url_that_cannot_be_used_is_refused_at_once(url):
    with pytest.raises(StoreError, match="cannot use"):
        StageStore(url)


def test_writers_that_race_leave_one_whole_stage(tmp_path):
    store = StageStore(str(tmp_path))
    start = threading.Barrier(6)

    def race(text):
        start.wait()
        write(store, text)

    writers = [threading.Thread(target=race, args=(f"writer {i}",)) for i in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    folder = store.open(NAME, thorough=True)
    assert (folder / "trunk" / "state.txt").read_text() == "state of " + (
        folder / "model.txt"
    ).read_text()
    assert stages_in(tmp_path) == [NAME]


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path):
    store = StageStore(str(tmp_path))
    pid = os.fork()
    if pid == 0:
        with store.write(NAME, STAGE) as folder:
            (folder / "model.txt").write_text("half")
            os._exit(9)
    os.waitpid(pid, 0)
    assert len(stages_in(tmp_path)) == 1
    assert not store.has(NAME)
    other = replace(STAGE, task="panx")
    write(store, name=stage_name(other), stage=other)
    assert stages_in(tmp_path) == [stage_name(other)]
