from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainers.errors import (
    EmptySplitError,
    MalformedDataError,
    MissingDataError,
    TaskError,
    UnknownLanguageError,
)
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.tasks.hub import HubSource
from trainers.tasks.mirror import MirrorSource
from trainers.tasks.source import UNPINNED
from trainers.tasks.toy.source import ToySource

MNLI = TASKS["mnli"].train[0]
XNLI = TASKS["xnli"].search[0]
TYDIQA = TASKS["tydiqa"].search[0]
MNLI_FILE = "hub/nyu-mll/glue/mnli/train.parquet"


def save(root, path, columns):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return file


def save_mnli(root, n_rows=3):
    return save(
        root,
        MNLI_FILE,
        {"premise": ["p"] * n_rows, "hypothesis": ["h"] * n_rows, "label": [0] * n_rows},
    )


def test_a_mirror_gives_the_rows_of_the_file_that_the_split_names(tmp_path):
    save_mnli(tmp_path)
    rows = MirrorSource(tmp_path).rows(MNLI, "en")
    assert rows.num_rows == 3
    assert rows[0] == {"premise": "p", "hypothesis": "h", "label": 0}


def test_an_identity_tells_other_data_apart_and_not_where_it_lies(tmp_path):
    save_mnli(tmp_path / "one")
    save_mnli(tmp_path / "two")
    save_mnli(tmp_path / "three", n_rows=4)
    one, two, three = (MirrorSource(tmp_path / n).identity(MNLI, "en") for n in ("one", "two", "three"))
    assert one == two
    assert one.revision != three.revision
    assert (one.name, one.n_rows) == ("nyu-mll/glue/mnli/train", 3)


def test_a_file_that_mixes_languages_gives_those_of_one(tmp_path):
    save(
        tmp_path,
        "hub/google/xtreme/XNLI/validation.parquet",
        {
            "language": ["sw", "en", "sw"],
            "sentence1": ["a", "b", "c"],
            "sentence2": ["d", "e", "f"],
            "gold_label": ["neutral"] * 3,
        },
    )
    source = MirrorSource(tmp_path)
    assert source.rows(XNLI, "sw")["sentence1"][:] == ["a", "c"]
    assert source.identity(XNLI, "sw").n_rows == 2
    assert source.identity(XNLI, "sw") != source.identity(XNLI, "en")
    with pytest.raises(MissingDataError, match="no row in 'ur'"):
        source.identity(XNLI, "ur")
    with pytest.raises(EmptySplitError, match="none of 3 rows is in 'ur'"):
        source.rows(XNLI, "ur")


def test_languages_are_told_apart_by_a_prefix_where_the_data_does_so(tmp_path):
    ids = ["swahili-1", "telugu-2", "swahili-3", "swahili"]
    save(
        tmp_path,
        "hub/google/xtreme/tydiqa/validation.parquet",
        {"id": ids, "context": ["c"] * 4, "question": ["q"] * 4},
    )
    assert MirrorSource(tmp_path).rows(TYDIQA, "sw")["id"][:] == ["swahili-1", "swahili-3"]


def test_a_language_column_that_is_not_there_is_named(tmp_path):
    save(tmp_path, "hub/google/xtreme/XNLI/validation.parquet", {"lang": ["sw"]})
    source = MirrorSource(tmp_path)
    with pytest.raises(MalformedDataError, match=r"no column 'language'.*Found lang"):
        source.rows(XNLI, "sw")


@pytest.mark.parametrize("question", ["identity", "rows"])
def test_a_missing_file_is_named_with_what_lies_beside_it(tmp_path, question):
    save_mnli(tmp_path)
    source = MirrorSource(tmp_path)
    other = replace(MNLI, name="validation")
    with pytest.raises(MissingDataError, match=r"validation\.parquet.*That folder has train") as caught:
        getattr(source, question)(other, "en")
    assert caught.value.file.endswith("mnli/validation.parquet")
    with pytest.raises(MissingDataError, match=r"PAN-X\.sw.*that exists is .*hub\. Add the file"):
        getattr(source, question)(TASKS["panx"].search[0], "sw")


