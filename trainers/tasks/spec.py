"""What a task is: one literal of data, columns, labels, splits and metric.

What differs between tasks in *behaviour* is their family; languages are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trainers.fingerprint import fingerprint


class FamilyName(StrEnum):
    """The shapes of prediction. Each is one file in ``trainers/families``."""

    PAIR = "pair"
    CHOICE = "choice"
    SPANS = "spans"
    TOKENS = "tokens"
    RETRIEVAL = "retrieval"  # each query has one answer: Tatoeba
    RANKING = "ranking"  # queries against one pool of all languages, a dual encoder: LAReQA, Mewsli-X
    MINING = "mining"  # pairs hidden among unpaired sentences: BUCC
    MASKED = "masked"


class Metric(StrEnum):
    """Official metrics; each is a function of per-example records in ``trainers/metrics.py``."""

    ACCURACY = "accuracy"
    SPAN_F1 = "span_f1"  # seqeval's micro F1 over labelled spans
    QA_F1_EM = "qa_f1_em"  # mean of SQuAD F1 and exact match
    MLQA_F1_EM = "mlqa_f1_em"  # the same with MLQA's rules for each language
    ACCURACY_AT_1 = "accuracy_at_1"
    MAP_AT_20 = "map_at_20"  # mean average precision over the first 20 answers
    MINING_F1 = "mining_f1"  # F1 over the pairs found
    PSEUDO_PERPLEXITY = "pseudo_perplexity"


RETRIEVAL_METRICS = frozenset({Metric.ACCURACY_AT_1, Metric.MAP_AT_20, Metric.MINING_F1})


@dataclass(frozen=True, slots=True)
class HubData:
    """A data set on the hub, pinned.

    Attributes:
        repo: ``org/name``.
        revision: 40 hex digits; always pinned.
        config: configuration name; ``{language}`` is replaced through ``config_names``.
        config_names: what a language is called in ``config`` (``sw`` is ``udpos.Swahili``);
            a language that is absent is called by its ISO code.
    """

    repo: str
    revision: str
    config: str = "default"
    config_names: Mapping[str, str] = field(default_factory=dict)

    def config_for(self, language: str) -> str:
        """The configuration that holds ``language``."""
        return self.config.format(language=self.config_names.get(language, language))

    def place(self, split: str, language: str) -> str:
        """``org/dataset/config/split``."""
        return f"{self.repo}/{self.config_for(language)}/{split}"


@dataclass(frozen=True, slots=True)
class FileData:
    """Files of the user's own, one or more per language.

    Attributes:
        name: of the data set in records, for instance the task's name.
        files: absolute paths by language.
        format: ``parquet``, ``csv``, ``tsv``, ``jsonl`` or ``conllu``; empty to go by the file's ending.
        header: for csv and tsv, the names of the columns of a file that has no header line; empty
            where its first line is one.
    """

    name: str
    files: Mapping[str, tuple[str, ...]]
    format: str = ""
    header: tuple[str, ...] = ()

    def place(self, split: str, language: str) -> str:
        """``files/name/language/split``: never where the files lie."""
        return f"files/{self.name}/{language}/{split}"


@dataclass(frozen=True, slots=True)
class Split:
    """One split of one data set, and the languages it has.

    Attributes:
        data: where it lies.
        name: the split's name there (``train``, ``validation``, …).
        languages: ISO codes.
        n_rows: published rows per language, 0 where unknown: what ``plan`` uses without data.
        rows_in: published rows of languages that have another number than ``n_rows``.
        language_field: column and pattern by which one file that mixes languages is filtered,
            for instance ``("language", "{language}")`` or ``("id", "{name}-*")``; empty when
            each configuration holds one language.
        language_names: what a language is called in ``language_field`` (``sw`` is ``swahili``).
        layout: how rows become canonical examples: ``columns`` by ``TaskSpec.columns``, or a reader of
            ``trainers/tasks/layouts.py``.
        translations: column of the file that holds the rows of ``languages``, a struct with a field per
            language (``trainers/tasks/translations.py``); empty where they are the file's own rows.
    """

    data: HubData | FileData
    name: str
    languages: tuple[str, ...]
    n_rows: int = 0
    rows_in: Mapping[str, int] = field(default_factory=dict)
    language_field: tuple[str, str] | tuple[()] = ()
    language_names: Mapping[str, str] = field(default_factory=dict)
    layout: str = "columns"
    translations: str = ""

    def place(self, language: str) -> str:
        """The name of its data in records: ``org/dataset/config/split``."""
        return self.data.place(self.name, language)

    def published_rows(self, language: str) -> int:
        """Rows in ``language`` as published, 0 where unknown."""
        return self.rows_in.get(language, self.n_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """One task.

    Attributes:
        name: unique, lower case.
        family: its shape of prediction.
        columns: canonical column (see ``trainers/tasks/examples.py``) -> column of the data.
        labels: label names in the order of the data's label ids; empty for spans, retrieval
            and masked text.
        train: split(s) it is trained on, in order; empty when it is never trained (retrieval).
        search: split(s) that score it while searching.
        report: split(s) that score it in the report; where they are the search splits, each
            example belongs to one half by the hash of its id, so the two never share one.
        pool: for ranking, the split(s) whose rows in all their languages are the candidates of every
            cell; empty for other families.
        after: name of a task that is trained before this one, on the same encoder, when this one is a
            target (XCOPA is trained on SIQA, then on COPA); empty for none.
        metric: official metric.
        max_length: tokens per sequence.
        group: XTREME's group: ``pair``, ``structured``, ``qa``, ``retrieval``; or ``intermediate``.
        licence: of the data.
        paper: where it comes from.
        world: ``hub`` for real data (hub and mirror sources), ``toy`` for the generated world.
    """

    name: str
    family: FamilyName
    columns: Mapping[str, str]
    labels: tuple[str, ...] = ()
    train: tuple[Split, ...] = ()
    search: tuple[Split, ...] = ()
    report: tuple[Split, ...] = ()
    pool: tuple[Split, ...] = ()
    after: str = ""
    metric: Metric
    max_length: int = 128
    group: str
    licence: str
    paper: str
    world: str = "hub"

    @property
    def score_languages(self) -> tuple[str, ...]:
        """Languages that can be scored in both the search and the report."""
        report = {language for split in self.report for language in split.languages}
        search = [language for split in self.search for language in split.languages]
        return tuple(dict.fromkeys(language for language in search if language in report))

    @property
    def train_languages(self) -> tuple[str, ...]:
        """Languages that there is training data in; the first is the one targets are trained on."""
        return tuple(dict.fromkeys(language for split in self.train for language in split.languages))

    def halved(self, language: str) -> bool:
        """Whether search and report share a split in ``language``, so that each has half of it."""
        return any(split in self.report for split in self.search if language in split.languages)

    @property
    def definition(self) -> str:
        """The hash of all that decides what an example, its loss and its score are.

        Where the data lies and which languages are read is not in it: a stage names its data itself.
        """
        layouts = [
            [split.layout for split in splits if not split.translations]
            for splits in (self.train, self.search, self.report)
        ]
        return fingerprint(
            {
                "family": self.family,
                "columns": self.columns,
                "labels": self.labels,
                "layouts": layouts,
                "metric": self.metric,
                "max_length": self.max_length,
            }
        )
