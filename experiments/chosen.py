"""The recipe that a study recommends, and the stages and data behind it.

Of a finalist's repetitions the first is taken, the one that the search itself ran: to choose among
them by their scores would be to choose on report examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.answer import Answer, Contender
from experiments.arms import ArmFindings, leading
from experiments.load import Study
from experiments.recipe import recommended
from experiments.trials import standings
from scheduler.errors import NoRunError
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    ModelRef,
    PretrainStage,
    Stage,
    TargetStage,
    TaskShare,
    parents_of,
)
from trainers.tasks.source import DataIdentity


@dataclass(frozen=True, slots=True)
class Seen:
    """Data that the chosen model was trained on, of one task in one role.

    Attributes:
        role: ``pretraining``, ``intermediate`` or ``target``.
        languages: that it was trained in.
    """

    task: str
    role: str
    languages: tuple[str, ...]
    data: tuple[DataIdentity, ...]
    licence: str
    paper: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a study recommends.

    Attributes:
        study: the arm's records.
        answer: the arm's.
        one: the control or the best mix.
        model: the encoder, as its stages name it.
        encoder: stage that left the encoder before any target, None for the published model.
        targets: target task -> stage that fine-tuned on it; a retrieval task has none.
        seen: all data it was trained on here, in the order of training.
    """

    study: Study
    answer: Answer
    one: Contender
    model: ModelRef
    encoder: str | None
    targets: Mapping[str, str]
    seen: tuple[Seen, ...]


def chosen_of(findings: Sequence[ArmFindings]) -> Chosen:
    """The recommended recipe of the leading arm.

    Raises:
        NoRunError: nothing is recommended yet.
    """
    lead = leading(findings)
    one = recommended(lead.answer)
    if one is None:
        raise NoRunError(
            f"{lead.study.spec.name} recommends no recipe yet: the control and one mix have to be "
            "scored on every target task first. Go on with `interlude run`."
        )
    return chosen(lead.study, lead.answer, one)


def chosen(study: Study, answer: Answer, one: Contender) -> Chosen:
    """The stages and data behind a contender.

    Raises:
        NoRunError: the journal does not have its evaluations.
    """
    evaluations = _evaluations(study, one)
    stages = {name: study.state.stages[name].config for name in _way(study, evaluations)}
    targets = {
        stage.task: stage.parent
        for stage in evaluations
        if stage.parent is not None and isinstance(stages.get(stage.parent), TargetStage)
    }
    below = [name for name, stage in stages.items() if not isinstance(stage, TargetStage)]
    model = next((stages[name].model for name in targets.values()), evaluations[0].model)
    return Chosen(
        study, answer, one, model, _top(stages, below), targets, tuple(_seen(study, one, stages))
    )


def _evaluations(study: Study, one: Contender) -> list[EvaluateStage]:
    """The evaluations of the run that the search made of it."""
    for standing in standings(study, Half.SEARCH):
        if standing.trial.name == one.trial.name and standing.rung == one.rung:
            configs = [study.state.stages[name].config for name in standing.stages]
            return [config for config in configs if isinstance(config, EvaluateStage)]
    raise NoRunError(
        f"the journal of {study.spec.name} has no complete evaluation of {one.trial.name} at rung "
        f"{one.rung}, so its stages are not known. Run the study again."
    )


def _way(study: Study, evaluations: Sequence[Stage]) -> list[str]:
    """Every stage under the evaluations, parents first, each once."""
    found: dict[str, None] = {}

    def visit(stage: Stage) -> None:
        for name in parents_of(stage):
            if name not in found and name in study.state.stages:
                visit(study.state.stages[name].config)
                found[name] = None

    for evaluation in evaluations:
        visit(evaluation)
    return list(found)


def _top(stages: Mapping[str, Stage], names: Sequence[str]) -> str | None:
    """The intermediate stage with most tokens, else the pretrain stage, else none."""

    def height(name: str) -> tuple[bool, int]:
        stage = stages[name]
        return isinstance(stage, IntermediateStage), getattr(stage, "tokens", 0)

    return max(names, key=height, default=None)


def _seen(study: Study, one: Contender, stages: Mapping[str, Stage]) -> Iterator[Seen]:
    catalogue, said = study.spec.catalogue, set()
    for stage in stages.values():
        for share in _shares(stage):
            role = _ROLES[type(stage)]
            task = catalogue.get(share.task)
            if task is None or (share.task, role) in said:
                continue
            said.add((share.task, role))
            languages = task.train_languages
            if isinstance(stage, IntermediateStage):
                languages = study.spec.mixed_languages(share.task, one.trial.recipe.languages)
            elif isinstance(stage, TargetStage):
                languages = languages[:1]
            yield Seen(share.task, role, languages, share.data, task.licence, task.paper)


_ROLES = {PretrainStage: "pretraining", IntermediateStage: "intermediate", TargetStage: "target"}


def _shares(stage: Stage) -> tuple[TaskShare, ...]:
    match stage:
        case PretrainStage(shares=shares) | IntermediateStage(shares=shares):
            return shares
        case TargetStage():
            return (TaskShare(stage.task, 1.0, stage.data),)
        case _:
            return ()
