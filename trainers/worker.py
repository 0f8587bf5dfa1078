"""The worker: carries out orders one after the other on a warm process.

It never books: it returns a :class:`Measurement` whose bill covers the whole lease. What a stage may
cause (bad data, a bad model, a full disk, a device out of memory, a loss that is not a number) becomes
a FAILED measurement with its bill; an error of the program itself is raised.

Torch and transformers are imported with the first order, inside its lease, so that importing this
module is cheap and the time they take is billed as LOAD.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.bill import Bill, Purpose
from budgets.clock import Clock
from trainers.errors import TrainerError
from trainers.meter import Meter
from trainers.stage import (
    CellScore,
    EvaluateStage,
    Measurement,
    Order,
    Outcome,
    Stage,
    stage_name,
)

if TYPE_CHECKING:
    from trainers.checkpoints import StageStore
    from trainers.training import Lease, TrainingStage
    from trainers.warm import WarmCache

_FACTS = "facts.json"
_RECORDS = "records.parquet"
# Tokens, padding counted, of one evaluation batch. No gradients are kept, so a GPU takes many times a
# training batch; on a CPU larger batches only leave the cache.
_EVALUATE_TOKENS = {"cuda": 65_536, "cpu": 4_096}


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Where a worker works: nothing here decides a result.

    Attributes:
        store: directory or fsspec URL of the stages.
        source_kind: ``hub``, ``mirror`` or ``toy``.
        source_path: the mirror's folder; None for the one ``INTERLUDE_MIRROR`` names.
        device: ``cpu``, ``cuda`` or ``cuda:<n>``.
        threads: CPU threads of torch.
        cache_dir: of tokenised data and of stages read from a remote store.
        model: where a model that is a directory lies; None for a model known by its name.
        revisions: for the hub, commits by repository that go before the catalogue's pins.
    """

    store: str
    source_kind: str
    source_path: str | None
    device: str
    threads: int
    cache_dir: str
    model: str | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a stage left behind."""

    outcome: Outcome
    scores: tuple[CellScore, ...] = ()
    n_tokens: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


class Worker:
    """One process on one device."""

    def __init__(self, settings: WorkerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._warm: WarmCache | None = None

    def run(self, order: Order) -> Measurement:
        """Carry out an order within its limit and measure all of it."""
        meter = Meter(self._clock)
        deadline_s = order.limit.less(order.grace).ms / 1000
        try:
            found = self._carry_out(order.stage, meter, deadline_s)
        except (TrainerError, MemoryError, RuntimeError) as error:
            if not _a_stage_may_cause(error):
                raise
            self._forget()
            found = _Found(Outcome.FAILED, error=_one_line(error))
        bill = meter.bill()
        return Measurement(
            hold=order.hold,
            stage=stage_name(order.stage),
            outcome=found.outcome,
            bill=bill,
            scores=found.scores,
            n_tokens=found.n_tokens,
            facts={
                **_finite(found.facts),
                **_speed(found.n_tokens, bill),
                **_peak(self._settings.device),
            },
            rates=found.rates,
            error=found.error,
        )

    def _carry_out(self, stage: Stage, meter: Meter, deadline_s: float) -> _Found:
        with meter.on(Purpose.LOAD):
            from trainers.checkpoints import StageStore
            from trainers.training import Lease  # torch comes with it

            _reset_peak(self._settings.device)
            store = StageStore(self._settings.store, Path(self._settings.cache_dir) / "stages")
            if store.has(stage_name(stage)):
                return _recorded(store.open(stage_name(stage)))
            warm = self._warm = self._warm or self._warm_up(store)
            lease = Lease(meter, self._clock, lambda: meter.elapsed_s() >= deadline_s)
        if isinstance(stage, EvaluateStage):
            return _evaluated(stage, warm, store, lease)
        return _trained(stage, warm, store, lease)

    def _warm_up(self, store: StageStore) -> WarmCache:
        os.environ.setdefault(
            "TOKENIZERS_PARALLELISM", "true" if self._settings.threads > 1 else "false"
        )
        import torch

        from trainers.warm import WarmCache

        torch.set_num_threads(self._settings.threads)
        return WarmCache(self._settings, store)

    def _forget(self) -> None:
        """Let go of everything on the device after a failure."""
        self._warm = None
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _trained(stage: TrainingStage, warm: WarmCache, store: StageStore, lease: Lease) -> _Found:
    from trainers.training import run_training

    trained = run_training(stage, warm, store, lease)
    error = ""
    if trained.outcome is Outcome.FAILED:
        error = (
            f"the loss was not a finite number after {trained.n_tokens} tokens at a learning rate of "
            f"{stage.optimisation.learning_rate}. Lower the learning rate or clip_norm."
        )
    return _Found(trained.outcome, (), trained.n_tokens, trained.facts, trained.rates, error)


def _evaluated(stage: EvaluateStage, warm: WarmCache, store: StageStore, lease: Lease) -> _Found:
    from trainers.evaluate import DeadlinePassed, evaluate
    from trainers.tasks.catalog import task as catalogue_task

    with lease.meter.on(Purpose.LOAD):
        encoder = warm.encoder(stage.model, stage.parent)
        head = warm.head(catalogue_task(stage.task), encoder.config.hidden_size, stage.parent)
        tokenizer = warm.tokenizer(stage.model)
    try:
        with lease.meter.on(Purpose.EVALUATE):
            scores, records = evaluate(
                stage,
                encoder,
                head,
                tokenizer=tokenizer,
                entry=warm.entry(stage.model),
                source=warm.source,
                cache_dir=warm.cache_dir,
                batch_tokens=_EVALUATE_TOKENS[warm.device.type],
                device=warm.device,
                until=lease.until,
            )
    except DeadlinePassed:
        return _Found(Outcome.TRUNCATED)
    with lease.meter.on(Purpose.SAVE):
        import pyarrow.parquet as pq

        with store.write(stage_name(stage), stage) as folder:
            pq.write_table(records, folder / _RECORDS)
            text = json.dumps({"scores": [asdict(score) for score in scores]}, indent=1)
            (folder / _FACTS).write_text(text)
    return _Found(Outcome.DONE, scores)


def _recorded(folder: Path) -> _Found:
    """What a stage that was finished before had found."""
    record = json.loads((folder / _FACTS).read_text())
    return _Found(
        Outcome.DONE,
        scores=tuple(CellScore(**score) for score in record.get("scores", ())),
        facts=record.get("facts", {}),
        rates=record.get("rates", {}),
    )


def _a_stage_may_cause(error: BaseException) -> bool:
    if isinstance(error, TrainerError | MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    # torch has no class for a full host memory; this is the name of its allocator.
    return "DefaultCPUAllocator" in str(error)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, TrainerError):
        return f"{type(error).__name__}: {text}"
    return f"out of memory ({text[:300]}). Lower batch_tokens or raise accumulation."


def _finite(facts: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in facts.items() if math.isfinite(value)}


def _speed(n_tokens: int, bill: Bill) -> dict[str, float]:
    trained = bill.amounts.get(Purpose.TRAIN)
    return {"tokens_per_s": n_tokens / (trained.ms / 1000)} if n_tokens and trained else {}


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: str) -> dict[str, float]:
    """Peak bytes: of this lease on a GPU, of the whole process on a CPU."""
    if device.startswith("cuda") and "torch" in sys.modules:
        import torch

        return {"peak_device_bytes": float(torch.cuda.max_memory_allocated(device))}
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return {"peak_rss_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes)}
