"""What a trial costs to store and to switch to, by tuning.

    python -m experiments.benchmarks.switching [--model mini|base|large] [--repetitions N] [--json]

For each tuning a worker trains an intermediate stage and two target stages of a few steps, on the toy
world's data and an encoder of that shape with random weights, published as a folder. Bytes are those of
the manifests. A switch goes from one trial's encoder to the other's, to and fro: ``kept`` where the
worker has both in host memory, ``read`` where it reads them from the store. ``between`` is what the bill
of a target stage on that worker has beside training: load, save and idle. The tunings take turns, so
that what else the machine does falls on all of them, and each stage follows one of another tuning.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from budgets.amount import DeviceTime
from budgets.bill import Purpose
from budgets.clock import MonotonicClock
from experiments.benchmarks.shapes import SHAPES, Shape, encoder_of
from trainers.adapter_places import TUNINGS
from trainers.checkpoints import StageStore
from trainers.models import entry, revision_of
from trainers.order import Measurement, Order, Outcome
from trainers.stage import (
    IntermediateStage,
    ModelRef,
    Optimisation,
    Stage,
    TargetStage,
    TaskShare,
    stage_name,
)
from trainers.tasks import open_source
from trainers.tasks.catalog import TASKS
from trainers.tasks.source import DataIdentity
from trainers.worker import Worker, WorkerSettings

if TYPE_CHECKING:
    from trainers.warm import WarmCache

_STEPS = Optimisation(learning_rate=1e-4, batch_tokens=1024)
_TOKENS = 4_000
_TARGET, _INTERMEDIATE = "toy_xnli", "toy_roles"
_LIMIT, _GRACE = DeviceTime.from_hours(2.0), DeviceTime(60_000)


@dataclass(frozen=True, slots=True)
class Figures:
    """One tuning.

    Attributes:
        tuning: which weights are trained.
        n_trained: of the encoder.
        trained_share: of its weights, 0 to 1.
        target_bytes: that a target stage leaves in the store.
        intermediate_bytes: that an intermediate stage leaves, the state to go on from with it.
        load_ms: of a target stage's bill, median.
        save_ms: the same.
        between_ms: load, save and idle of such a bill, median.
        most_between_ms: the largest.
        kept_ms: to switch between two trials that are in host memory, median.
        read_ms: to switch to a trial that is read from the store, median; files in the page cache.
        tokens_per_s: trained, of the intermediate stage.
    """

    tuning: str
    n_trained: int
    trained_share: float
    target_bytes: int
    intermediate_bytes: int
    load_ms: float
    save_ms: float
    between_ms: float
    most_between_ms: float
    kept_ms: float
    read_ms: float
    tokens_per_s: float


class _Bench:
    """A worker on a fresh store and a published encoder of a shape, all in ``folder``."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        from trainers.tasks.toy.tokenizer import build_tokenizer

        self._model = folder / shape.name
        encoder_of(shape, 0).save_pretrained(self._model)
        build_tokenizer().save_pretrained(self._model)
        model = entry(str(self._model))
        self._revision = revision_of(model, None)
        self._settings = WorkerSettings(
            str(folder / "runs"), "toy", None, "cpu", 1, str(folder / "cache")
        )
        self._source = open_source("toy", None)
        self.store = StageStore(self._settings.store)
        self.worker = Worker(self._settings, MonotonicClock())

    def ref(self, tuning: str) -> ModelRef:
        return ModelRef(str(self._model), self._revision, tuning)

    def data(self, task: str) -> tuple[DataIdentity, ...]:
        split = TASKS.task(task).train[0]
        return (self._source.identity(split, split.languages[0]),)

    def stages(self, tuning: str) -> tuple[IntermediateStage, TargetStage, TargetStage]:
        shares = (TaskShare(_INTERMEDIATE, 1.0, self.data(_INTERMEDIATE)),)
        first = IntermediateStage(self.ref(tuning), None, None, shares, 0, _TOKENS, _STEPS, 1)
        target = TargetStage(
            self.ref(tuning), stage_name(first), _TARGET, self.data(_TARGET), _TOKENS // 4, _STEPS, 1
        )
        return first, target, replace(target, seed=2)

    def run(self, stage: Stage) -> Measurement:
        found = self.worker.run(Order(stage_name(stage), stage, 1, _LIMIT, _GRACE))
        if found.outcome is not Outcome.DONE:
            raise click.ClickException(f"{stage.kind}: {found.outcome}, {found.error}")
        return found

    def n_bytes(self, stage: Stage) -> int:
        files = self.store.manifest(stage_name(stage))["files"].values()
        return sum(int(file["bytes"]) for file in files)

    def cache(self) -> WarmCache:
        from trainers.warm import WarmCache

        return WarmCache(self._settings, self.store)


