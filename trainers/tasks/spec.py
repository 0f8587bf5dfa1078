"""What a task is: one literal of data, columns, labels, splits and metric.

What differs between tasks in *behaviour* is their family; languages are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FamilyName(StrEnum):
    """The shapes of prediction. Each is one file in ``trainers/families``."""

    PAIR = "pair"
    CHOICE = "choice"
    SPANS = "spans"
    TOKENS = "tokens"
    RETRIEVAL = "retrieval"
    MASKED = "masked"


class Metric(StrEnum):
    """Official metrics; each is a function of per-example records in ``trainers/metrics.py``."""

    ACCURACY = "accuracy"
    SPAN_F1 = "span_f1"  # seqeval's micro F1 over labelled spans
    QA_F1_EM = "qa_f1_em"  # mean of SQuAD F1 and exact match
    ACCURACY_AT_1 = "accuracy_at_1"
    PSEUDO_PERPLEXITY = "pseudo_perplexity"


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


@dataclass(frozen=True, slots=True)
class Split:
    """One split of one data set, and the languages it has.

    Attributes:
        data: where it lies.
        name: the split's name there (``train``, ``validation``, …).
        languages: ISO codes.
        n_rows: published rows per language, 0 where unknown: what ``plan`` uses without data.
        language_field: column and pattern by which one file that mixes languages is filtered,
            for instance ``("language", "{language}")`` or ``("id", "{name}-*")``; empty when
            each configuration holds one language.
        language_names: what a language is called in ``language_field`` (``sw`` is ``swahili``).
    """

    data: HubData
    name: str
    languages: tuple[str, ...]
    n_rows: int = 0
    language_field: tuple[str, str] | tuple[()] = ()
    language_names: Mapping[str, str] = field(default_factory=dict)


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
