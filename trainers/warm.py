"""What a worker keeps between stages so that the next one starts at once.

Tokenizers, tokenised data, and one encoder on the device with a note of whose weights it holds. The
weights that stages start from (a published model, a parent stage) also stay in host memory, the
latest few, so that going back to them reads no file. Heads of the last trained stage stay too: an
evaluation right after its target stage loads nothing. Encoders that are merged are mapped from their
files and not copied: what many mixes share is in the system's page cache, for all workers of a machine.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from trainers.batches import TaskBatches
from trainers.checkpoints import StageStore
from trainers.encoder import load_encoder, load_tokenizer, model_place, random_encoder
from trainers.errors import MalformedDataError, ModelError
from trainers.features import features
from trainers.merging import merge, terms
from trainers.models import ModelEntry
from trainers.models import entry as model_entry
from trainers.stage import MergeStage, ModelRef, Optimisation, TaskShare
from trainers.state import make_head
from trainers.tasks import open_source
from trainers.tasks.canonical import training_examples
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.worker import WorkerSettings

_WEIGHTS_KEPT = 3  # a published model, its pretrain or intermediate stage, and one more
# Encoders to merge, each a mapped file. In memory they are pages that the system takes back when it
# needs them. One of XLM-R base's size is added in 0.1 to 0.2 s from there and from a copy, and the copy
# takes 1 to 8 s to make (one core, warm and cold pages).
_MAPPED_KEPT = 32
HEADS = "heads.safetensors"


class WarmCache:
    """The warm parts of one worker process.

    Args:
        settings: of the worker.
        store: of stages.
    """

    def __init__(self, settings: WorkerSettings, store: StageStore) -> None:
        self._store = store
        self._place = (settings.source_kind, settings.source_path)
        self._tasks = {task.name: task for task in settings.tasks}
        self.cache_dir = Path(settings.cache_dir)
        self.device = torch.device(settings.device)
        self.source = open_source(settings.source_kind, settings.source_path, settings.revisions)
        self._tokenizers: dict[str, PreTrainedTokenizerBase] = {}
        self.n_skipped: dict[tuple[DataIdentity, ...], int] = {}  # rows that training leaves out
        self._features: dict[tuple[str, str, tuple[DataIdentity, ...]], Dataset] = {}
        self._weights: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        self._mapped: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        self._encoder: PreTrainedModel | None = None
        self._shape = ""  # the model whose architecture the encoder has
        self._holds = ""  # whose weights the encoder has; "" while a stage trains it
        self._heads: tuple[str, nn.ModuleDict] | None = None

    def entry(self, model: ModelRef) -> ModelEntry:
        """The model's entry, at the commit that the stage was planned with."""
        return model_entry(model.name).at(model.revision)

    def task(self, name: str) -> TaskSpec:
        """The task of that name: the study's own before a built-in one.

        Raises:
            UnknownTaskError: there is none.
        """
        return self._tasks.get(name) or TASKS.task(name)

    def tokenizer(self, model: ModelRef) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        if model.name not in self._tokenizers:
            self._tokenizers[model.name] = load_tokenizer(self.entry(model), *self._place)
        return self._tokenizers[model.name]

    def fresh_encoder(self, model: ModelRef, seed: int) -> PreTrainedModel:
        """An encoder with random weights, to be trained."""
        self._encoder = random_encoder(self.entry(model), self.tokenizer(model), seed=seed).to(
            self.device
        )
        self._shape, self._holds = model.name, ""
        return self._encoder

    def encoder(self, model: ModelRef, parent: str | None) -> PreTrainedModel:
        """The encoder with the weights of the stage ``parent``, or as published when that is None.

        Raises:
            ModelError: the model has no published weights.
            StoreError: the store does not have ``parent``.
        """
        wanted = _key(model, parent)
        if self._encoder is not None and self._holds == wanted:
            return self._encoder
        weights = self._weights.get(wanted)
        if weights is None or self._encoder is None or self._shape != model.name:
            self._encoder = self._load(model, parent).to(self.device)
            self._keep_weights(wanted, self._encoder)
        else:
            self._encoder.load_state_dict(weights)
            self._weights.move_to_end(wanted)
        self._shape, self._holds = model.name, wanted
        return self._encoder

    def merged_encoder(self, stage: MergeStage) -> PreTrainedModel:
        """The encoder that ``stage`` describes; it is nobody's afterwards.

        Raises:
            ModelError: what is merged is not of one architecture, or the model has no published weights.
            StoreError: the store lacks one of the stages that are merged.
        """
        encoder = self._encoder
        if encoder is None or self._shape != stage.model.name:
            encoder = self.encoder(stage.model, stage.base)
        self._holds = ""
        merge(encoder, terms(stage), lambda source: self._source(stage.model, source))
        return encoder

    def lend(self) -> None:
        """Note that the encoder is about to change, so that it holds nobody's weights."""
        self._holds, self._heads = "", None

    def keep(self, stage: str, heads: nn.ModuleDict) -> None:
        """Note that the encoder and ``heads`` are now what the finished ``stage`` saved."""
        self._holds, self._heads = stage, (stage, heads)
        if self._encoder is not None:
            self._keep_weights(stage, self._encoder)

    def head(self, task: TaskSpec, width: int, parent: str | None) -> nn.Module:
        """The head of ``task`` that ``parent`` trained; one without weights needs no parent.

        Raises:
            ModelError: the task needs a trained head and ``parent`` has none.
        """
        _, head = make_head(task, width, 0)
        if not head.state_dict():
            return head
        if self._heads is not None and self._heads[0] == parent and task.name in self._heads[1]:
            return self._heads[1][task.name]
        file = self._store.open(parent) / HEADS if parent else None
        kept = load_file(file) if file is not None and file.is_file() else {}
        prefix = f"{task.name}."
        weights = {key.removeprefix(prefix): kept[key] for key in kept if key.startswith(prefix)}
        if not weights:
            raise ModelError(
                f"{task.name} needs a head that was trained and {parent or 'the published model'} has "
                "none. Evaluate the target stage of that task."
            )
        head.load_state_dict(weights)
        return head.to(self.device)

    def batches(
        self, share: TaskShare, model: ModelRef, optimisation: Optimisation, seed: int
    ) -> TaskBatches:
        """The training batches of one task, each a micro-batch.

        Raises:
            MalformedDataError: the data is not what the stage names.
            EmptySplitError: there is nothing to train on.
        """
        key = (share.task, model.name, share.data)
        if key not in self._features:
            self._features[key] = self._train_features(share, model)
        return TaskBatches(
            self._features[key],
            batch_tokens=optimisation.batch_tokens // optimisation.accumulation,
            seed=seed,
            task=share.task,
        )

    def _train_features(self, share: TaskShare, model: ModelRef) -> Dataset:
        from datasets import concatenate_datasets

        task = self.task(share.task)
        tokenizer = self.tokenizer(model)
        wanted = {data.name: data.revision for data in share.data}
        parts, n_skipped = [], 0
        for split in task.train:
            for language in split.languages:
                identity = self.source.identity(split, language)
                if identity.name not in wanted:
                    continue
                if identity.revision != wanted[identity.name]:
                    raise MalformedDataError(
                        f"the stage was planned with {identity.name} at revision "
                        f"{wanted[identity.name]} and the source has {identity.revision}. Start a new "
                        "study, or bring the old data back."
                    )
                taught = training_examples(task, split, language, self.source)
                n_skipped += taught.n_skipped
                parts.append(
                    features(taught.examples, task, tokenizer, training=True, cache_dir=self.cache_dir)
                )
        if len(parts) < len(wanted):
            raise MalformedDataError(
                f"{task.name} is to be trained on {len(wanted)} sets of data and the source has "
                f"{len(parts)} of them: {', '.join(sorted(wanted))}"
            )
        self.n_skipped[share.data] = n_skipped
        return concatenate_datasets(parts)

    def _load(self, model: ModelRef, parent: str | None) -> PreTrainedModel:
        where = self._store.open(parent) if parent else model_place(self.entry(model), *self._place)
        return load_encoder(self.entry(model), where)

    def _source(self, model: ModelRef, parent: str | None) -> dict[str, torch.Tensor]:
        """The weights of ``parent`` on the host, to be read only."""
        wanted = _key(model, parent)
        if wanted in self._weights:
            return self._weights[wanted]
        if wanted not in self._mapped:
            self._mapped[wanted] = self._load(model, parent).state_dict()
            while len(self._mapped) > _MAPPED_KEPT:
                self._mapped.popitem(last=False)
        self._mapped.move_to_end(wanted)
        return self._mapped[wanted]

    def _keep_weights(self, name: str, encoder: PreTrainedModel) -> None:
        self._weights[name] = {
            key: value.detach().to("cpu", copy=True) for key, value in encoder.state_dict().items()
        }
        self._weights.move_to_end(name)
        while len(self._weights) > _WEIGHTS_KEPT:
            self._weights.popitem(last=False)


def _key(model: ModelRef, parent: str | None) -> str:
    """The name of the weights that a stage with this parent starts from."""
    return parent or f"{model.name}@{model.revision}"
