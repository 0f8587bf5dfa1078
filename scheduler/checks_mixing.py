"""What a budget spec must mean by its mixing and by the languages that a mix is trained in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scheduler.asked import known_languages
from trainers.errors import nearest
from trainers.tasks.spec import FamilyName, FileData

if TYPE_CHECKING:
    from scheduler.spec import StudySpec

_LEAST_RATE = 1e-6  # rates have six digits
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")
_USED = {"temperature": ("cap", "temperature"), "capped": ("cap",)}  # by rule; others use neither


def mixing_problems(spec: StudySpec) -> Iterator[str]:
    """Everything about ``intermediate.mixing`` and its languages that cannot be carried out."""
    yield from _ranges(spec)
    yield from _weights(spec)
    yield from _text(spec)
    yield from _languages(spec)
    yield from _translations(spec)


def _masked(spec: StudySpec) -> list[str]:
    """The masked tasks among the intermediate ones."""
    return [
        name
        for name in spec.intermediate.tasks
        if name in spec.catalogue and spec.catalogue[name].family is FamilyName.MASKED
    ]


def _ranges(spec: StudySpec) -> Iterator[str]:
    mixing = spec.intermediate.mixing
    given = {"cap": mixing.cap, "temperature": mixing.temperature, "text": mixing.text}
    for key, value in given.items():
        if value is not None and value[0] > value[1]:
            low, high = value
            yield f"intermediate.mixing.{key}: [{low}, {high}] goes down; write the lower end first"
    usual = type(mixing)()
    for key in ("cap", "temperature"):
        if given[key] != getattr(usual, key) and key not in _USED.get(mixing.rule, ()):
            rules = ", ".join(rule for rule, used in _USED.items() if key in used)
            yield (
                f"intermediate.mixing.{key}: the rule {mixing.rule!r} does not use it; remove the key, "
                f"or choose a rule that does ({rules})"
            )


def _weights(spec: StudySpec) -> Iterator[str]:
    part = spec.intermediate
    path, weights = "intermediate.mixing.weights", part.mixing.weights
    if part.mixing.rule != "weights":
        if weights:
            yield f"{path}: the rule is {part.mixing.rule!r}; remove them, or write rule: weights"
        return
    if weights and min(weights.values()) < _LEAST_RATE * sum(weights.values()):
        least = min(weights, key=lambda name: weights[name])
        yield (
            f"{path}.{least}: {weights[least]:g} of {sum(weights.values()):g} is less than a millionth: "
            f"the task would never be drawn; leave it out, or give it more"
        )
    masked = _masked(spec)
    alone = masked if part.mixing.text is not None and len(masked) == 1 else []
    for name in part.tasks:
        if name not in weights and name not in alone:
            yield f"{path}.{name}: is missing; the rule 'weights' needs one for every intermediate task"
    for name in weights:
        if name not in part.tasks:
            yield f"{path}.{name}: not among intermediate.tasks. {nearest(name, part.tasks)}"
        elif name in alone:
            yield f"{path}.{name}: its share is given by intermediate.mixing.text; remove one of the two"


def _text(spec: StudySpec) -> Iterator[str]:
    part, masked = spec.intermediate, _masked(spec)
    if part.mixing.text is not None and part.mixing.text[0] < _LEAST_RATE:
        yield (
            f"intermediate.mixing.text: {part.mixing.text[0]:g} is less than a millionth: text would "
            f"never be drawn; write more"
        )
    if part.mixing.text is not None and (not masked or len(masked) == len(part.tasks)):
        what = "no other task than masked text" if masked else "no masked text"
        yield (
            f"intermediate.mixing.text: intermediate.tasks lists {what}, so there is nothing to share; "
            f"remove the key"
        )


def _languages(spec: StudySpec) -> Iterator[str]:
    part, masked = spec.intermediate, _masked(spec)
    spoken = {f"languages.{name}" if name else "languages": v for name, v in part.variants.items()}
    for key, codes in {**spoken, "text_languages": part.text_languages}.items():
        for i, code in enumerate(codes):
            path = f"intermediate.{key}.{i}"
            if code in codes[:i]:
                yield f"{path}: language {code!r} is listed twice"
            elif spec.world == "toy" and code not in known_languages("toy"):
                yield f"{path}: unknown language {code!r}. {nearest(code, known_languages('toy'))}"
            elif spec.world == "hub" and not _CODE.fullmatch(code):
                yield f"{path}: {code!r} is no language code; write one as in ISO 639, for instance sw"
    if part.all_languages and len(masked) == len(part.tasks):
        yield "intermediate.languages: every task is masked text; write text_languages"
    if part.text_languages and not masked:
        yield "intermediate.text_languages: no masked text is among intermediate.tasks; remove the key"
    for name in masked:
        had = spec.catalogue[name].train_languages
        for i, code in enumerate(part.text_languages):
            if code not in had:
                yield (
                    f"intermediate.text_languages.{i}: task {name!r} has no text in {code!r}. "
                    f"{nearest(code, had)}"
                )


def _translations(spec: StudySpec) -> Iterator[str]:
    """Problems of languages that a task gets from the user's own translations."""
    part = spec.intermediate
    column = part.translations == "column"
    if column and not part.all_languages:
        yield "intermediate.translations: no intermediate.languages are listed; remove the key"
    elif column and spec.world == "toy":
        yield (
            "intermediate.translations: the toy world tells its tasks in every language of its own; "
            "remove the key"
        )
    for name in part.tasks:
        task = spec.catalogue.get(name)
        if column or task is None or not task.train or task.family is FamilyName.MASKED:
            continue
        lacking = [code for code in part.all_languages if code not in task.train_languages]
        if lacking and any(isinstance(split.data, FileData) for split in task.train):
            yield (
                f"intermediate.languages: task {name!r} has no file in {', '.join(lacking)}; add one to "
                f"files.train of the task, or a column to its file and translations: column"
            )
