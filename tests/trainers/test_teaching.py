"""What a task is taught with is read once per cache and tokenizer, and found again ever after."""

import shutil

import pytest
from tiny_model import tiny_tokenizer

from trainers import teaching
from trainers.encoder import load_tokenizer
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


def columns(dataset):
    return dataset.with_format(None)[:]


def test_rows_are_read_once_for_models_with_the_same_tokenizer_and_again_for_another(read, tmp_path):
    source = ToySource(seed=1)
    share = share_of(TASK, source)
    first, left_out = taught(share, TASK, tokenizer_of("toy-mini"), source, tmp_path)
    assert (len(read), left_out) == (len(share.data), (0, 0))
    again, _ = taught(share, TASK, tokenizer_of("toy-small"), ToySource(seed=1), tmp_path)
    assert len(read) == len(share.data)
    assert columns(again) == columns(first)
    taught(share, TASK, tiny_tokenizer(), source, tmp_path)
    assert len(read) == 2 * len(share.data)


def test_other_data_of_the_same_task_is_read_for_itself(read, tmp_path):
    found = []
    for seed in (1, 2):
        source = ToySource(seed=seed)
        found.append(taught(share_of(TASK, source), TASK, tokenizer_of("toy-mini"), source, tmp_path)[0])
    assert len(read) == 2 * len(share_of(TASK, source).data)
    assert columns(found[0]) != columns(found[1])


def test_features_that_are_gone_and_notes_that_are_damaged_are_made_again(read, tmp_path):
    source = ToySource(seed=1)
    share, tokenizer = share_of(TASK, source), tokenizer_of("toy-mini")
    first, _ = taught(share, TASK, tokenizer, source, tmp_path)
    expected, n_read = columns(first), len(read)
    for damage in ("features", "notes"):
        for path in tmp_path.iterdir():
            if damage == "features" and path.is_dir():
                shutil.rmtree(path)
            if damage == "notes" and path.is_file():
                path.write_text("{")
        again, _ = taught(share, TASK, tokenizer, source, tmp_path)
        assert columns(again) == expected
    assert len(read) == 3 * n_read
