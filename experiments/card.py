"""The card of a recommended recipe: task, languages, data and licences, scores, how to use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.arms import ArmFindings
from experiments.chosen import Chosen, chosen_of
from experiments.recipe import why
from experiments.sentences import answer_sentences
from experiments.templates import template
from experiments.trials import standings
from experiments.wording import mix_name, points
from scheduler.errors import NoRunError
from trainers.errors import ModelError
from trainers.models import entry
from trainers.stage import Half
from trainers.tasks.spec import RETRIEVAL_METRICS

if TYPE_CHECKING:
    from experiments.evidence import Json

_POOLING = {"mean": "mean over the tokens of a sentence", "first": "its first token"}


def card(chosen: Chosen) -> str:
    """The card as Markdown, with the front matter that model hubs read."""
    spec, recipe, one = chosen.study.spec, chosen.one.trial.recipe, chosen.one
    model, catalogue = entry(recipe.model), spec.catalogue
    tasks = [catalogue[name] for name in spec.target.tasks if name in catalogue]
    found = standings(chosen.study, Half.SEARCH)
    return template("card.md.j2").render(
        spec=spec,
        recipe=recipe,
        one=one,
        control=chosen.answer.control,
        final=chosen.answer.final,
        interim=chosen.study.interim,
        model=chosen.model,
        base_model="" if model.shape is not None else model.hub_id or model.name,
        mix=mix_name(recipe.mix),
        mix_trained=bool(recipe.mix.count),
        tokens=spec.intermediate.rungs[one.rung] if recipe.mix.count else 0,
        sentences=answer_sentences(chosen.study, chosen.answer, found),
        why=why(chosen.answer),
        seen=chosen.seen,
        languages=sorted({code for seen in chosen.seen for code in seen.languages}),
        targets=list(chosen.targets),
        labels={t.name: t.labels for t in tasks if t.name in chosen.targets and t.labels},
        retrieval=[t.name for t in tasks if t.metric in RETRIEVAL_METRICS],
        layer=model.retrieval_layer,
        pooling=_POOLING[model.pooling],
        environment=chosen.study.begun.environment,
    )


def registered(findings: Sequence[ArmFindings]) -> Json:
    """The card and what the recipe is by name, for a registry; empty where nothing is recommended."""
    try:
        chosen = chosen_of(findings)
        return {"card": card(chosen), "facts": facts(chosen)}
    except (NoRunError, ModelError):  # nothing to recommend, or a model that is no longer known here
        return {"card": "", "facts": {}}


def facts(chosen: Chosen) -> dict[str, str]:
    """What the recipe is, by name."""
    recipe, one = chosen.one.trial.recipe, chosen.one
    return {
        "trial": one.trial.name,
        "intermediate tasks": mix_name(recipe.mix),
        "k": str(recipe.mix.count),
        "target tasks": ", ".join(chosen.study.spec.target.tasks),
        "scored languages": ", ".join(dict.fromkeys(language for _, language in one.cells)),
        "data languages": ", ".join(sorted({c for seen in chosen.seen for c in seen.languages})),
        "licences of data": "; ".join(dict.fromkeys(seen.licence for seen in chosen.seen)),
        "model": recipe.model,
        "tuning": recipe.tuning,
        "seed": str(recipe.seed),
        "score": points(one.score),
        "stage of the encoder": chosen.encoder or f"published, revision {chosen.model.revision}",
        **{f"stage of {task}": stage for task, stage in chosen.targets.items()},
    }
