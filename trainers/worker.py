"""The worker: carries out orders one after the other on a warm process.

It never books: it returns a :class:`Measurement` whose bill covers the whole lease. What a stage may
cause becomes an outcome with its bill: FAILED (bad data, a bad model, a full disk) may be tried again,
INFEASIBLE (a batch that does not fit, a loss that is not a number) may not. An error of the program
itself is raised. What neither ends nor raises is ended by the watchdog before the hold is over. A
process that leaks, or has lost its device, says so with its measurement (trainers/wear.py): whoever
holds it is to begin another.

Torch and transformers are imported with the first order, inside its lease, so that importing this
module is cheap and the time they take is billed as LOAD.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.bill import Bill, Purpose
from budgets.clock import Clock
from trainers.devices import uses_bf16
from trainers.disk import free_space, is_full
from trainers.errors import TrainerError
from trainers.frameworks import import_frameworks
from trainers.memory import free_cached, ran_out
from trainers.meter import Meter
from trainers.order import CellScore, Measurement, Order, Outcome
from trainers.provenance import cpu_name
from trainers.stage import InferStage, ModelRef, ScoringStage, stage_name
from trainers.tasks.spec import TaskSpec
from trainers.watchdog import Watchdog
from trainers.wear import Memory, Wear, device_is_gone

if TYPE_CHECKING:
    from trainers.checkpoints import StageStore
    from trainers.warm import WarmCache

_FACTS = "facts.json"
# Of the grace, for the driver to learn before the hold ends that the watchdog has ended the worker.
_NOTICE_SHARE = 0.1


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
        revisions: for the hub, commits by repository that go before the catalogue's pins.
        tasks: those that are not built in, or are built in and changed by the study.
        watchdog: whether a process of its own ends this one when a lease is over. Not where the driver
            lives in the same process.
    """

    store: str
    source_kind: str
    source_path: str | None
    device: str
    threads: int
    cache_dir: str
    revisions: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[TaskSpec, ...] = ()
    watchdog: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    """What a stage left behind."""

    outcome: Outcome
    scores: tuple[CellScore, ...] = ()
    n_tokens: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """One process on one device."""

    def __init__(self, settings: WorkerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._warm: WarmCache | None = None
        self._watchdog = Watchdog()
        # What saving a partial state took last; a model's size and its tuning decide most of it.
        self._save_s: dict[ModelRef, float] = {}
        self._wear: Wear | None = None
        self._device = "" if settings.device.startswith("cuda") else settings.device  # its name
        self._precision = ""
        self._lost = ""  # how the device was

    def run(self, order: Order, hurried: Callable[[], bool] = lambda: False) -> Measurement:
        """Carry out an order within its limit and measure all of it.

        Args:
            order: what to do.
            hurried: asked at every step; once true, partial work is saved and the stage STOPPED.

        Raises:
            Exception: an error of the program itself, that no stage may cause.
        """
        meter = Meter(self._clock)
        self._precision, worn = "", ""
        try:
            if self._lost:
                return self._measured(order, meter, _Found(Outcome.FAILED, error=self._lost), self._lost)
            with ExitStack() as guarded:
                if order.limit <= order.grace:  # it came so late that nothing can begin
                    return self._measured(order, meter, _Found(Outcome.TRUNCATED), "")
                if self._settings.watchdog:
                    with meter.on(Purpose.LOAD):
                        guarded.enter_context(self._watchdog.guarding(_end_s(order)))
                found = self._carry_out(order, meter, hurried)
                worn = self._worn()
        except Exception as error:
            if device_is_gone(error):
                worn = self._lost = self._how_lost(error)
                found = _Found(Outcome.FAILED, error=worn)
            elif _a_stage_may_cause(error):
                found = _Found(Outcome.FAILED, error=_one_line(error, self._settings))
            else:
                raise
        if found.outcome is Outcome.TRUNCATED and hurried():
            found = replace(found, outcome=Outcome.STOPPED)
        if found.outcome in (Outcome.FAILED, Outcome.INFEASIBLE):
            self._forget()
        return self._measured(order, meter, found, worn)

    def _measured(self, order: Order, meter: Meter, found: _Found, worn: str) -> Measurement:
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
                **({} if self._lost else _peak(self._settings.device)),
            },
            rates=found.rates,
            error=found.error,
            device=self._device,
            cpu=cpu_name() if self._settings.device == "cpu" else "",
            texts=found.texts,
            precision=self._precision,
            worn=worn,
        )

    def _worn(self) -> str:
        """What the process's memory says after a stage."""
        if self._warm is None:
            return ""
        self._wear = self._wear or Wear(self._warm.device)
        host, device = self._warm.kept_bytes
        on_gpu = self._warm.device.type == "cuda"
        return self._wear.after_stage(Memory(host, device) if on_gpu else Memory(host + device, 0))

    def _how_lost(self, error: BaseException) -> str:
        name = f" ({self._device})" if self._device else ""
        return (
            f"the device {self._settings.device}{name} failed under the stage: "
            f"{' '.join(str(error).split())[:300]}. No work reaches it from this process any more. If "
            "it fails again, look for Xid errors in the kernel's log (dmesg) and leave the device out."
        )

    def _carry_out(self, order: Order, meter: Meter, hurried: Callable[[], bool]) -> _Found:
        stage, name = order.stage, stage_name(order.stage)
        with meter.on(Purpose.LOAD):
            import_frameworks()
            from trainers.checkpoints import PARTIAL, StageStore
            from trainers.evaluation import run_evaluation
            from trainers.inference.measuring import run_inference
            from trainers.training import Lease, run_training

            self._device = self._device or _device_name(self._settings.device)
            _reset_peak(self._settings.device)
            store = StageStore(self._settings.store, Path(self._settings.cache_dir) / "stages")
            if store.has(name):
                found = _recorded(store.open(name))
                store.drop(name + PARTIAL)  # of another worker that was given the stage, too
                return found
            warm = self._warm = self._warm or self._warm_up(store)
            self._precision = "bf16" if uses_bf16(stage.model.precision, warm.device) else "fp32"
            lease = Lease(meter, self._clock, order.limit.ms / 1000, order.grace.ms / 1000, hurried)
        if isinstance(stage, ScoringStage):
            scored = run_evaluation(stage, warm, store, lease)
            return _Found(scored.outcome, scored.scores, facts=scored.facts, error=scored.error)
        if isinstance(stage, InferStage):
            measured = run_inference(stage, warm, store, lease)
            return _Found(measured.outcome, facts=measured.facts, texts=measured.texts)
        lease.save_s = self._save_s.get(stage.model, 0.0)
        trained = run_training(stage, warm, store, lease)
        self._save_s[stage.model] = lease.save_s
        return _Found(
            trained.outcome,
            n_tokens=trained.n_tokens,
            facts=trained.facts,
            rates=trained.rates,
            error=trained.error,
        )

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
        if not self._lost:
            free_cached()


