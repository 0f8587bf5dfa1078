"""The stage tree: which stages a recipe needs, named so that equal work is the same node.

    [pretrain] -> intermediate(rung 0) -> intermediate(rung 1) -> ...
                                              |
                                  target(task) -> evaluate(task)      for each trained target,
                                               -> infer(task)         after the tasks before it
                                  evaluate(task), infer(task)         for retrieval

    [pretrain] -> intermediate(one task, rung 0) for each task of the mix \
               -> target(task) of the control ----------------------------> merge(task)

A stage's config holds its parent's fingerprint, so two recipes that begin alike name the same
stages and nothing else has to know that they share: k = 0 is the same at every rung, a mix's short
stage is the prefix of its long one, a finalist's report evaluation hangs on stages it already has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from budgets.forecast import Work
from scheduler.inference import infer_stages, is_asked
from scheduler.mix import Mix
from scheduler.needs import chain
from scheduler.spec import StudySpec
from scheduler.spec_parts import steps_of
from scheduler.stage_data import StageData
from scheduler.trial import MERGED, Arm, Recipe
from scheduler.workload import Workload
from trainers.mixing import draw_rates, with_text_share
from trainers.models import ModelEntry, entry
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    MergePart,
    MergeStage,
    ModelRef,
    Optimisation,
    PretrainStage,
    Stage,
    TargetStage,
    TaskShare,
    stage_name,
)
from trainers.tasks.source import Source
from trainers.tasks.spec import FamilyName, TaskSpec

_RATE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Node:
    """One stage a recipe needs: its name, what it is, and how much work it means."""

    name: str
    stage: Stage
    work: Work


class StageTree:
    """The stages of one study's recipes, by fingerprint."""

    def __init__(self, spec: StudySpec, source: Source, revision: Callable[[ModelEntry], str]) -> None:
        """The tree of a study.

        Args:
            spec: of the study.
            source: of its data.
            revision: what says which weights a model has.

        Raises:
            ModelError: a model of the study is not known.
        """
        self.spec = spec
        self.data = StageData(spec, source)
        self._tasks = spec.catalogue
        models = {name: entry(name).at(spec.model.revision) for name in spec.model.names}
        self._revisions = {name: revision(model) for name, model in models.items()}
        self._base = lru_cache(maxsize=None)(self._pretrained)
        self._nodes = lru_cache(maxsize=None)(self._build)
        self._rates = lru_cache(maxsize=None)(self._drawn)
        self._shares = lru_cache(maxsize=None)(self._shared_out)
        self._workload = Workload(self._tasks, models, spec.budget.devices.kind, self.data.identity)

    @property
    def n_rungs(self) -> int:
        """Fidelity levels, the merged rung aside."""
        return len(self.spec.intermediate.rungs)

    @property
    def has_merged(self) -> bool:
        """Whether there is a rung below the first."""
        return self.spec.intermediate.merged is not None

    def nodes(self, recipe: Recipe, rung: int, half: Half) -> tuple[Node, ...]:
        """Every stage that ``recipe`` needs for its score at ``rung``, parents before children.

        The control has no intermediate stage, so its stages are the same at every rung. At ``MERGED``
        they are the first rungs of the recipe's :meth:`parts` and the control's targets.

        Raises:
            ValueError: ``MERGED`` on report cells, or in a study without that rung.
        """
        return self._nodes(recipe, rung if recipe.mix.count else 0, half)

    def parts(self, recipe: Recipe) -> tuple[Recipe, ...]:
        """The recipes of one task each whose encoders are merged to look at ``recipe``."""
        return tuple(replace(recipe, mix=Mix.of((name,))) for name in recipe.mix.tasks)

    def base(self, model: str) -> Node | None:
        """The pretrain stage that every other stage of a model stands on; None for a published one."""
        return self._base(model)

    def _pretrained(self, model: str) -> Node | None:
        pretrain = self.spec.pretrain
        if pretrain is None:
            return None
        shares = tuple(
            TaskShare(name, 1.0, self.data.trained(task, task.train_languages), task.definition)
            for name, task in self._tasks.items()
            if task.world == "toy" and task.family is FamilyName.MASKED
        )
        stage = PretrainStage(
            self.ref(Arm(model)),
            shares,
            pretrain.tokens,
            Optimisation(pretrain.learning_rate, batch_tokens=pretrain.batch_tokens),
            self.spec.seed,
        )
        return self._node(stage)

    @property
    def bases(self) -> tuple[str, ...]:
        """The pretrain stages, one for each model that is not published."""
        found = (self.base(model) for model in self.spec.model.names)
        return tuple(node.name for node in found if node)

    def ref(self, arm: Arm) -> ModelRef:
        """The encoder that a stage in ``arm`` works on."""
        return ModelRef(arm.model, self._revisions[arm.model], arm.tuning, self.spec.model.precision)

    def rates(self, mix: Mix, languages: str = "") -> tuple[tuple[str, float], ...]:
        """The tasks of ``mix`` under a variant, each with the chance that a batch comes from it."""
        return self._rates(mix, languages)

    def shares(self, mix: Mix, languages: str = "") -> tuple[TaskShare, ...]:
        """What an intermediate stage of ``mix`` under a variant trains on."""
        return self._shares(mix, languages)

    def _shared_out(self, mix: Mix, languages: str) -> tuple[TaskShare, ...]:
        return tuple(
            TaskShare(name, rate, self.data.mixed(name, languages), self._tasks[name].definition)
            for name, rate in self.rates(mix, languages)
        )

    def _drawn(self, mix: Mix, languages: str) -> tuple[tuple[str, float], ...]:
        rule = self.spec.intermediate.mixing.rule
        sizes = [self.data.size(name, languages) for name in mix.tasks]
        masked = [self._tasks[name].family is FamilyName.MASKED for name in mix.tasks]
        drawn = draw_rates(sizes, rule=rule, cap=mix.cap, temperature=mix.temperature)
        shared = with_text_share(drawn, masked, mix.text)
        return tuple(
            (name, round(rate, _RATE_DIGITS)) for name, rate in zip(mix.tasks, shared, strict=True)
        )

    def _build(self, recipe: Recipe, rung: int, half: Half) -> tuple[Node, ...]:
        if rung == MERGED:
            return self._merged(recipe, half)
        base = self.base(recipe.model)
        nodes = [base] if base else []
        if recipe.mix.count:
            nodes += self._trunk(recipe, rung, base.name if base else None)
        encoder = nodes[-1].name if nodes else None
        for task, languages in self.spec.cells:
            targets = self._targets(self._tasks[task], encoder, recipe)
            nodes += targets
            parent = targets[-1].name if targets else encoder
            # what nothing was tuned for is the same whatever the tuning
            arm = recipe.arm if targets or recipe.mix.count else Arm(recipe.model)
            scored = partial(self._evaluation, self._tasks[task], languages, parent, model=self.ref(arm))
            nodes.append(self._node(scored(half=half)))
            if is_asked(self.spec, recipe, half):
                nodes += map(self._node, infer_stages(self.spec, scored(half=Half.SEARCH)))
        return tuple({node.name: node for node in nodes}.values())

    def _merged(self, recipe: Recipe, half: Half) -> tuple[Node, ...]:
        settings = self.spec.intermediate.merged
        if settings is None or half is not Half.SEARCH:
            raise ValueError(f"{recipe.mix} has no merged rung on {half} cells of {self.spec.name}")
        base = self.base(recipe.model)
        parent = base.name if base else None
        trunks = [node for part in self.parts(recipe) for node in self._trunk(part, 0, parent)]
        rates = [rate for _, rate in self.rates(recipe.mix, recipe.languages)]
        parts = tuple(MergePart(node.name, rate) for node, rate in zip(trunks, rates, strict=True))
        nodes = [*([base] if base else []), *trunks]
        for name, languages in self.spec.cells:
            task = self._tasks[name]
            targets = self._targets(task, parent, recipe)
            stage = MergeStage(
                self.ref(recipe.arm),
                parent,
                parts,
                settings.scale,
                targets[-1].name if targets else None,
                name,
                languages,
                half,
                self.data.scored(task, languages, half),
                self.data.most(half),
                task.definition,
            )
            nodes += [*targets, self._node(stage)]
        return tuple({node.name: node for node in nodes}.values())

    def _trunk(self, recipe: Recipe, rung: int, base: str | None) -> list[Node]:
        settings = self.spec.intermediate
        shares = self.shares(recipe.mix, recipe.languages)
        nodes: list[Node] = []
        for level, tokens in enumerate(settings.rungs[: rung + 1]):
            before = settings.rungs[level - 1] if level else 0
            stage = IntermediateStage(
                self.ref(recipe.arm),
                base,
                nodes[-1].name if nodes else None,
                shares,
                before,
                tokens,
                steps_of(settings, recipe.tuning),
                recipe.seed,
            )
            nodes.append(self._node(stage))
        return nodes

    def _targets(self, task: TaskSpec, parent: str | None, recipe: Recipe) -> list[Node]:
        """The target stages of ``task``, those of the tasks before it first; none for retrieval."""
        nodes: list[Node] = []
        trained = [one for one in chain(self.spec, task.name) if one.train]
        for before, after in zip((None, *trained), trained, strict=False):
            head_of = before.name if before and before.family is after.family else ""
            nodes.append(self._target(after, nodes[-1].name if nodes else parent, head_of, recipe))
        return nodes

    def _target(self, task: TaskSpec, parent: str | None, head_of: str, recipe: Recipe) -> Node:
        target = self.spec.target
        stage = TargetStage(
            self.ref(recipe.arm),
            parent,
            task.name,
            self.data.trained(task, task.train_languages[:1]),
            target.tokens,
            steps_of(target, recipe.tuning),
            recipe.seed,
            task.definition,
            head_of,
        )
        return self._node(stage)

    def _evaluation(
        self,
        task: TaskSpec,
        languages: tuple[str, ...],
        parent: str | None,
        *,
        model: ModelRef,
        half: Half,
    ) -> EvaluateStage:
        return EvaluateStage(
            model,
            parent,
            task.name,
            languages,
            half,
            self.data.scored(task, languages, half),
            self.data.most(half),
            task.definition,
        )

    def _node(self, stage: Stage) -> Node:
        return Node(stage_name(stage), stage, self.work(stage))

    def work(self, stage: Stage) -> Work:
        """How much a stage does, in the forecast's terms; it may be another study's.

        Raises:
            KeyError: its task is not one of this study's catalogue.
            ModelError, TaskError: its model or data are not there.
        """
        return self._workload.of(stage)


def union(paths: Sequence[Sequence[Node]]) -> dict[str, Node]:
    """The stages of several recipes, each once: what sharing leaves to pay."""
    return {node.name: node for path in paths for node in path}
