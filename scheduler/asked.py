"""What a study asks for: its languages, its cells, and the languages that a mix is trained in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.tasks.catalog import benchmark
from trainers.tasks.languages import LANGUAGES, low_resource
from trainers.tasks.spec import FamilyName
from trainers.tasks.toy.languages import LANGUAGES as TOY_LANGUAGES

if TYPE_CHECKING:
    from scheduler.spec import StudySpec


def known_languages(world: str) -> tuple[str, ...]:
    """Every language of a world, ``hub`` or ``toy``, in the order of its table."""
    return tuple(TOY_LANGUAGES if world == "toy" else LANGUAGES)


def asked_languages(spec: StudySpec) -> tuple[str, ...]:
    """Languages by list or by definition, whether or not a task has them.

    Raises:
        TaskError: no such definition of low-resource, or no such language in it.
    """
    languages = spec.target.languages
    if languages == "all":
        return tuple(dict.fromkeys((*known_languages(spec.world), *_off_the_table(spec))))
    if isinstance(languages, tuple):
        return languages
    return _low_resource(spec, languages.low_resource)


def _low_resource(spec: StudySpec, definition: str | tuple[str, ...]) -> tuple[str, ...]:
    """The languages that a definition means; only a list can name one that the table does not have."""
    if isinstance(definition, str):
        return low_resource(definition, spec.world)
    off = _off_the_table(spec)
    low_resource([code for code in definition if code not in off], spec.world)
    return tuple(dict.fromkeys(definition))


def _off_the_table(spec: StudySpec) -> tuple[str, ...]:
    """Languages of the target tasks that are not in the table; tasks of the user's own may have some."""
    known = known_languages(spec.world)
    tasks = [spec.catalogue[name] for name in spec.target.tasks if name in spec.catalogue]
    return tuple(code for task in tasks for code in task.score_languages if code not in known)


def languages_of(spec: StudySpec) -> tuple[str, ...]:
    """The languages a study asks for that at least one of its target tasks can score."""
    scored = {code for _, codes in cells_of(spec) for code in codes}
    return tuple(code for code in asked_languages(spec) if code in scored)


def cells_of(spec: StudySpec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Target tasks with the asked languages each is scored in."""
    asked, skipped = asked_languages(spec), set(spec.target.skip)
    return tuple(
        (task, tuple(code for code in asked if code in codes and f"{task}/{code}" not in skipped))
        for task in spec.target.tasks
        for codes in [scorable_languages(spec, task)]
    )


def scorable_languages(spec: StudySpec, name: str) -> tuple[str, ...]:
    """Languages a target task can be scored in: of a benchmark's task, those the benchmark counts."""
    task = spec.catalogue.get(name)
    if task is None:
        return ()  # of a plug-in that is gone, in an old study; a new one is refused
    counted = benchmark(spec.target.benchmark).cells.get(name, task.score_languages)
    return tuple(code for code in task.score_languages if code in counted)


def mixed_languages_of(spec: StudySpec, name: str, variant: str | None) -> tuple[str, ...]:
    """Languages an intermediate task is trained in, under a variant; None for all of them."""
    task, part = spec.catalogue[name], spec.intermediate
    if task.family is FamilyName.MASKED:
        return part.text_languages or task.train_languages
    languages = part.all_languages if variant is None else part.variants[variant]
    return languages or task.train_languages[:1]


def low_resource_of(spec: StudySpec) -> frozenset[str]:
    """Languages that are low-resource by the study's definition, by ``default`` where it has none.

    Raises:
        TaskError: no such definition.
    """
    languages = spec.target.languages
    named = "default" if isinstance(languages, tuple | str) else languages.low_resource
    return frozenset(_low_resource(spec, named))
