"""A table of the published RegMix runs: mixtures of 17 domains, each trained at several model sizes.

    {train,test}_mixture_{1m,60m,1B}.csv     index, the rate of each domain
    {train,test}_pile_loss_{1m,60m,1B}.csv   index, validation loss of each domain, nats per token

A mixture is known by its rates; an index means another mixture in another file. A rung is a model size,
in weights. Score and device time, neither of which the files have:

    points      = 100 - 10 * loss                  a tenth of a nat is a point; the score is their mean
    device time = 6 N D / (1e14 operations per s)  N weights, D tokens: 1B, 1B, 25B

Every run is a candidate of a list (``scheduler/listed.py``). What cannot be used is named.

Source: Liu et al. 2024, arXiv:2407.01492.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from budgets.amount import DeviceTime
from budgets.bill import Bill, Purpose
from budgets.spec import parse
from scheduler.errors import TableError
from scheduler.listed import ListedSpace, ListedTree
from scheduler.mix import Mix
from scheduler.spec import StudySpec
from scheduler.table import Place, Table, places
from scheduler.tree import Node
from scheduler.trial import Recipe
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import EvaluateStage, Half
from trainers.tasks.source import DataIdentity
from trainers.tasks.spec import Split

if TYPE_CHECKING:
    from datasets import Dataset

SIZES: Mapping[str, int] = {"1m": 1_000_000, "60m": 60_000_000, "1B": 1_000_000_000}
_TOKENS = {1_000_000: 1e9, 60_000_000: 1e9, 1_000_000_000: 25e9}
_OPS_PER_S = 1e14
_SUM_TOLERANCE = 0.02  # rates are published with three digits
_TASK = "toy_text"  # a task of the catalogue must be named: loss on held-out text
_RATE, _LOSS = "train_the_pile_", "metric/the_pile_"

Rates = tuple[float, ...]
Losses = Mapping[str, float]


@dataclass
class Pool:
    """What the files hold.

    Attributes:
        domains: of the rates, in order.
        names: file and index where a mixture stands first, by its rates.
        losses: by rates, then size: the loss on each validation domain.
        left_out: what is not used, with what counts instead.
    """

    domains: tuple[str, ...] = ()
    names: dict[Rates, str] = field(default_factory=dict)
    losses: dict[Rates, dict[int, Losses]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, where: str, rates: Rates, size: int, losses: Losses) -> None:
        """Take one run in, unless it contradicts one that is there."""
        self.names.setdefault(rates, where)
        known = self.losses.setdefault(rates, {})
        if known.setdefault(size, losses) != losses:
            self.left_out.append(
                f"{where}: the mixture of {self.names[rates]} again with other losses; the first counts"
            )

    def rungs(self) -> tuple[tuple[int, ...], list[Rates]]:
        """Sizes that at least two mixtures have, every smaller one included, and those mixtures."""
        sizes: tuple[int, ...] = ()
        kept = list(self.losses)
        for size in sorted({size for known in self.losses.values() for size in known}):
            both = [rates for rates in kept if size in self.losses[rates]]
            if len(both) < 2:
                n = sum(size in known for known in self.losses.values())
                self.left_out.append(
                    f"{size:,} weights: {n} mixtures, {len(both)} of them at every smaller rung; "
                    "it is no rung"
                )
                continue
            sizes, kept = (*sizes, size), both
        without = len(self.losses) - len(kept)
        if without:
            self.left_out.append(
                f"{without} mixtures lack one of {_sizes(sizes)}; they are no candidates"
            )
        return sizes, kept


@dataclass(frozen=True)
class RegMix:
    """The runs as a table.

    Attributes:
        spec: of a study over them.
        space: the mixtures.
        table: what each run gave.
    """

    spec: StudySpec
    space: ListedSpace
    table: Table

    def opened(self, spec: StudySpec) -> ListedTree:
        """The stages of ``spec``, this study's with another budget, search or fewer rungs."""
        return ListedTree(spec, self.space, _Nothing(), _COSTS_MS)


_COSTS_MS = {n: round(6 * n * tokens / _OPS_PER_S * 1000) for n, tokens in _TOKENS.items()}


def load(folder: Path) -> RegMix:
    """The table of the files in ``folder``.

    Raises:
        TableError: there are none, or no two mixtures in them have a loss.
    """
    pool = read(folder)
    sizes, kept = pool.rungs()
    if not sizes:
        raise TableError(
            f"{folder} has no two mixtures with losses at one size: expected files "
            f"test_mixture_1m.csv and test_pile_loss_1m.csv, and the like of {', '.join(SIZES)}"
        )
    space = ListedSpace(pool.domains, {pool.names[rates]: rates for rates in kept})
    spec = parse(StudySpec, _study(sizes, tuple(space.rates)), str(folder))
    empty = RegMix(spec, space, Table(spec.model_dump(mode="json"), {}, {}))
    rows = _rows(empty.opened(spec), {pool.names[rates]: pool.losses[rates] for rates in kept})
    return RegMix(spec, space, Table(empty.table.spec, {}, rows, tuple(pool.left_out)))


