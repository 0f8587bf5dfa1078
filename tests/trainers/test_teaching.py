"""What a task is taught with is read once per cache, and found again ever after."""

import shutil
from dataclasses import replace

import pytest
from tiny_model import tiny_tokenizer

from trainers import teaching
from trainers.encoder import load_tokenizer
from trainers.errors import MalformedDataError, StoreError
from trainers.models import entry
from trainers.stage import TaskShare
from trainers.tasks.catalog import TASKS
from trainers.tasks.toy.source import ToySource
from trainers.teaching import taught

TASK = TASKS.task("toy_roles")


@pytest.fixture
def read(monkeypatch):
    """The languages whose rows were read, one after the other."""
    found = []
    whole = teaching.training_examples

    def counted(task, split, language, source):
        found.append(language)
        return whole(task, split, language, source)

    monkeypatch.setattr(teaching, "training_examples", counted)
    return found


def share_of(task, source):
    data = (source.identity(split, code) for split in task.train for code in split.languages)
    return TaskShare(task.name, 1.0, tuple(data))


def tokenizer_of(model):
    return load_tokenizer(entry(model), "toy", None)


def columns(shards):
    return [shard.with_format(None)[:] for shard in shards]


def test_rows_are_read_once_whatever_the_tokenizer(read, tmp_path):
    source = ToySource(seed=1)
    share = share_of(TASK, source)
    first, n_skipped = taught(share, TASK, tokenizer_of("toy-mini"), source, tmp_path)
    assert (len(read), n_skipped) == (len(share.data), 0)
    again, _ = taught(share, TASK, tokenizer_of("toy-small"), ToySource(seed=1), tmp_path)
    assert columns(again) == columns(first)
    other, _ = taught(share, TASK, tiny_tokenizer(), source, tmp_path)
    assert columns(other) != columns(first)
    assert len(read) == len(share.data)


def test_all_examples_of_all_languages_are_in_the_shards(tmp_path):
    source, task = ToySource(seed=1), TASKS.task("toy_text")
    shards, _ = taught(share_of(task, source), task, tokenizer_of("toy-mini"), source, tmp_path)
    n_rows = sum(source.rows(split, code).num_rows for split in task.train for code in split.languages)
    assert len(shards) > 2
    assert sum(shard.num_rows for shard in shards) == n_rows


def test_other_data_of_the_same_task_is_read_for_itself(read, tmp_path):
    found = []
    for seed in (1, 2):
        source = ToySource(seed=seed)
        found.append(taught(share_of(TASK, source), TASK, tokenizer_of("toy-mini"), source, tmp_path)[0])
    assert len(read) == 2 * len(share_of(TASK, source).data)
    assert columns(found[0]) != columns(found[1])


def test_rows_left_out_by_rule_are_counted_again_from_the_cache(tmp_path, monkeypatch):
    source = ToySource(seed=1)
    share, tokenizer = share_of(TASK, source), tokenizer_of("toy-mini")
    whole = teaching.training_examples
    monkeypatch.setattr(
        teaching, "training_examples", lambda *given: replace(whole(*given), n_skipped=7)
    )
    assert taught(share, TASK, tokenizer, source, tmp_path).n_skipped == 7 * len(share.data)
    monkeypatch.undo()
    assert taught(share, TASK, tokenizer, source, tmp_path).n_skipped == 7 * len(share.data)


def test_examples_and_features_that_are_gone_are_made_again_and_are_the_same(read, tmp_path):
    source = ToySource(seed=1)
    share, tokenizer = share_of(TASK, source), tokenizer_of("toy-mini")
    expected, n_read = columns(taught(share, TASK, tokenizer, source, tmp_path)[0]), len(read)
    for gone, times in (("examples-*", 2), ("*", 3)):
        for path in tmp_path.glob(gone):
            shutil.rmtree(path)
        assert columns(taught(share, TASK, tokenizer, source, tmp_path)[0]) == expected
        assert len(read) == times * n_read


def test_a_damaged_count_is_refused_with_the_folder_to_remove(tmp_path):
    source = ToySource(seed=1)
    share, tokenizer = share_of(TASK, source), tokenizer_of("toy-mini")
    taught(share, TASK, tokenizer, source, tmp_path)
    (folder,) = tmp_path.glob("examples-*")
    (folder / "counts.json").write_text("{")
    with pytest.raises(StoreError, match=f"remove.*{folder.name}|{folder.name}.*remove"):
        taught(share, TASK, tokenizer, source, tmp_path)


def test_data_of_another_revision_than_planned_is_refused(tmp_path):
    source = ToySource(seed=1)
    share = share_of(TASK, source)
    other = replace(share, data=(replace(share.data[0], revision="gone"), *share.data[1:]))
    with pytest.raises(MalformedDataError, match="gone"):
        taught(other, TASK, tokenizer_of("toy-mini"), source, tmp_path)
