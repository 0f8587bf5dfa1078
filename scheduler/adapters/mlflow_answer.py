"""What a study found, in MLflow: a note on its run, and the recommended recipe as a registered model.

    registered model   <study>, alias ``recommended``
    version            its source is the run's artifact folder ``recipe``: README.md, the card, and
                       recipe.yaml; its description is the card, its tags what the recipe is

Weights stay in the store of stages: the tags name them, and ``interlude export`` writes them as a
folder. A study that is run again and recommends the same gets no second version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.adapters.mlflow_runs import MlflowRuns

ALIAS = "recommended"
_FOLDER = "recipe"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a study found.

    Attributes:
        question: of the study.
        sentences: the answer in words.
        card: of the recommended recipe, Markdown; empty where nothing is recommended.
        recipe: a spec that trains it again.
        facts: what the recipe is, by name.
    """

    question: str
    sentences: tuple[str, ...]
    card: str
    recipe: str
    facts: Mapping[str, str]


def conclude(runs: MlflowRuns, study: str, found: Conclusion) -> None:
    """Write what ``study`` found to its run and, if it recommends a recipe, register that."""
    said = "\n\n".join(found.sentences)
    runs.note(study, f"**{found.question}**\n\n{said}" if found.question else said)
    runs.flush()
    if not found.card or not runs.has(study):
        return
    runs.text(study, f"{_FOLDER}/README.md", found.card)
    runs.text(study, f"{_FOLDER}/recipe.yaml", found.recipe)
    runs.register(study, _FOLDER, ALIAS, found.card, found.facts)