def read(folder: Path) -> Pool:
    """Every run of the files in ``folder`` that can be used."""
    pool = Pool()
    for split in ("test", "train"):
        for word, size in SIZES.items():
            mixtures = dict(_csv(folder / f"{split}_mixture_{word}.csv", _RATE))
            losses = dict(_csv(folder / f"{split}_pile_loss_{word}.csv", _LOSS))
            for index, rates in mixtures.items():
                where = f"{split}_{word}-{index}"
                if problem := _problem(pool, rates, losses.get(index)):
                    pool.left_out.append(f"{where}: {problem}; it counts as not run")
                    continue
                pool.domains = tuple(rates)
                pool.add(where, tuple(rates.values()), size, losses[index])
            pool.left_out += [
                f"{split}_{word}-{index}: losses of no mixture; they are not used"
                for index in losses
                if index not in mixtures
            ]
    return pool


def _csv(file: Path, prefix: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Index and numbers of each row, NaN for what is no number; nothing where the file is missing."""
    if not file.exists():
        return
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            named = {key: text for key, text in row.items() if key and key.startswith(prefix)}
            yield (
                row["index"],
                {
                    key.removeprefix(prefix).removesuffix("_val_loss"): _number(text)
                    for key, text in named.items()
                },
            )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _problem(pool: Pool, rates: Losses, losses: Losses | None) -> str:
    """Why a run cannot be used; empty when it can."""
    if pool.domains and tuple(rates) != pool.domains:
        return f"rates of {len(rates)} domains in another order or of other domains"
    total = sum(rates.values())
    if not abs(total - 1) <= _SUM_TOLERANCE:
        return f"its rates sum to {total:g}"
    if losses is None:
        return "it has no losses"
    wrong = [f"{domain} {loss}" for domain, loss in losses.items() if not math.isfinite(loss)]
    return f"losses that are no numbers: {', '.join(wrong)}" if wrong or not losses else ""


def _rows(tree: ListedTree, losses: Mapping[str, Mapping[int, Losses]]) -> dict[Place, Measurement]:
    """What every stage of every candidate gave.

    The control, which nobody ran, gets the worst losses of the smallest size: it decides nothing.
    """
    rungs = tree.spec.intermediate.rungs
    worst = max((known[rungs[0]] for known in losses.values()), key=lambda one: fmean(one.values()))
    known = {Mix((name,)): values for name, values in losses.items()}
    rows: dict[Place, Measurement] = {}
    for mix in (Mix(), *known):
        recipe = Recipe.of(mix, tree.spec.seed, tree.spec.arms[0])
        there = places(tree, [recipe])
        for rung, size in enumerate(rungs):
            measured = known[mix][size] if mix.count else worst
            for node in (n for half in Half for n in tree.nodes(recipe, rung, half)):
                rows[there[node.name]] = _measured(node, measured)
    return rows


def _measured(node: Node, losses: Losses) -> Measurement:
    judged = isinstance(node.stage, EvaluateStage)
    bill = Bill({Purpose.EVALUATE if judged else Purpose.TRAIN: DeviceTime(node.work.prior_ms)})
    cells = tuple(
        CellScore(_TASK, domain, "validation_loss", 100 - 10 * loss, 1)
        for domain, loss in losses.items()
    )
    return Measurement("", node.name, Outcome.DONE, bill, scores=cells if judged else ())


def _study(sizes: tuple[int, ...], candidates: tuple[str, ...]) -> dict[str, object]:
    """The study over candidates; its model, target and rates stand for nothing and are not read."""
    return {
        "name": "regmix",
        "question": "Which mixture of domains gives the lowest mean validation loss?",
        "budget": {
            "gpu_hours": 1.0,
            "devices": {"kind": "gpu", "count": 1, "per_trial": 1},
            "final_share": 0.0,
        },
        "model": {"name": "toy-tiny"},
        "data": {"source": "toy"},
        "intermediate": {
            "tasks": candidates,
            "count": (1, 1),
            "mixing": {"rule": "uniform"},
            "rungs": sizes,
            "learning_rate": 1e-3,
        },
        "target": {
            "benchmark": "toy",
            "tasks": (_TASK,),
            "languages": "all",
            "tokens": 1,
        },
        "objectives": {"score": "max"},
        "final": {"finalists": 1, "max_seeds": 1},
        "tracking": {"mlflow": None},
    }


def _sizes(sizes: tuple[int, ...]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)


class _Nothing:
    """Data that no stage of a list reads."""

    def identity(self, split: Split, language: str) -> DataIdentity:
        """Never asked.

        Raises:
            LookupError: always.
        """
        raise LookupError(f"a listed run has no data of its own: {split} in {language}")

    def rows(self, split: Split, language: str) -> Dataset:
        """Never asked.

        Raises:
            LookupError: always.
        """
        raise LookupError(f"a listed run has no rows: {split} in {language}")
