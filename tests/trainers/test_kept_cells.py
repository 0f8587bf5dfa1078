"""Cells that were scored before are not read again."""

from __future__ import annotations

from collections import Counter

import pytest

from trainers.cells import Cells
from trainers.errors import UnknownLanguageError
from trainers.stage import Half
from trainers.tasks.canonical import cell_examples
from trainers.tasks.source import DataIdentity
from trainers.tasks.toy.catalog import TOY_TASKS
from trainers.tasks.toy.source import ToySource

TASK = next(task for task in TOY_TASKS if task.name == "toy_xnli")
FIRST, SECOND = TASK.score_languages[:2]
DATA = (DataIdentity("toy", "a", 10),)


class CountingSource:
    """The toy world, with what was read of it."""

    def __init__(self):
        self._world = ToySource(seed=1)
        self.n_read = Counter()

    def identity(self, split, language):
        return self._world.identity(split, language)

    def rows(self, split, language):
        self.n_read[language] += 1
        return self._world.rows(split, language)


@pytest.mark.parametrize("most", [None, 8])
@pytest.mark.parametrize("half", Half)
def test_a_cell_is_what_it_is_without_being_kept_and_has_its_name(half, most):
    kept = Cells(ToySource(seed=1)).examples(TASK, FIRST, half, most, DATA)
    cell = cell_examples(TASK, FIRST, half, ToySource(seed=1), most)
    assert kept[:] == cell[:]
    assert kept._fingerprint == cell._fingerprint


def test_a_cell_is_read_once_while_its_data_is_the_same():
    source = CountingSource()
    cells = Cells(source)
    for _ in range(3):
        cells.examples(TASK, FIRST, Half.SEARCH, 8, DATA)
    assert source.n_read == {FIRST: 1}
    cells.examples(TASK, FIRST, Half.SEARCH, 8, (DataIdentity("toy", "b", 10),))
    assert source.n_read == {FIRST: 2}


def test_halves_lengths_and_languages_are_cells_of_their_own():
    cells = Cells(ToySource(seed=1))
    search, report = (set(cells.examples(TASK, FIRST, half, None, DATA)["id"]) for half in Half)
    assert search.isdisjoint(report)
    assert len(cells.examples(TASK, FIRST, Half.SEARCH, 8, DATA)) == 8
    other = cells.examples(TASK, SECOND, Half.SEARCH, None, DATA)
    assert other[:] != cells.examples(TASK, FIRST, Half.SEARCH, None, DATA)[:]


def test_the_cell_that_was_asked_for_longest_ago_goes_when_memory_is_short():
    source = CountingSource()
    size = Cells(source).examples(TASK, FIRST, Half.SEARCH, None, DATA).data.nbytes
    source.n_read.clear()
    cells = Cells(source, most_bytes=int(1.5 * size))
    for language in (FIRST, FIRST, SECOND, SECOND, FIRST):
        cells.examples(TASK, language, Half.SEARCH, None, DATA)
    assert source.n_read == {FIRST: 2, SECOND: 1}


def test_a_language_that_the_task_lacks_is_refused_each_time():
    cells = Cells(ToySource(seed=1))
    for _ in range(2):
        with pytest.raises(UnknownLanguageError):
            cells.examples(TASK, "xx", Half.SEARCH, None, DATA)
