"""The money questions of a study: what the search may still take, and what the finals may.

    free           = cap - spent - held, or less where an account shared with others has less
    uncommitted    = free - what the trials that climb already will still take
    search's part  = uncommitted - kept for finals
    kept           = at most final_share * cap, and no more than all seeds of all finalists would take

The search is asked to leave the last part alone; only a trial that already climbs may reach into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from budgets.account import Account
from budgets.amount import ZERO, DeviceTime
from scheduler.climb import START_UP, Climb
from scheduler.demand import Bundle
from scheduler.mix import Mix
from scheduler.spec import StudySpec
from scheduler.trial import Arm, Recipe
from trainers.stage import Half

Path = tuple[Recipe, int]  # a recipe and the rung it is to reach


class Purse:
    """What is free, committed and kept back, against what the next step costs.

    Attributes:
        refusal: the last thing that was not affordable, in words.
        account: the shared account that refused it, empty when it was the study's own cap.
    """

    def __init__(self, spec: StudySpec, account: Account, climb: Climb) -> None:
        self._spec = spec
        self._account = account
        self._climb = climb
        self.refusal = ""
        self.account = ""

    def pays_search(self, paths: Iterable[Path], *, fresh: bool) -> bool:
        """Whether the search's part pays for all that these paths still need."""
        cost = self._climb.missing_cost(paths, Half.SEARCH)
        there = self._uncommitted(fresh=fresh)
        share = self._account.balance.cap.scaled(self._spec.budget.final_share)
        kept = share if cost <= there.less(share) else min(share, self._all_finals())
        return self._pays("the next step of the search", cost, there.less(kept))

    def pays_finals(self, paths: Iterable[Path], *, fresh: bool) -> bool:
        """Whether what is left pays for these paths on report cells."""
        cost = self._climb.missing_cost(paths, Half.REPORT)
        return self._pays("the next step of the finals", cost, self._uncommitted(fresh=fresh))

    @cached_property
    def _finals(self) -> tuple[Bundle, ...]:
        """Repetitions of all controls, then those of a stand-in for one finalist of each arm."""
        arms = [_repetitions(self._spec, arm) for arm in self._spec.arms]
        controls = [path for paths, _ in arms for path in paths]
        mixes = (self._climb.bundle(paths, Half.REPORT) for _, paths in arms)
        return self._climb.bundle(controls, Half.REPORT), *mixes

    def _all_finals(self) -> DeviceTime:
        """What all repetitions would cost: more than that the finals cannot use.

        Arms that are compared have finalists of their own; else the finalists may be of the dearest arm.
        """
        control, *mixes = map(self._climb.bundle_cost, self._finals)
        compared = self._spec.search.design == "factorial"
        finalist = DeviceTime.total(mixes) if compared else max(mixes)
        return control + finalist.scaled(self._spec.final.finalists)

    def _pays(self, what: str, cost: DeviceTime, there: DeviceTime) -> bool:
        if cost > there:
            self.account = self._account.narrower
            where = f" in account {self.account!r}" if self.account else ""
            self.refusal = f"{what} needs {cost}, its part of what is free{where} is {there}"
            return False
        return True

    def _uncommitted(self, *, fresh: bool) -> DeviceTime:
        start_up = START_UP.scaled(self._spec.budget.devices.highest_rate) if fresh else ZERO
        return self._account.free.less(self._climb.committed() + start_up)


def _repetitions(spec: StudySpec, arm: Arm) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """All repetitions of an arm's control, and of a stand-in for one finalist at the top rung.

    The stand-in is a mix of all tasks with seeds that nobody else has: none of its stages exist.
    """
    top = len(spec.intermediate.rungs) - 1
    everything = Mix.of(spec.intermediate.tasks)
    offsets = range(spec.final.max_seeds)
    controls = tuple((Recipe.of(Mix(), spec.seed + i, arm), 0) for i in offsets)
    mixes = tuple((Recipe.of(everything, -1 - i, arm), top) for i in offsets)
    return controls, mixes
