"""Intermediate tasks in languages that the catalogue does not have: translations of the user's own.

Two places are read. ``configs``: a configuration for each language, ``<config>.<language>``, beside
the English one; where configurations are named by language already, the one so named. ``column``: the
column ``translations`` of the English file (``trainers/tasks/translations.py``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainers.tasks.catalog import Catalogue
from trainers.tasks.spec import FamilyName, FileData, HubData, Split, TaskSpec

if TYPE_CHECKING:
    from scheduler.spec_parts import IntermediateSpec

COLUMN = "translations"


def with_translations(catalogue: Catalogue, part: IntermediateSpec) -> Catalogue:
    """The catalogue whose intermediate tasks have all the languages that a study trains them in.

    What they had stays first: a target that is the same task is trained on English as before.
    """
    wider = {name: _wider(task, part) for name, task in catalogue.items() if name in part.tasks}
    return Catalogue({**catalogue, **wider}.values())


def _wider(task: TaskSpec, part: IntermediateSpec) -> TaskSpec:
    """The task with a place for each language that it does not have."""
    missing = tuple(code for code in part.all_languages if code not in task.train_languages)
    if not missing or not task.train or task.family is FamilyName.MASKED:
        return task
    first, splits = task.train_languages[0], list[Split]()
    for split in task.train:
        if first not in split.languages:
            splits.append(split)
        elif part.translations == "column":
            splits += [split, _in_column(split, first, missing)]
        elif isinstance(split.data, HubData):
            splits += _with_configs(split, split.data, first, missing)
        else:
            splits.append(split)  # files by language: a problem of the spec
    return replace(task, train=tuple(splits))


def _with_configs(
    split: Split, data: HubData, first: str, languages: tuple[str, ...]
) -> tuple[Split, ...]:
    """The split with a configuration for each of ``languages``.

    One that a column divides by language keeps to its file, and what is beside that is its own split.
    """
    rows = dict.fromkeys(languages, split.published_rows(first))
    if "{language}" in data.config:
        named = data
    else:
        names = dict.fromkeys(split.languages, data.config)
        names |= {code: f"{data.config}.{code}" for code in languages}
        named = replace(data, config="{language}", config_names=names)
    if split.language_field:
        beside = replace(split, data=named, languages=languages, rows_in=rows, language_field=())
        return split, beside
    languages = (*split.languages, *languages)
    return (replace(split, data=named, languages=languages, rows_in={**split.rows_in, **rows}),)


def _in_column(split: Split, first: str, languages: tuple[str, ...]) -> Split:
    """The file of ``first``, and its rows, for each of ``languages``."""
    data: HubData | FileData
    if isinstance(split.data, HubData):
        data = replace(split.data, config=split.data.config_for(first))
    else:
        data = replace(split.data, files=dict.fromkeys(languages, split.data.files[first]))
    called = split.language_names.get(first, first)
    return replace(
        split,
        data=data,
        languages=languages,
        n_rows=split.published_rows(first),
        rows_in={},
        language_names=dict.fromkeys(languages, called),
        translations=COLUMN,
    )
