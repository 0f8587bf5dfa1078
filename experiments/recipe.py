"""The recommended recipe, as a spec that ``interlude run`` takes."""

from __future__ import annotations

from typing import Any

import yaml

from experiments.answer import Answer, Contender, Verdict
from experiments.load import Study
from experiments.wording import mix_name, tokens
from scheduler.mix import Mix
from scheduler.trial import Arm
from trainers.tasks.spec import FamilyName


def recommended(answer: Answer) -> Contender | None:
    """The one to use: the best mix if its gain was shown, otherwise none at all, which is cheaper."""
    if answer.verdict is Verdict.NOTHING:
        return None
    return answer.best if answer.verdict is Verdict.GAIN else answer.control


def why(answer: Answer) -> str:
    """Why this recipe, in one sentence."""
    one = recommended(answer)
    if one is None:
        return "There is nothing to recommend yet."
    if answer.verdict is Verdict.GAIN:
        sure = "" if answer.final else " Provisional: no finals were run."
        return f"The best finalist: {mix_name(one.trial.recipe.mix)}.{sure}"
    return "Without intermediate task: it needs the least training, and no mix was shown to be better."


def recipe_yaml(study: Study, answer: Answer) -> str:
    """The study's spec with the mix, its mixing and its rungs fixed; empty if there is none."""
    one = recommended(answer)
    if one is None:
        return ""
    spec = study.spec.model_dump(mode="json", exclude_none=True)
    mix, part = one.trial.recipe.mix, spec["intermediate"]
    _keep_arm(spec, one.trial.recipe.arm, study)
    spec["name"] = f"{spec['name'][:70]}-recipe"
    if study.spec.tracking.mlflow is None:
        spec["tracking"] = {"mlflow": None}  # left out, it would be the default again
    part["count"] = [mix.count, mix.count]
    part.pop("merged", None)  # there is nothing left to choose by a first look
    if mix.count:
        part["tasks"] = list(mix.tasks)
        part["rungs"] = [_count(n) for n in study.spec.intermediate.rungs[: one.rung + 1]]
        _keep_languages(study, part)
    if mix.count == 1:
        del part["mixing"]
    elif mix.count:
        part["mixing"] = _mixing(study, mix)
    head = f"# {why(answer)}\n"
    return head + yaml.safe_dump(
        spec, sort_keys=False, default_flow_style=None, width=96, allow_unicode=True
    )


def _keep_arm(spec: dict[str, Any], arm: Arm, study: Study) -> None:
    """One model, one tuning with its rates and one list of languages, where the study had several."""
    spec["model"] |= {"name": arm.model, "tuning": arm.tuning}
    spec["intermediate"]["languages"] = list(study.spec.intermediate.variants[arm.languages])
    for part in (spec["intermediate"], spec["target"]):
        if isinstance(part["learning_rate"], dict):
            part["learning_rate"] = part["learning_rate"][arm.tuning]
    spec["search"].pop("design", None)
    spec.pop("preregistration", None)


def _keep_languages(study: Study, part: dict[str, Any]) -> None:
    """Drop languages that no task of the mix is trained in, since a spec with such is refused."""
    families = {study.spec.catalogue[task].family for task in part["tasks"]}
    if FamilyName.MASKED not in families:
        del part["text_languages"]
    if families == {FamilyName.MASKED}:
        del part["languages"], part["translations"]


def _mixing(study: Study, mix: Mix) -> dict[str, object]:
    """The study's rule with the numbers that it searched fixed at those of the mix."""
    mixing = study.spec.intermediate.mixing
    fixed: dict[str, object] = {"rule": mixing.rule}
    if mixing.rule == "weights":
        given = mixing.weights
        fixed["weights"] = {task: given[task] for task in mix.tasks if task in given}
    if mix.cap:
        fixed["cap"] = [mix.cap, mix.cap]
        if mixing.rule == "temperature":
            fixed["temperature"] = [mix.temperature, mix.temperature]
    if mix.text:
        fixed["text"] = [mix.text, mix.text]
    return fixed


def _count(n_tokens: int) -> int | str:
    """``16M`` where that is exact."""
    return tokens(n_tokens) if n_tokens % 1_000_000 == 0 else n_tokens