@dataclass(slots=True)
class _Switches:
    """Milliseconds of switches between the trials of one tuning, and how many weights it has.

    ``bills`` are those of target stages, less training.
    """

    kept: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    bills: list[dict[Purpose, int]] = field(default_factory=list)
    n_trained: int = 0
    n_encoder: int = 0

    def run(self, bench: _Bench, stage: TargetStage) -> None:
        """Carry out ``stage`` on the warm worker."""
        bill = bench.run(stage).bill.items()
        self.bills.append({purpose: time.ms for purpose, time in bill if purpose is not Purpose.TRAIN})

    def add(self, bench: _Bench, tuning: str, names: list[str]) -> None:
        """Switch through the trials on a new cache, then once more."""
        warm, ref = bench.cache(), bench.ref(tuning)
        for times in (self.read, self.kept):
            for name in names:
                begun_s = time.perf_counter()
                encoder = warm.encoder(ref, name)
                times.append(1000 * (time.perf_counter() - begun_s))
        del self.read[-len(names)]  # brought the encoder itself
        n_all = sum(weight.numel() for weight in encoder.parameters())
        self.n_trained = sum(w.numel() for w in encoder.parameters() if w.requires_grad)
        self.n_encoder = n_all - self.n_trained if warm.adapter else n_all


def measured(shape: Shape, n_repetitions: int) -> list[Figures]:
    """The figures of every tuning on an encoder of ``shape``."""
    with tempfile.TemporaryDirectory(prefix="interlude-switching-") as folder:
        bench = _Bench(shape, Path(folder))
        trained = {tuning: bench.stages(tuning) for tuning in TUNINGS}
        found = {tuning: [bench.run(stage) for stage in trained[tuning]] for tuning in TUNINGS}
        switches = {tuning: _Switches() for tuning in TUNINGS}
        for number in range(n_repetitions):
            for tuning, (_first, *targets) in trained.items():
                switches[tuning].add(bench, tuning, [stage_name(target) for target in targets])
                switches[tuning].run(bench, replace(targets[0], seed=3 + number))
        return [
            _figures(bench, tuning, trained[tuning], found[tuning], switches[tuning])
            for tuning in TUNINGS
        ]


def _figures(
    bench: _Bench,
    tuning: str,
    stages: tuple[IntermediateStage, TargetStage, TargetStage],
    found: list[Measurement],
    switches: _Switches,
) -> Figures:
    bills = switches.bills
    between = [float(sum(bill.values())) for bill in bills]
    return Figures(
        tuning,
        switches.n_trained,
        switches.n_trained / switches.n_encoder,
        target_bytes=bench.n_bytes(stages[1]),
        intermediate_bytes=bench.n_bytes(stages[0]),
        load_ms=median(float(bill.get(Purpose.LOAD, 0)) for bill in bills),
        save_ms=median(float(bill.get(Purpose.SAVE, 0)) for bill in bills),
        between_ms=median(between),
        most_between_ms=max(between),
        kept_ms=median(switches.kept),
        read_ms=median(switches.read),
        tokens_per_s=found[0].facts["tokens_per_s"],
    )


def show(shape: Shape, figures: list[Figures], console: Console) -> None:
    """A table for people."""
    columns = (
        "tuning",
        "trained",
        "target stage",
        "intermediate",
        "load",
        "save",
        "between, largest",
        "switch, kept",
        "read",
        "tok/s",
    )
    table = Table(*columns, title=f"{shape.name}, by tuning")
    for one in figures:
        table.add_row(
            one.tuning,
            f"{one.n_trained:,} ({one.trained_share:.2%})",
            f"{one.target_bytes / 1e6:,.2f} MB",
            f"{one.intermediate_bytes / 1e6:,.2f} MB",
            f"{one.load_ms:,.0f} ms",
            f"{one.save_ms:,.0f} ms",
            f"{one.between_ms:,.0f}, {one.most_between_ms:,.0f} ms",
            f"{one.kept_ms:,.1f} ms",
            f"{one.read_ms:,.1f} ms",
            f"{one.tokens_per_s:,.0f}",
        )
    console.print(table)


@click.command()
@click.option("--model", "shape", type=click.Choice(list(SHAPES)), default="mini", show_default=True)
@click.option("--repetitions", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def main(*, shape: str, repetitions: int, as_json: bool) -> None:
    """Measure what a trial costs to store and to switch to under every tuning, on the CPU."""
    figures = measured(SHAPES[shape], repetitions)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in figures], indent=1))
    else:
        show(SHAPES[shape], figures, Console(width=140))


if __name__ == "__main__":
    main()
