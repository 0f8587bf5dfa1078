"""Recorded tables: what every stage of a grid of recipes gave, kept by what it is.

A row is one stage, named by its coordinates (mix, seed, rung, kind, target task, half) and not by its
fingerprint, so a table outlives a change of code that alters fingerprints and nothing else. Replayed
against a stage tree of the same model, tasks and rungs, any policy can be run on it in virtual time.

    <name>.parquet   a row per stage; in the metadata the recorded spec, the environment, the version
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from budgets.bill import Bill
from scheduler.arms import arm_names
from scheduler.drivers.table import RecordedTable
from scheduler.errors import TableError
from scheduler.mix import Mix
from scheduler.state import StudyState
from scheduler.tree import StageTree
from scheduler.trial import MERGED, Recipe
from trainers.order import CellScore, Measurement, Outcome
from trainers.stage import (
    EvaluateStage,
    Half,
    IntermediateStage,
    MergeStage,
    PretrainStage,
    StageKind,
    TargetStage,
)

VERSION = 1
_METADATA = b"interlude"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage stands in the grid.

    Attributes:
        mix: as JSON; empty for the pretrain stage, which all recipes share.
        seed: of the recipe; 0 for the pretrain stage.
        rung: the one whose score the stage serves first; ``MERGED`` for a merge.
        kind: of the stage.
        task: target task; empty for what is trained before.
        half: of an evaluation; empty for training.
        arm: what tells the recipe's arm from the study's others, for the pretrain stage its model; empty
            where the study has one.
    """

    mix: str
    seed: int
    rung: int
    kind: StageKind
    task: str = ""
    half: str = ""
    arm: str = ""

    def __str__(self) -> str:
        words = [
            self.arm,
            str(self.kind),
            self.task,
            self.half,
            f"rung {self.rung}",
            f"seed {self.seed}",
        ]
        return " ".join(word for word in words if word) + (f" of {self.mix}" if self.mix else "")


@dataclass(frozen=True, slots=True)
class Table:
    """A recorded grid.

    Attributes:
        spec: of the recorded study, as plain JSON.
        environment: where it was recorded.
        rows: what each stage gave.
        left_out: rows of the file that are not used, with what counts in their place.
    """

    spec: Mapping[str, object]
    environment: Mapping[str, object]
    rows: Mapping[Place, Measurement]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, tree: StageTree, state: StudyState, recipes: Iterable[Recipe]) -> Table:
        """What a study recorded of ``recipes``.

        Raises:
            TableError: it has not begun.
        """
        if state.begun is None:
            raise TableError("nothing was recorded: the study has not begun")
        done = {
            started.stage: measurement
            for started, measurement in state.measurements()
            if measurement.outcome is Outcome.DONE
        }
        rows = {place: done[name] for name, place in places(tree, recipes).items() if name in done}
        return cls(state.begun.spec, state.begun.environment, rows)

    def bound(self, tree: StageTree) -> RecordedTable:
        """The table by the fingerprints that ``tree`` gives its stages.

        Raises:
            TableError: none of its rows is a stage of ``tree``, or ``tree`` has a merged rung and it has
                none, or inference, which no table has.
        """
        if tree.spec.inference is not None:
            raise TableError(
                f"{tree.spec.name} measures inference and a table keeps no latencies. Remove the key "
                "'inference' to replay the rest."
            )
        arms = {name: arm for arm, name in arm_names(tree.spec.arms).items()}
        cells = dict.fromkeys((p.mix, p.seed, p.arm) for p in self.rows if p.mix and p.arm in arms)
        recipes = [Recipe.of(_mix(mix), seed, arms[name]) for mix, seed, name in cells]
        found = {
            name: replace(self.rows[place], stage=name, device=f"{self.rows[place].device}, recorded")
            for name, place in places(tree, recipes).items()
            if place in self.rows
        }
        if not found:
            raise TableError(
                f"none of the table's {len(self.rows)} stages is one of {tree.spec.name}: it was "
                f"recorded for {self.spec.get('name')}, with other rungs or target tasks. Replay it "
                "with another budget, search or final."
            )
        if tree.has_merged and not any(place.rung == MERGED for place in self.rows):
            raise TableError(
                f"the table of {self.spec.get('name')} has no merged rung and {tree.spec.name} has one. "
                "Record it again with `intermediate.merged`, or remove that key."
            )
        return RecordedTable(found)

    def save(self, path: Path) -> None:
        """Write the table as Parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        record = {"version": VERSION, "spec": self.spec, "environment": self.environment}
        table = pa.Table.from_pylist([_row(place, m) for place, m in self.rows.items()])
        table = table.replace_schema_metadata({_METADATA: json.dumps(record).encode()})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd")

    @classmethod
    def load(cls, path: Path) -> Table:
        """The table that :meth:`save` wrote.

        Raises:
            TableError: no such file, or another kind of file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            record = json.loads(table.schema.metadata[_METADATA])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise TableError(
                f"{path} is no recorded table: {type(error).__name__}: {error}. Record one with "
                "`interlude table record SPEC --to FILE`."
            ) from error
        if record["version"] != VERSION:
            raise TableError(
                f"{path} has version {record['version']} and {VERSION} is read here. Record it again."
            )
        rows: dict[Place, Measurement] = {}
        left_out = []
        for number, row in enumerate(table.to_pylist()):
            place, measured = _read(row)
            if problem := _problem(place, measured):
                left_out.append(f"row {number}, {place}: {problem}; it counts as not recorded")
            elif place in rows:
                first, second = rows[place].bill.total, measured.bill.total
                left_out.append(
                    f"row {number}, {place}: billed {second} after {first}; the first counts"
                )
            else:
                rows[place] = measured
        return cls(record["spec"], record["environment"], rows, tuple(left_out))


