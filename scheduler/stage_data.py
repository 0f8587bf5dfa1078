"""What data the stages of a study read, by identity: to train a mix or a target, and to score cells."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.readings import UNKNOWN_ROWS
from scheduler.spec import StudySpec
from scheduler.workload import is_tuned
from trainers.stage import Half
from trainers.tasks.source import DataIdentity, Source
from trainers.tasks.spec import Split, TaskSpec


class StageData:
    """The identities of a study's data."""

    def __init__(self, spec: StudySpec, source: Source) -> None:
        self._spec = spec
        self._source = source
        self._identities: dict[tuple[str, str], DataIdentity] = {}

    def identity(self, split: Split, language: str) -> DataIdentity:
        """The identity of a split, asked of the source once: a mirror reads a file's footer."""
        key = (split.place(language), language)
        if key not in self._identities:
            self._identities[key] = self._source.identity(split, language)
        return self._identities[key]

    def mixed(self, name: str, variant: str) -> tuple[DataIdentity, ...]:
        """What a task is trained on as part of a mix, under a variant of the languages."""
        return self.trained(self._spec.catalogue[name], self._spec.mixed_languages(name, variant))

    def size(self, name: str, variant: str) -> float:
        """What a mixing rule goes by: the weight given to a task, or its training examples."""
        mixing = self._spec.intermediate.mixing
        if mixing.rule == "weights":
            return mixing.weights.get(name, 1.0)  # of masked text alone, which needs none
        return sum(data.n_rows or UNKNOWN_ROWS for data in self.mixed(name, variant))

    def trained(self, task: TaskSpec, languages: Sequence[str]) -> tuple[DataIdentity, ...]:
        """What a task is trained on in ``languages``."""
        return tuple(
            self.identity(split, language)
            for split in task.train
            for language in split.languages
            if language in languages
        )

    def scored(self, task: TaskSpec, languages: tuple[str, ...], half: Half) -> tuple[DataIdentity, ...]:
        """What cells are scored on, and the pool that their candidates come from."""
        splits = task.search if half is Half.SEARCH else task.report
        if is_tuned(task, half):
            splits = (*task.search, *task.report)
        scored = (
            self.identity(split, language)
            for language in languages
            for split in splits
            if language in split.languages
        )
        pool = (self.identity(split, language) for split in task.pool for language in split.languages)
        return tuple(dict.fromkeys((*scored, *pool)))

    def most(self, half: Half) -> int | None:
        """Examples of a cell that are scored at most."""
        return (self._spec.target if half is Half.SEARCH else self._spec.final).max_examples