def test_a_folder_that_is_no_mirror_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="has no hub/ folder"):
        MirrorSource(tmp_path)
    with pytest.raises(MissingDataError, match="is no folder"):
        MirrorSource(tmp_path / "nowhere")


@pytest.mark.parametrize("question", ["identity", "rows"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"label\n0\n"]
)
def test_a_file_that_is_cut_off_or_no_parquet_is_refused(tmp_path, question, damage):
    file = save_mnli(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(MalformedDataError, match=r"train\.parquet.*fetch it again|Fetch the file again"):
        getattr(MirrorSource(tmp_path), question)(MNLI, "en")


def test_a_file_with_a_broken_middle_is_refused(tmp_path):
    file = save_mnli(tmp_path, n_rows=1000)
    data = bytearray(file.read_bytes())
    data[4:60] = bytes(56)
    file.write_bytes(data)
    with pytest.raises(
        MalformedDataError, match=r"train\.parquet ends as a parquet file and cannot be read"
    ):
        MirrorSource(tmp_path).rows(MNLI, "en")


def test_a_file_without_rows_is_refused(tmp_path):
    save_mnli(tmp_path, n_rows=0)
    with pytest.raises(EmptySplitError, match=r"train\.parquet has 0 rows"):
        MirrorSource(tmp_path).rows(MNLI, "en")


def test_a_language_that_a_split_does_not_have_is_refused(tmp_path):
    save_mnli(tmp_path)
    for source in (MirrorSource(tmp_path), HubSource()):
        with pytest.raises(UnknownLanguageError, match="no language 'sw' in nyu-mll/glue/mnli/train"):
            source.identity(MNLI, "sw")


def test_the_hub_identifies_data_by_its_commit_without_reaching_for_it():
    identity = HubSource().identity(MNLI, "en")
    assert (identity.name, identity.revision) == ("nyu-mll/glue/mnli/train", MNLI.data.revision)
    assert identity.n_rows == 392_702


def test_the_hub_refuses_what_is_not_pinned_and_says_how_to_pin_it():
    with pytest.raises(
        MissingDataError, match=r"(?s)masakhapos has no pinned commit.*masakhapos: <40 hex.*mirror"
    ):
        HubSource().rows(TASKS["masakhapos"].search[0], "sw")


def test_what_is_not_pinned_can_be_planned_with_and_a_named_commit_pins_it():
    split = TASKS["masakhapos"].search[0]
    assert HubSource().identity(split, "sw").revision == UNPINNED
    pinned = open_source("hub", None, {"masakhane/masakhapos": "a" * 40})
    assert pinned.identity(split, "sw").revision == "a" * 40


def test_a_named_commit_goes_before_the_pin_of_the_catalogue():
    assert HubSource({"nyu-mll/glue": "b" * 40}).identity(MNLI, "en").revision == "b" * 40


def test_the_hub_refuses_what_only_a_mirror_has():
    with pytest.raises(MissingDataError, match=r"on no hub.*mirror"):
        HubSource().rows(TASKS["mlm"].train[0], "sw")


@pytest.mark.filterwarnings("default")
def test_an_unreachable_hub_is_reported_with_what_to_do():
    with pytest.raises(
        MissingDataError, match=r"nyu-mll/glue/mnli/train at commit bcdcba79d07b.*HF_HUB_OFFLINE"
    ):
        HubSource().rows(MNLI, "en")


def test_a_source_is_opened_by_its_kind(tmp_path, monkeypatch):
    (tmp_path / "hub").mkdir()
    assert isinstance(open_source("hub").published, HubSource)
    assert isinstance(open_source("toy").published, ToySource)
    assert isinstance(open_source("mirror", str(tmp_path)).published, MirrorSource)
    monkeypatch.setenv("INTERLUDE_MIRROR", str(tmp_path))
    assert isinstance(open_source("mirror").published, MirrorSource)


def test_a_mirror_that_nobody_names_is_asked_for(monkeypatch):
    monkeypatch.delenv("INTERLUDE_MIRROR", raising=False)
    with pytest.raises(MissingDataError, match=r"data\.path.*INTERLUDE_MIRROR"):
        open_source("mirror")


def test_an_unknown_kind_of_source_is_answered_with_the_nearest():
    with pytest.raises(TaskError, match="Did you mean mirror"):
        open_source("miror")
