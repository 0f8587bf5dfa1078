import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import MirrorError
from trainers.tasks.fetching import INDEX, Entry, FileState, read_index, write_parquet, writing

ROOT = Path(__file__).parents[2]
PATH, SOURCE = "hub/org/data/default/train.parquet", "org/data@" + "a" * 40


def nobody_waits():
    raise AssertionError("another writer holds the mirror")


def holding(data, n_rows=1):
    """What fills a file with ``data``."""

    def fill(part):
        part.write_bytes(data)
        return n_rows

    return fill


def add(root, path=PATH, data=b"data", source=SOURCE):
    with writing(root, nobody_waits) as mirror:
        return mirror.add(path, source, holding(data))


def state(root, path=PATH, source=SOURCE):
    with writing(root, nobody_waits) as mirror:
        return mirror.state(path, source)


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_file_that_was_added_is_there_whole_and_in_the_index(tmp_path):
    entry = add(tmp_path)
    assert (tmp_path / PATH).read_bytes() == b"data"
    assert read_index(tmp_path) == {PATH: entry}
    assert (entry.n_rows, entry.n_bytes, entry.source) == (1, 4, SOURCE)
    assert state(tmp_path) is FileState.WHOLE
    assert files(tmp_path) == [".fetch.lock", PATH, INDEX]


@pytest.mark.parametrize("damage", [b"date", b"dat", b""])
def test_a_file_with_other_bytes_is_damaged_and_can_be_written_again(tmp_path, damage):
    add(tmp_path)
    (tmp_path / PATH).write_bytes(damage)
    assert state(tmp_path) is FileState.DAMAGED
    add(tmp_path)
    assert state(tmp_path) is FileState.WHOLE


def test_what_is_not_there_or_from_elsewhere_is_told_apart(tmp_path):
    assert state(tmp_path) is FileState.MISSING
    add(tmp_path)
    assert state(tmp_path, source="org/data@" + "b" * 40) is FileState.OTHER
    (tmp_path / "hub/by-hand.parquet").write_bytes(b"data")
    assert state(tmp_path, path="hub/by-hand.parquet") is FileState.UNKNOWN
    (tmp_path / PATH).unlink()
    assert state(tmp_path) is FileState.MISSING


def test_a_failure_leaves_nothing_under_the_name_nor_beside_it(tmp_path):
    def fill(part):
        part.write_bytes(b"half")
        raise ValueError("the rest never came")

    with pytest.raises(ValueError, match="never came"), writing(tmp_path, nobody_waits) as mirror:
        mirror.add(PATH, SOURCE, fill)
    assert files(tmp_path) == [".fetch.lock"]


def test_a_full_disk_is_named_with_numbers(tmp_path):
    def fill(part):
        part.write_bytes(bytes(1_500_000))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    said = r"disk is full: 1\.5 MB of .*train\.parquet.*GB are free at"
    with pytest.raises(MirrorError, match=said), writing(tmp_path, nobody_waits) as mirror:
        mirror.add(PATH, SOURCE, fill)
    assert files(tmp_path) == [".fetch.lock"]


def test_a_limit_of_the_system_while_parquet_is_written_is_met_the_same_way(tmp_path):
    rows = Dataset.from_dict({"n": [os.urandom(100).hex() for _ in range(2_000)]})

    def fill(part):
        write_parquet(rows, part)
        return len(rows)

    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(MirrorError, match="disk is full"), writing(tmp_path, nobody_waits) as mirror:
            mirror.add(PATH, SOURCE, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert files(tmp_path) == [".fetch.lock"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    said = r"cannot write a mirror in .*file.*Name another folder"
    with pytest.raises(MirrorError, match=said), writing(tmp_path / "file", nobody_waits):
        pass


@pytest.mark.parametrize("moment", ["fill", "index", "rename"])
def test_a_kill_at_any_moment_leaves_a_whole_file_or_none(tmp_path, moment):
    script = f"""
import os, signal
from pathlib import Path
from trainers.tasks import fetching
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
def fill(part):
    part.write_bytes(b"da")
    {"die()" if moment == "fill" else ""}
    part.write_bytes(b"data")
    return 1
if {moment!r} == "index": fetching.MirrorWriter._enter = die
if {moment!r} == "rename": Path.replace = die
with fetching.writing(Path({str(tmp_path)!r}), die) as mirror:
    mirror.add({PATH!r}, {SOURCE!r}, fill)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert state(tmp_path) is FileState.MISSING
    add(tmp_path)
    assert state(tmp_path) is FileState.WHOLE
    assert files(tmp_path) == [".fetch.lock", PATH, INDEX]


@given(cut=st.integers(min_value=0, max_value=400))
def test_an_index_that_was_cut_off_anywhere_loses_no_whole_line(cut, tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    entries = [add(root, f"hub/{n}.parquet", bytes([n])) for n in range(3)]
    text = (root / INDEX).read_text()
    (root / INDEX).write_text(text[:cut])
    whole = [entry for entry in entries if entry.line().rstrip() in text[:cut]]
    assert list(read_index(root).values()) == whole
    again = add(root, "hub/again.parquet")
    found = read_index(root)
    assert found["hub/again.parquet"] == again
    assert all(found[entry.path] == entry for entry in whole)


@given(
    lines=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.integers(0, 10**12)), max_size=6
    )
)
def test_the_last_line_of_a_path_counts(lines, tmp_path_factory):
    root = tmp_path_factory.mktemp("mirror")
    entries = [Entry(f"hub/{name}", rows, size, "0" * 64, SOURCE) for name, rows, size in lines]
    (root / INDEX).write_text("".join(entry.line() for entry in entries))
    assert read_index(root) == {entry.path: entry for entry in entries}


def test_a_second_writer_waits_and_then_sees_what_the_first_wrote(tmp_path):
    waits, seen = threading.Event(), []

    def second():
        with writing(tmp_path, waits.set) as mirror:
            seen.append(mirror.state(PATH, SOURCE))

    with writing(tmp_path, nobody_waits) as mirror:
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        mirror.add(PATH, SOURCE, holding(b"data"))
        assert not seen
    thread.join(10)
    assert seen == [FileState.WHOLE]


def test_parquet_keeps_class_names_and_every_row(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    columns = {"text": [str(n) for n in range(25_000)], "label": [n % 2 for n in range(25_000)]}
    rows = Dataset.from_dict(columns, features=features).select(range(24_999, -1, -1))
    write_parquet(rows, tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert Features.from_arrow_schema(table.schema) == features
    assert table["text"].to_pylist() == columns["text"][::-1]
    footer = pq.read_metadata(tmp_path / "rows.parquet")
    assert footer.row_group(0).column(0).compression == "ZSTD"
