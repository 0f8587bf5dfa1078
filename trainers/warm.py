"""What a worker keeps between stages so that the next one starts at once.

Tokenizers, tokenised data, and one encoder per model on the device (trainers/bodies.py) with a note of
whose weights it holds. Heads of the last trained stage stay too: an evaluation right after its target
stage loads nothing. What stages start from stays in host memory (trainers/kept_weights.py).

An encoder that is tuned with an adapter keeps its own weights: from one adapter to the next only the
adapter's are copied. Whoever asks for an encoder without one gets it without, to the bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trainers.adapter_places import FULL
from trainers.adapters import Adapter, Left
from trainers.batches import TaskBatches
from trainers.bodies import Bodies, Body
from trainers.cells import Cells
from trainers.checkpoints import StageStore
from trainers.encoder import (
    load_encoder,
    load_tokenizer,
    model_place,
    random_encoder,
    saved_weights,
)
from trainers.errors import ModelError
from trainers.kept_heads import KeptHeads
from trainers.kept_weights import KeptWeights, Weights
from trainers.merging import merge, terms
from trainers.models import ModelEntry
from trainers.models import entry as model_entry
from trainers.stage import MergeStage, ModelRef, Optimisation, TaskShare
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import TaskSpec
from trainers.teaching import Taught, taught

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from trainers.worker import WorkerSettings


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
        self.cells = Cells(self.source)
        self._tokenizers: dict[str, PreTrainedTokenizerBase] = {}
        self._taught: dict[tuple[str, str, tuple[DataIdentity, ...]], Taught] = {}
        self._kept = KeptWeights(store)
        self._bodies = Bodies(self.device)
        self.heads = KeptHeads(store, self.device)

    @property
    def adapter(self) -> Adapter | None:
        """That sits in the encoder given last."""
        return self._bodies.in_use.adapter if self._bodies.in_use else None

    @property
    def kept_bytes(self) -> tuple[int, int]:
        """Kept on purpose: in host memory, and on the device."""
        return self._kept.n_bytes + self.cells.n_bytes, self._bodies.n_bytes

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
        return self._bodies.put(model.name, Body(encoder, "")).encoder

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
        return self._body(model, parent, folded=folded).encoder

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
        body = self._body(model, parent)
        if model.tuning != found:
            body.adapter = Adapter(body.encoder, model.tuning, seed=seed)
        body.adapter_of = ""
        if model.tuning == FULL:
            body.holds = ""
        return body.encoder

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
        body = self._bodies.of(stage.model.name) or self._whole(stage.model, stage.base)
        body.take_adapter_out()
        body.holds = ""
        merge(body.encoder, terms(stage), lambda source: self._source(stage.model, source))
        return body.encoder

    def keep(self, stage: str, heads: nn.ModuleDict, base: str | None) -> None:
        """Note that the encoder and ``heads`` are now what the finished ``stage`` saved.

        ``base`` is the stage whose encoder its adapter sits in, where it trained one.
        """
        self.heads.keep(stage, heads)
        body = self._bodies.in_use
        if body is not None and body.adapter is not None:
            body.adapter_of = stage
            self._kept.keep_adapter(stage, body.adapter, base)
        elif body is not None:
            body.holds = stage
            self._kept.keep_whole(stage, body.encoder)

    def base_of(self, parent: str | None) -> str | None:
        """The stage whose encoder an adapter sits in that goes on from ``parent``."""
        kept = self._kept.adapter(parent)
        return kept[0].base if kept else parent

    def batches(
        self, share: TaskShare, model: ModelRef, optimisation: Optimisation, seed: int
    ) -> TaskBatches:
        """The training batches of one task, each a micro-batch.

        Raises:
            MalformedDataError: the data is not what the stage names.
            EmptySplitError: a set of data has no row that can be trained on.
        """
        return TaskBatches(
            self._given(share, model).shards,
            batch_tokens=optimisation.batch_tokens // optimisation.accumulation,
            seed=seed,
            task=share.task,
        )

    def n_skipped(self, share: TaskShare, model: ModelRef) -> int:
        """Rows that are left out of the training data of one task by rule."""
        return self._given(share, model).n_skipped

    def _given(self, share: TaskShare, model: ModelRef) -> Taught:
        key = (share.task, model.name, share.data)
        if key not in self._taught:
            task, tokenizer = self.task(share.task), self.tokenizer(model)
            self._taught[key] = taught(share, task, tokenizer, self.source, self.cache_dir)
        return self._taught[key]

    def _load(self, model: ModelRef, parent: str | None) -> PreTrainedModel:
        where = self._store.open(parent) if parent else model_place(self.entry(model), *self._place)
        return load_encoder(self.entry(model), where)

    def _source(self, model: ModelRef, parent: str | None) -> Weights:
        """The weights of ``parent`` on the host, to be read only."""
        return self._kept.to_merge(_key(model, parent), lambda: self._load(model, parent))

    def _body(self, model: ModelRef, parent: str | None, *, folded: bool = False) -> Body:
        """As :meth:`encoder`, with what is known of the encoder."""
        kept = self._kept.adapter(parent)
        if kept is None:
            return self._whole(model, parent)
        body = self._bodies.of(model.name)
        if folded and body is not None and body.holds == _folded(parent):
            return body
        left, weights = kept
        body, adapter = self._adapted(model, left)
        if body.adapter_of != parent:
            adapter.load(weights)
            body.adapter_of = parent or ""
        if folded:
            adapter.fold()
            body.forget_adapter()
            body.holds = _folded(parent)
        return body

    def _whole(self, model: ModelRef, parent: str | None) -> Body:
        """The encoder with the weights of ``parent``, without adapter."""
        wanted = _key(model, parent)
        body = self._bodies.of(model.name)
        if body is not None:
            body.take_adapter_out()
            if body.holds == wanted:
                return body
        weights = kept = self._kept.whole(wanted)
        if body is not None and parent and kept is None:
            weights = saved_weights(self._store.open(parent), body.encoder)
        if body is None or weights is None:
            encoder = self._load(model, parent).to(self.device)
            body = self._bodies.put(model.name, Body(encoder, wanted))
        else:
            body.encoder.load_state_dict(weights)
            body.holds = wanted
        if kept is None:
            self._kept.keep_whole(wanted, body.encoder)
        return body

    def _adapted(self, model: ModelRef, left: Left) -> tuple[Body, Adapter]:
        """An adapter of that kind in the encoder it belongs to, whatever its weights."""
        body = self._bodies.of(model.name)
        in_place = body is not None and body.holds == _key(model, left.base)
        if body is None or not in_place or body.adapter is None or body.adapter.tuning != left.tuning:
            body = self._whole(model, left.base)
            body.adapter, body.adapter_of = Adapter(body.encoder, left.tuning, seed=0), ""
        return body, body.adapter


def _key(model: ModelRef, parent: str | None) -> str:
    """The name of the weights that a stage with this parent starts from."""
    return parent or f"{model.name}@{model.revision}"


def _folded(stage: str | None) -> str:
    """The name of an encoder that has the adapter of ``stage`` in its weights."""
    return f"{stage} folded"
