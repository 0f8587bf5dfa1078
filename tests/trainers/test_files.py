"""Files of the user's own as a source."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from trainers.errors import (
    EmptySplitError,
    MalformedDataError,
    MissingDataError,
    TaskError,
    UnknownLanguageError,
)
from trainers.tasks import open_source
from trainers.tasks.files import FileSource, located
from trainers.tasks.spec import FileData, HubData, Split


def split_of(*files, code="sw", name="search", **settings):
    data = FileData("mine", {code: tuple(str(file) for file in files)}, **settings)
    return Split(data, name, (code,))


def save(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def tsv(tmp_path):
    return save(tmp_path / "one" / "a.tsv", "text\tlabel\na\t1\nb\t0\n")


def test_an_identity_follows_the_bytes_and_not_the_path(tsv, tmp_path):
    moved = tmp_path / "other name.tsv"
    shutil.copy(tsv, moved)
    first, second = (FileSource().identity(split_of(file), "sw") for file in (tsv, moved))
    assert first == second
    assert (first.name, first.n_rows) == ("files/mine/sw/search", 2)
    save(moved, "text\tlabel\na\t1\nb\t1\n")
    assert FileSource().identity(split_of(moved), "sw").revision != first.revision


def test_a_file_that_changes_is_counted_again_in_the_same_process(tsv):
    source, split = FileSource(), split_of(tsv)
    assert source.identity(split, "sw").n_rows == 2
    save(tsv, "text\tlabel\na\t1\nb\t0\nc\t0\n")
    assert source.identity(split, "sw").n_rows == source.rows(split, "sw").num_rows == 3
    before = source.identity(split, "sw").revision
    state = tsv.stat()
    save(tsv, "text\tlabel\na\t1\nb\t0\nc\t1\n")
    os.utime(tsv, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert source.identity(split, "sw").revision != before


def test_how_a_file_is_read_is_part_of_what_it_is(tsv):
    read_as = [{}, {"header": ("text", "label")}, {"format": "csv", "header": ("text",)}]
    revisions = {FileSource().identity(split_of(tsv, **how), "sw").revision for how in read_as}
    assert len(revisions) == 3


def test_several_files_are_one_after_the_other_and_errors_know_which(tsv, tmp_path):
    second = save(tmp_path / "b.tsv", "text\tlabel\nc\t1\n")
    split = split_of(tsv, second)
    assert FileSource().rows(split, "sw")["text"][:] == ["a", "b", "c"]
    assert FileSource().identity(split, "sw").n_rows == 3
    assert located(split, "sw", 1) == f"row 1 of {tsv}"
    assert located(split, "sw", 2) == f"row 0 of {second}"
    with pytest.raises(IndexError):
        located(split, "sw", 3)


def test_files_of_one_language_with_other_columns_or_classes_are_refused(tsv, tmp_path):
    other = save(tmp_path / "b.tsv", "text\tgold\nc\t1\n")
    with pytest.raises(MalformedDataError, match=r"read as one and have different columns: .*gold"):
        FileSource().rows(split_of(tsv, other), "sw")
    files = []
    for names in (["no", "yes"], ["yes", "no"]):
        features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
        files.append(tmp_path / f"{names[0]}.parquet")
        Dataset.from_dict({"text": ["a"], "label": [0]}, features=features).to_parquet(files[-1])
    with pytest.raises(MalformedDataError, match="different columns"):
        FileSource().rows(split_of(*files), "sw")


def test_a_parquet_file_keeps_its_class_names(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    file = tmp_path / "a.parquet"
    Dataset.from_dict({"text": ["a"], "label": [1]}, features=features).to_parquet(file)
    rows = FileSource().rows(split_of(file), "sw")
    assert rows.features["label"].names == ["no", "yes"]
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), file)
    assert FileSource().rows(split_of(file), "sw").num_rows == 1


@pytest.mark.parametrize("question", ["identity", "rows"])
def test_a_missing_file_is_named_with_what_lies_beside_it(tsv, question):
    absent = tsv.with_name("b.tsv")
    with pytest.raises(
        MissingDataError, match=r"no file .*b\.tsv for 'sw' of mine\. .* has a\.tsv"
    ) as e:
        getattr(FileSource(), question)(split_of(tsv, absent), "sw")
    assert e.value.file == str(absent)
    with pytest.raises(MissingDataError, match="no file"):
        FileSource().identity(split_of(tsv.parent), "sw")


def test_a_language_a_format_and_rows_have_to_be_there(tsv, tmp_path):
    with pytest.raises(UnknownLanguageError, match=r"no language 'yo' in files/mine.*Known: sw"):
        FileSource().rows(split_of(tsv), "yo")
    with pytest.raises(TaskError, match=r"a\.txt does not say its format"):
        FileSource().identity(split_of(save(tmp_path / "a.txt", "a")), "sw")
    assert FileSource().identity(split_of(tmp_path / "a.txt", format="tsv", header=("a",)), "sw")
    with pytest.raises(EmptySplitError, match="0 rows"):
        FileSource().identity(split_of(save(tmp_path / "e.tsv", "text\tlabel\n")), "sw")


def test_files_stand_beside_every_source(tsv):
    source = open_source("toy")
    assert source.rows(split_of(tsv), "sw").num_rows == 2
    assert source.identity(split_of(tsv), "sw").n_rows == 2
    with pytest.raises(TaskError, match="not in files of its own"):
        FileSource().rows(Split(HubData("a/b", "0" * 40), "train", ("sw",)), "sw")
