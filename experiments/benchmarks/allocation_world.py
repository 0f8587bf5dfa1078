"""A table as a world: what every recipe is worth and costs, and the stages to find that out with.

    score(mix, rung)  search cells, one recorded seed: what a search sees
    value(mix, rung)  report cells, mean over the recorded seeds: what it is worth
    cost(mix, rung)   device time from the encoder up to that score, one recorded seed

Where the rung is part of the answer (how long to train), a mix is worth what it is at its rung. Where it
is only a cheaper look (the size of a proxy model), a mix is worth what it is at the top.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

from experiments.benchmarks import allocation_regmix
from scheduler.drivers.table import RecordedTable
from scheduler.errors import TableError
from scheduler.mix import Mix
from scheduler.score import score
from scheduler.space import Space
from scheduler.spec import StudySpec, read
from scheduler.study import space_of, tree_of
from scheduler.table import Place, Table
from scheduler.tree import StageTree
from scheduler.trial import MERGED
from trainers.order import CellScore, Measurement
from trainers.stage import Half, StageKind

Choice = tuple[Mix, int]  # a mix and the rung it was judged at


@dataclass(frozen=True)
class World:
    """A recorded table with all that a benchmark asks of it.

    Attributes:
        name: of the table.
        spec: of the recorded study.
        table: its rows.
        space: the mixes that can be tried.
        opened: the stages of a spec that differs in budget, search or seed.
        rung_is_choice: whether the rung is part of the answer.
    """

    name: str
    spec: StudySpec
    table: Table
    space: Space
    opened: Callable[[StudySpec], StageTree]
    rung_is_choice: bool = True

    @property
    def n_rungs(self) -> int:
        """Fidelity levels."""
        return len(self.spec.intermediate.rungs)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Recorded seeds, ascending."""
        return tuple(sorted({place.seed for place in self.table.rows if place.mix}))

    @cached_property
    def by_text(self) -> Mapping[str, Mix]:
        """Recorded mixes by how a place names them."""
        return {_text(mix): mix for mix in (Mix(), *self.space.all_mixes())}

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """What of the table is not used, and what counts instead."""
        unjudged = [
            f"{mix} at rung {rung}: no report cells; it is worth what its search cells say"
            for mix, rung in self._scores(Half.SEARCH)
            if (mix, rung) not in self._scores(Half.REPORT)
        ]
        return (*self.table.left_out, *unjudged)

    def value(self, choice: Choice) -> float:
        """What a mix is worth at a rung, in points.

        Raises:
            TableError: nothing of it was recorded.
        """
        mix, rung = choice
        if not mix.count and not self.rung_is_choice:
            return self.control
        at = 0 if not mix.count else rung if self.rung_is_choice else self.n_rungs - 1
        for half in (Half.REPORT, Half.SEARCH):
            if by_seed := self._scores(half).get((mix, at)):
                return fmean(by_seed.values())
        raise TableError(f"the table {self.name} has no score of {mix} at rung {at}: record it again")

    def score(self, choice: Choice, seed: int) -> float | None:
        """What a search with a recorded seed sees; None where that is not in the table."""
        mix, rung = choice
        return self._scores(Half.SEARCH).get((mix, rung if mix.count else 0), {}).get(seed)

    def rung_ms(self, choice: Choice, seed: int) -> int:
        """Device time of one rung alone: its training, its targets, its search cells."""
        return self._bills.get((choice[0], choice[1], seed), 0)

    def cost_ms(self, choice: Choice, seed: int) -> int:
        """Device time of the way to a rung, its targets and search cells included, lower rungs' not."""
        mix, rung = choice
        if not mix.count:
            return self.rung_ms((mix, 0), seed)
        below = sum(self._trunks.get((mix, r, seed), 0) for r in range(rung))
        return below + self.rung_ms(choice, seed)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Every mix and rung with a score."""
        return tuple(self._scores(Half.SEARCH))

    @cached_property
    def best(self) -> float:
        """The highest value in the table."""
        return max(self.value(choice) for choice in self.choices)

    @cached_property
    def control(self) -> float:
        """What is recommended before anything was judged: k = 0, or, in a list, anyone at random."""
        if self.rung_is_choice:
            return self.value((Mix(), 0))
        return fmean(self.value((mix, 0)) for mix in self.space.all_mixes())

    def base_ms(self) -> int:
        """Device time of the encoder that every recipe starts from."""
        rows = self.table.rows.items()
        return sum(row.bill.total.ms for place, row in rows if place.kind is StageKind.PRETRAIN)

    def whole_ms(self) -> int:
        """Device time of everything that a search can run with the first recorded seed."""
        first = self.seeds[0]
        return self.base_ms() + sum(ms for (_, _, seed), ms in self._bills.items() if seed == first)

    def bound(self, tree: StageTree) -> RecordedTable:
        """The rows by the names that ``tree`` gives them.

        Worked out once per seed: of what a search changes in the spec nothing else is in a name.
        """
        seed = tree.spec.seed
        if seed not in self._bound:
            self._bound[seed] = self.table.bound(tree)
        return self._bound[seed]

    @cached_property
    def _bound(self) -> dict[int, RecordedTable]:
        return {}

    @cached_property
    def at_top(self) -> World:
        """The same world with one rung, the top: what a search that asks no cheaper look runs in.

        Where a rung continues the one below, its training is billed as the sum of both, which charges
        a save and a load too many for each rung.
        """
        top = self.n_rungs - 1
        part = self.spec.intermediate
        spec = self.spec.model_copy(
            update={"intermediate": part.model_copy(update={"rungs": part.rungs[-1:], "merged": None})}
        )
        rows: dict[Place, Measurement] = {}
        for place, row in self.table.rows.items():
            mix = self.by_text.get(place.mix, Mix())
            if not mix.count:
                rows[place] = row
            elif place.rung == top:
                rows[replace(place, rung=0)] = self._whole_trunk(place, row)
        return replace(self, spec=spec, table=replace(self.table, rows=rows))

    @property
    def has_merged(self) -> bool:
        """Whether the table has a rung below the first, of merged encoders."""
        return self.spec.intermediate.merged is not None

    @cached_property
    def unmerged(self) -> World:
        """The same world without the merged rung."""
        rows = {place: row for place, row in self.table.rows.items() if place.rung != MERGED}
        part = self.spec.intermediate.model_copy(update={"merged": None})
        spec = self.spec.model_copy(update={"intermediate": part})
        return replace(self, spec=spec, table=replace(self.table, rows=rows))

    @cached_property
    def anew(self) -> World:
        """The same world where a rung does not go on from the one below, but trains from the encoder."""
        rows = {place: self._whole_trunk(place, row) for place, row in self.table.rows.items()}
        return replace(self, table=replace(self.table, rows=rows))

    def _whole_trunk(self, place: Place, row: Measurement) -> Measurement:
        if place.kind is not StageKind.INTERMEDIATE or not self.continues:
            return row
        lower = (replace(place, rung=rung) for rung in range(place.rung))
        bills = [self.table.rows[one].bill for one in lower if one in self.table.rows]
        return replace(row, bill=sum(bills, row.bill))

    @property
    def continues(self) -> bool:
        """Whether a rung goes on from the one below, as tokens do and model sizes do not."""
        return self.rung_is_choice

    def _scores(self, half: Half) -> Mapping[Choice, Mapping[int, float]]:
        return self._search if half is Half.SEARCH else self._report

    @cached_property
    def _search(self) -> Mapping[Choice, Mapping[int, float]]:
        return self._judged(Half.SEARCH)

    @cached_property
    def _report(self) -> Mapping[Choice, Mapping[int, float]]:
        return self._judged(Half.REPORT)

    def _judged(self, half: Half) -> dict[Choice, dict[int, float]]:
        """Score by choice and seed, where every target task was scored.

        Retrieval of k = 0 needs no training, so its one row serves every seed.
        """
        cells: dict[tuple[Mix, int, int], dict[str, tuple[CellScore, ...]]] = {}
        for place, row in self.table.rows.items():
            if place.kind is StageKind.EVALUATE and place.half == half and place.mix in self.by_text:
                at = (self.by_text[place.mix], place.rung, place.seed)
                cells.setdefault(at, {})[place.task] = row.scores
        found: dict[Choice, dict[int, float]] = {}
        controls = [by_task for (mix, _, _), by_task in cells.items() if not mix.count]
        seedless = {task: cell for by_task in controls for task, cell in by_task.items()}
        for (mix, rung, seed), trained in cells.items():
            by_task = trained if mix.count else {**seedless, **trained}
            if len(by_task) == len(self.spec.target.tasks):
                all_cells = [cell for task in by_task.values() for cell in task]
                found.setdefault((mix, rung), {})[seed] = score(all_cells)
        return found

    @cached_property
    def _bills(self) -> Mapping[tuple[Mix, int, int], int]:
        return self._summed(lambda place: place.half != Half.REPORT)

    @cached_property
    def _trunks(self) -> Mapping[tuple[Mix, int, int], int]:
        trunk = self.continues
        return self._summed(lambda place: trunk and place.kind is StageKind.INTERMEDIATE)

    def _summed(self, counts: Callable[[Place], bool]) -> dict[tuple[Mix, int, int], int]:
        sums: dict[tuple[Mix, int, int], int] = {}
        for place, row in self.table.rows.items():
            if place.mix in self.by_text and counts(place):
                at = (self.by_text[place.mix], place.rung, place.seed)
                sums[at] = sums.get(at, 0) + row.bill.total.ms
        return sums


def opened(path: Path) -> World:
    """The world in a recorded table's file, or in a folder of published runs.

    Raises:
        TableError: it is neither.
    """
    if path.is_dir():
        runs = allocation_regmix.load(path)
        return World("regmix", runs.spec, runs.table, runs.space, runs.opened, rung_is_choice=False)
    table = Table.load(path)
    spec = read(dict(table.spec), str(path))
    return World(path.stem, spec, table, space_of(spec), tree_of)


def _text(mix: Mix) -> str:
    return json.dumps(asdict(mix), sort_keys=True)
