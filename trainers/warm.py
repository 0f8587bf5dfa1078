"""What a worker keeps between stages so that the next one starts at once.

Tokenizers, tokenised data, and one encoder on the device with a note of whose weights it holds. Heads
of the last trained stage stay too: an evaluation right after its target stage loads nothing. What
stages start from stays in host memory (trainers/kept_weights.py).

An encoder that is tuned with an adapter keeps its own weights: from one adapter to the next only the
adapter's are copied. Whoever asks for an encoder without one gets it without, to the bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from trainers.adapter_places import FULL
from trainers.adapters import Adapter, Left
from trainers.batches import TaskBatches
from trainers.checkpoints import StageStore
from trainers.encoder import load_encoder, load_tokenizer, model_place, random_encoder
from trainers.errors import ModelError
from trainers.kept_weights import KeptWeights, Weights
from trainers.merging import merge, terms
from trainers.models import ModelEntry
from trainers.models import entry as model_entry
from trainers.stage import MergeStage, ModelRef, Optimisation, TaskShare
from trainers.state import make_head
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import TaskSpec
from trainers.teaching import taught

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.worker import WorkerSettings

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
        self._kept = KeptWeights(store)
        self._encoder: PreTrainedModel | None = None
        self._shape = ""  # the model whose architecture the encoder has
        self._holds = ""  # whose weights the encoder has; "" while a stage trains it
        self.adapter: Adapter | None = None  # that sits in the encoder
        self._adapter_of = ""  # the stage whose adapter it is; "" while a stage trains it
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
        """An encoder with random weights, to be trained in full."""
        encoder = random_encoder(self.entry(model), self.tokenizer(model), seed=seed).to(self.device)
        self._hold(encoder, model, "")
        return encoder

    def encoder(self, model: ModelRef, parent: str | None, *, folded: bool = False) -> PreTrainedModel:
        """The encoder as the stage ``parent`` left it, or as published when that is None.

        Args:
            model: what the encoder is of.
            parent: fingerprint of a stage that left an encoder, or an adapter in one.
            folded: an adapter is not run beside the weights, it is added to them.

        Raises:
            ModelError: the model has no published weights, or the adapter cannot be folded.
            StoreError: the store does not have ``parent``.
        """
        kept = self._kept.adapter(parent)
        if kept is None:
            return self._whole(model, parent)
        if folded and self._encoder is not None and self._holds == _folded(parent):
            return self._encoder
        left, weights = kept
        adapter = self._adapted(model, left)
        if self._adapter_of != parent:
            adapter.load(weights)
            self._adapter_of = parent or ""
        if folded:
            adapter.fold()
            self.adapter, self._adapter_of, self._holds = None, "", _folded(parent)
        return adapter.encoder

    def to_train(self, model: ModelRef, parent: str | None, seed: int) -> PreTrainedModel:
        """The encoder of ``parent`` with what ``model.tuning`` trains set free, and no more.

        An adapter that ``parent`` trained is trained on; where it left a whole encoder a new adapter is
        put in, its weights a function of ``seed`` alone.

        Raises:
            ModelError: as :meth:`encoder`; the adapter is of another kind, or of none that is known in
                this architecture.
            StoreError: the store does not have ``parent``.
        """
        kept = self._kept.adapter(parent)
        found = kept[0].tuning if kept else FULL
        if found not in (FULL, model.tuning):
            raise ModelError(
                f"stage {parent} trained a {found} adapter and cannot be trained on with tuning "
                f"{model.tuning}. Go on with {found}, or start from the encoder that it was put in."
            )
        encoder = self.encoder(model, parent)
        if model.tuning != found:
            self.adapter = Adapter(encoder, model.tuning, seed=seed)
        self._adapter_of = ""
        if model.tuning == FULL:
            self._holds = ""
        return encoder

    def merged_encoder(self, stage: MergeStage) -> PreTrainedModel:
        """The encoder that ``stage`` describes; it is nobody's afterwards.

        Raises:
            ModelError: what is merged is not of one architecture or was not tuned in full, or the model
                has no published weights.
            StoreError: the store lacks one of the stages that are merged.
        """
        if stage.model.tuning != FULL:
            raise ModelError(
                f"encoders tuned with {stage.model.tuning} are not merged; only those tuned in full "
                "are. Leave out intermediate.merged."
            )
        self._take_adapter_out()
        encoder = self._encoder
        if encoder is None or self._shape != stage.model.name:
            encoder = self.encoder(stage.model, stage.base)
        self._holds = ""
        merge(encoder, terms(stage), lambda source: self._source(stage.model, source))
        return encoder

    def keep(self, stage: str, heads: nn.ModuleDict, base: str | None) -> None:
        """Note that the encoder and ``heads`` are now what the finished ``stage`` saved.

        ``base`` is the stage whose encoder its adapter sits in, where it trained one.
        """
        self._heads = (stage, heads)
        if self.adapter is not None:
            self._adapter_of = stage
            self._kept.keep_adapter(stage, self.adapter, base)
        elif self._encoder is not None:
            self._holds = stage
            self._kept.keep_whole(stage, self._encoder)

    def base_of(self, parent: str | None) -> str | None:
        """The stage whose encoder an adapter sits in that goes on from ``parent``."""
        kept = self._kept.adapter(parent)
        return kept[0].base if kept else parent

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
            self._features[key], self.n_skipped[share.data] = taught(
                share, self.task(share.task), self.tokenizer(model), self.source, self.cache_dir
            )
        return TaskBatches(
            self._features[key],
            batch_tokens=optimisation.batch_tokens // optimisation.accumulation,
            seed=seed,
            task=share.task,
        )

    def _load(self, model: ModelRef, parent: str | None) -> PreTrainedModel:
        where = self._store.open(parent) if parent else model_place(self.entry(model), *self._place)
        return load_encoder(self.entry(model), where)

    def _source(self, model: ModelRef, parent: str | None) -> Weights:
        """The weights of ``parent`` on the host, to be read only."""
        return self._kept.to_merge(_key(model, parent), lambda: self._load(model, parent))

    def _whole(self, model: ModelRef, parent: str | None) -> PreTrainedModel:
        """The encoder with the weights of ``parent``, without adapter."""
        self._take_adapter_out()
        wanted = _key(model, parent)
        if self._encoder is not None and self._holds == wanted:
            return self._encoder
        weights = self._kept.whole(wanted)
        if weights is None or self._encoder is None or self._shape != model.name:
            encoder = self._load(model, parent).to(self.device)
            self._kept.keep_whole(wanted, encoder)
        else:
            encoder = self._encoder
            encoder.load_state_dict(weights)
        self._hold(encoder, model, wanted)
        return encoder

    def _adapted(self, model: ModelRef, left: Left) -> Adapter:
        """An adapter of that kind in the encoder it belongs to, whatever its weights."""
        in_place = self._holds == _key(model, left.base) and self._shape == model.name
        if self.adapter is None or self.adapter.tuning != left.tuning or not in_place:
            self.adapter = Adapter(self._whole(model, left.base), left.tuning, seed=0)
            self._adapter_of = ""
        return self.adapter

    def _take_adapter_out(self) -> None:
        if self.adapter is not None:
            self.adapter.detach()
        self.adapter, self._adapter_of = None, ""

    def _hold(self, encoder: PreTrainedModel, model: ModelRef, whose: str) -> None:
        self._encoder, self._shape, self._holds = encoder, model.name, whose
        self.adapter, self._adapter_of = None, ""


def _key(model: ModelRef, parent: str | None) -> str:
    """The name of the weights that a stage with this parent starts from."""
    return parent or f"{model.name}@{model.revision}"


def _folded(stage: str | None) -> str:
    """The name of an encoder that has the adapter of ``stage`` in its weights."""
    return f"{stage} folded"
