"""The toy world as a source: the same rows every time, canonical, and apart between splits."""

import hashlib
import json

import pytest

from trainers.errors import MissingDataError
from trainers.tasks.examples import CANONICAL
from trainers.tasks.spec import FamilyName
from trainers.tasks.toy.catalog import TOY_TASKS, TOY_VERSION
from trainers.tasks.toy.languages import LANGUAGES, LOW_RESOURCE, RICH
from trainers.tasks.toy.source import ToySource

BY_NAME = {task.name: task for task in TOY_TASKS}


def test_every_split_has_the_rows_and_the_columns_it_promises():
    source = ToySource(3)
    for task in TOY_TASKS:
        for split in (*task.train, *task.search, *task.report):
            language = split.languages[-1]
            rows = source.rows(split, language)
            assert tuple(rows.column_names) == CANONICAL[task.family]
            assert len(rows) == split.n_rows == source.identity(split, language).n_rows
            assert len(set(rows["id"])) == len(rows)


def test_rows_are_the_same_every_time_and_differ_between_seeds():
    split = BY_NAME["toy_xnli"].search[0]
    again = ToySource(1).rows(split, "qda").to_list()
    assert ToySource(1).rows(split, "qda").to_list() == again
    assert ToySource(2).rows(split, "qda").to_list() != again
    assert ToySource(1).identity(split, "qda") != ToySource(2).identity(split, "qda")


def test_rows_change_only_with_the_version_in_their_identity():
    texts = next(split for split in BY_NAME["toy_text"].train if split.languages == ("qhu",))
    searches = [task.search[0] for task in TOY_TASKS]
    source, digest = ToySource(1), hashlib.sha256()
    for split in (texts, *searches):
        for language in split.languages:
            rows = source.rows(split, language).to_list()
            digest.update(json.dumps(rows, sort_keys=True).encode())
    assert (TOY_VERSION, digest.hexdigest()[:16]) == (5, "226b26589b7298e2")


def test_labels_and_tags_are_within_the_task_labels():
    for task in TOY_TASKS:
        rows = ToySource(1).rows(task.search[0], task.search[0].languages[0])
        if task.family in (FamilyName.PAIR, FamilyName.CHOICE):
            assert set(rows["label"]) == set(range(len(task.labels)))
        if task.family is FamilyName.TOKENS:
            assert {tag for tags in rows["tags"] for tag in tags} <= set(range(len(task.labels)))
            assert all(len(row["tokens"]) == len(row["tags"]) for row in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_lies_where_it_is_said_to_lie(language):
    for row in ToySource(1).rows(BY_NAME["toy_xqa"].search[0], language):
        (answer,), (start,) = row["answers"], row["starts"]
        assert answer
        assert row["context"][start : start + len(answer)] == answer


def test_what_scores_is_not_what_trains_and_search_is_not_report():
    source = ToySource(1)
    for name in ("toy_xnli", "toy_xqa"):
        task = BY_NAME[name]
        parts = [
            {str([value for key, value in row.items() if key != "id"]) for row in source.rows(s, RICH)}
            for s in (*task.train, *task.search, *task.report)
        ]
        assert all(not a & b for i, a in enumerate(parts) for b in parts[:i])


def test_targets_are_trained_in_the_rich_language_alone_and_scored_in_every_poor_one():
    targets = [task for task in TOY_TASKS if task.group != "intermediate"]
    assert len(targets) == 5
    for task in targets:
        assert all(split.languages == (RICH,) for split in task.train)
        assert set(LOW_RESOURCE) <= set(task.score_languages)


def test_a_language_the_world_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(MissingDataError, match="qau, qbe"):
        ToySource(1).rows(BY_NAME["toy_pos"].search[0], "sw")