def places(tree: StageTree, recipes: Iterable[Recipe]) -> dict[str, Place]:
    """The coordinates of every stage that ``recipes`` need at any rung, by fingerprint."""
    arms, found = arm_names(tree.spec.arms), dict[str, Place]()
    for recipe in recipes:
        for at, rung, half in _looks(tree, recipe):
            for node in tree.nodes(at, rung, half):
                if node.name not in found:
                    found[node.name] = _place(tree, node.stage, at, rung, arms[at.arm])
    return found


def _looks(tree: StageTree, recipe: Recipe) -> Iterator[tuple[Recipe, int, Half]]:
    """Where ``recipe`` is scored; before its merged rung, the recipes whose stages that is made of."""
    for rung in range(tree.n_rungs if recipe.mix.count else 1):
        yield from ((recipe, rung, half) for half in Half)
    if tree.has_merged and recipe.mix.count:
        control = replace(recipe, mix=Mix())
        yield from ((one, 0, Half.SEARCH) for one in (control, *tree.parts(recipe)))
        yield recipe, MERGED, Half.SEARCH


def _place(tree: StageTree, stage: object, recipe: Recipe, rung: int, arm: str) -> Place:
    mix, seed = json.dumps(asdict(recipe.mix), sort_keys=True), recipe.seed
    match stage:
        case PretrainStage():
            return Place("", 0, 0, stage.kind, arm=recipe.model if arm else "")
        case IntermediateStage(tokens=tokens):
            rung = tree.spec.intermediate.rungs.index(tokens)
            return Place(mix, seed, rung, stage.kind, arm=arm)
        case TargetStage(task=task):
            return Place(mix, seed, rung, stage.kind, task, arm=arm)
        case EvaluateStage(task=task, half=half):
            return Place(mix, seed, rung, stage.kind, task, half, arm)
        case MergeStage(task=task, half=half):
            return Place(mix, seed, MERGED, stage.kind, task, half, arm)
    raise TypeError(f"{type(stage).__name__} has no place in a table")


def _mix(text: str) -> Mix:
    values = json.loads(text)
    return Mix(**{**values, "tasks": tuple(values["tasks"])})


def _row(place: Place, measurement: Measurement) -> dict[str, object]:
    cells = [[c.language, c.metric, c.value, c.n_examples] for c in measurement.scores]
    return {
        **asdict(place),
        "kind": str(place.kind),
        "half": str(place.half),
        "bill_ms": json.dumps(measurement.bill.to_json()),
        "n_tokens": measurement.n_tokens,
        "device": measurement.device,
        "cells": json.dumps(cells),
    }


def _read(row: Mapping[str, Any]) -> tuple[Place, Measurement]:
    names = [field.name for field in fields(Place) if field.name in row]  # older tables know no arms
    place = Place(**{**{name: row[name] for name in names}, "kind": StageKind(row["kind"])})
    bill = Bill.from_json(json.loads(row["bill_ms"]))
    cells = tuple(CellScore(place.task, *cell) for cell in json.loads(row["cells"]))
    measured = Measurement(
        "",
        "",
        Outcome.DONE,
        bill,
        scores=cells,
        n_tokens=row["n_tokens"],
        device=row["device"],
    )
    return place, measured


def _problem(place: Place, measured: Measurement) -> str:
    """Why a row cannot be used; empty when it can."""
    wrong = [f"{c.language} scored {c.value}" for c in measured.scores if not math.isfinite(c.value)]
    if measured.bill.total.ms <= 0:
        wrong.append("a bill of 0 ms")
    if place.kind in (StageKind.EVALUATE, StageKind.MERGE) and not measured.scores:
        wrong.append("an evaluation without a score")
    return "; ".join(wrong)
