"""A study's own tasks: ``custom_tasks`` of the budget spec.

custom_tasks:
  - name: sindhi_pos             # from files alone
    family: tokens
    files:
      train: {en: data/en_ewt-train.conllu}
      search: {sd: data/sd_mazhar-dev.conllu}
      report: {sd: data/sd_mazhar-test.conllu}
    labels: upos
  - name: tydiqa_sw              # a catalogue task, narrowed
    like: tydiqa
    languages: [sw]

``scheduler/own_tasks.py`` makes tasks of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from budgets.spec import SpecModel, Whole
from trainers.tasks.spec import FamilyName, Metric

TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")]
Codes = Annotated[tuple[Code, ...], Field(min_length=1)]
Part = Literal["train", "search", "report", "pool"]
Path = Annotated[str, Field(min_length=1)]
Paths = Path | Annotated[tuple[Path, ...], Field(min_length=1)]
Labels = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]


class CustomHubSpec(SpecModel):
    """Where a task of the study's own lies on the hub, or in a mirror laid out like it.

    Attributes:
        repo: ``org/name``.
        revision: commit; a mirror needs none.
        config: configuration name, in which ``{language}`` stands for the language.
        splits: the split's name there, by what it is for.
        languages: that it has, or that each part has; the first of ``train`` is what a target is
            trained on.
        language_names: what a language is called in ``config`` and in ``language_column``, where it is
            not by its code.
        language_column: tells the rows of several languages in one file apart.
    """

    repo: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    config: str = "default"
    splits: Annotated[Mapping[Part, str], Field(min_length=1)]
    languages: Codes | Mapping[Part, Codes]
    language_names: Mapping[Code, str] = Field(default_factory=dict)
    language_column: str | None = None


class CustomTaskSpec(SpecModel):
    """A task from the spec alone.

    Attributes:
        name: unlike that of any other task.
        like: a task whose settings and data hold where none are given here.
        family: its shape of prediction.
        files: by what they are for, then by language; relative to the current directory.
        hub: where it lies on the hub, in place of ``files`` or for the parts that they lack.
        format: of the files, where their ending does not say.
        header: column names of csv and tsv files that have no header line.
        columns: canonical column (``trainers/tasks/examples.py``) -> column of the data; the same name
            where it is not given.
        labels: in the order of the data's label ids; ``upos`` for the 17 universal parts of speech.
        languages: with ``like``, those that are kept.
        pool_languages: with ``like`` a ranking task, those whose candidates are looked through; fewer
            make the task easier, so scores compare only where these are the same.
        metric: the family's own where it is not given.
        max_length: tokens per sequence.
        group: for the group means of the report.
        after: a task that is trained before this one when it is a target; "" for none.
        licence: of the data.
        paper: where it comes from.
    """

    name: TaskName
    like: str | None = None
    family: FamilyName | None = None
    files: Mapping[Part, Annotated[Mapping[Code, Paths], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    hub: CustomHubSpec | None = None
    format: Literal["parquet", "csv", "tsv", "jsonl", "conllu"] | None = None
    header: tuple[str, ...] = ()
    columns: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    labels: Labels | Literal["upos"] | None = None
    languages: Codes | None = None
    pool_languages: Codes | None = None
    metric: Metric | None = None
    max_length: Annotated[Whole, Field(ge=16)] | None = None
    group: TaskName | None = None
    after: str | None = None
    licence: str = ""
    paper: str = ""