def _end_s(order: Order) -> float:
    """Seconds after which an order's worker is ended."""
    return order.limit.less(order.grace.scaled(_NOTICE_SHARE)).ms / 1000


def _recorded(folder: Path) -> _Found:
    """What a stage that was finished before had found."""
    record = json.loads((folder / _FACTS).read_text())
    return _Found(
        Outcome.DONE,
        scores=tuple(CellScore(**score) for score in record.get("scores", ())),
        facts=record.get("facts", {}),
        rates=record.get("rates", {}),
        texts=record.get("texts", {}),
    )


def _a_stage_may_cause(error: BaseException) -> bool:
    return isinstance(error, TrainerError) or ran_out(error) or is_full(error)


def _one_line(error: BaseException, settings: WorkerSettings) -> str:
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, TrainerError):
        return f"{type(error).__name__}: {text}"
    if ran_out(error):
        return f"out of memory ({text[:300]}). Lower batch_tokens or raise accumulation."
    return f"the disk is full ({text[:300]}). {free_space(Path(settings.cache_dir))}. Free some."


def _finite(facts: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in facts.items() if math.isfinite(value)}


def _speed(n_tokens: int, bill: Bill) -> dict[str, float]:
    trained = bill.amounts.get(Purpose.TRAIN)
    return {"tokens_per_s": n_tokens / (trained.ms / 1000)} if n_tokens and trained else {}


def _device_name(device: str) -> str:
    """What the driver calls a GPU; empty for one that cannot be reached."""
    import torch

    return torch.cuda.get_device_name(device) if torch.cuda.is_available() else ""


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
