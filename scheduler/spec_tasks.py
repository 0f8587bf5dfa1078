"""A study's own tasks: ``custom_tasks`` of the budget spec.

custom_tasks:
  - name: sindhi_pos
    family: tokens
    files:
      train: {en: data/en_ewt-train.conllu}
      search: {sd: data/sd_mazhar-dev.conllu}
      report: {sd: data/sd_mazhar-test.conllu}
    labels: upos
  - name: tydiqa_sw              # a catalogue task, narrowed
    like: tydiqa
    languages: [sw]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from budgets.spec import SpecModel, Whole
from trainers.tasks.spec import FamilyName, Metric

TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Part = Literal["train", "search", "report", "pool"]
Paths = str | tuple[str, ...]


class CustomHubSpec(SpecModel):
    """Where a task of the study's own lies on the hub, or in a mirror laid out like it.

    Attributes:
        repo: ``org/name``.
        revision: commit; a mirror needs none.
        config: configuration name, in which ``{language}`` stands for the language.
        splits: the split's name there, by what it is for.
    """

    repo: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    config: str = "default"
    splits: Mapping[Part, str]


class CustomTaskSpec(SpecModel):
    """A task from the spec alone.

    Attributes:
        name: unlike that of any other task.
        like: a task whose settings hold where none are given here.
        family: its shape of prediction.
        files: by what they are for, then by language.
        hub: where it lies on the hub, in place of ``files``.
        format: of the files, where their ending does not say.
        header: column names of csv and tsv files that have no header line.
        columns: canonical column -> column of the data.
        labels: in the order of the data's label ids.
        languages: those it has on the hub; with ``like`` alone, those that are kept.
        metric: the family's own where it is not given.
        max_length: tokens per sequence.
        group: for the group means of the report.
        after: a task that is trained before this one when it is a target; "" for none.
    """

    name: TaskName
    like: str | None = None
    family: FamilyName | None = None
    files: Mapping[Part, Mapping[str, Paths]] = Field(default_factory=dict)
    hub: CustomHubSpec | None = None
    format: Literal["parquet", "csv", "tsv", "jsonl", "conllu"] | None = None
    header: tuple[str, ...] = ()
    columns: Mapping[str, str] = Field(default_factory=dict)
    labels: tuple[str, ...] | str | None = None
    languages: tuple[str, ...] | None = None
    metric: Metric | None = None
    max_length: Annotated[Whole, Field(ge=16)] | None = None
    group: str | None = None
    after: str | None = None
    licence: str = ""
    paper: str = ""
