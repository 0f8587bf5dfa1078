"""The toy world as a source: rows are made when asked for, the same ones every time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from trainers.fingerprint import fingerprint
from trainers.tasks.hub import published
from trainers.tasks.source import DataIdentity
from trainers.tasks.toy.catalog import TOY_VERSION
from trainers.tasks.toy.languages import LANGUAGES

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.tasks.spec import Split


class ToySource:
    """Rows of the toy world.

    Args:
        seed: draws the examples; the languages and the world itself never change with it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def identity(self, split: Split, language: str) -> DataIdentity:
        """Task, language, split, version, seed and size; nothing is generated."""
        revision = f"toy-{TOY_VERSION}-{self._seed}"
        return DataIdentity(_name(split, language), revision, self._n_rows(split, language))

    def rows(self, split: Split, language: str) -> Dataset:
        """The rows of a split in one language, in canonical columns."""
        import pyarrow as pa
        from datasets import Dataset

        from trainers.tasks.toy.tasks import MAKERS, Teller, parallel

        task = published(split).repo.removeprefix("toy/")
        n_rows = self._n_rows(split, language)
        rng = Random(f"{TOY_VERSION}/{self._seed}/{_name(split, language)}")
        teller, maker = Teller.of(language), MAKERS[task]
        n_parallel = LANGUAGES[language].n_parallel if (task, split.name) == ("toy_text", "train") else 0
        rows = [
            {"id": f"{task}-{split.name}-{language}-{index}"}
            | (parallel if index < n_parallel else maker)(teller, rng)
            for index in range(n_rows)
        ]
        return Dataset(
            pa.Table.from_pylist(rows), fingerprint=fingerprint(self.identity(split, language))
        )

    def _n_rows(self, split: Split, language: str) -> int:
        from trainers.errors import MissingDataError

        if not published(split).repo.startswith("toy/") or language not in split.languages:
            raise MissingDataError(
                f"the toy world has no {published(split).repo} {split.name} in {language!r}: it has "
                f"{', '.join(split.languages)}. Choose one of these, or another data source."
            )
        return split.n_rows


def _name(split: Split, language: str) -> str:
    return split.place(language)
